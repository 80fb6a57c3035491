"""Test a new key before its use: its permissions, and the health of the application."""

from __future__ import annotations

from dataclasses import replace
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

from cml_iam.errors import IncompleteError, InputError, RefusedError
from cml_iam.workers import Verdict, WorkerManager, launch_to_try

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.credentials._keys import AccessKey, SignIn
    from cml_iam.site import Site


SECONDS: Final = 10.0


def ask_health(url: str) -> None:
    """Send GET to *url*; raises IncompleteError unless the response is 2xx.

    The request does not contain the key. Raises InputError if *url* is not an HTTP URL.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise InputError(f"not an HTTP URL: `{url}`")
    try:
        with urlopen(Request(url), timeout=SECONDS):  # noqa: S310 - the scheme is checked above
            return
    except HTTPError as error:
        error.close()
        answer = f"answers {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        answer = f"does not answer ({type(error).__name__})"
    raise IncompleteError(
        f"the application is not healthy, so its key is not changed now: `{url}` {answer}",
        remedy="fix it and run `cml-iam key resume`, or undo with `cml-iam key rollback`",
    )


def prove_key(
    sign_in: SignIn, key: AccessKey, site: Site, *, report: Callable[[str], None]
) -> None:
    """Try the manager's permissions with *key*: STS in every region, EC2 by DryRun, CloudWatch.

    *report* receives what could not be tried. Raises RefusedError if a permission is refused,
    IncompleteError if EC2 does not answer.
    """
    aws = sign_in(key)
    for region in site.restrict.regions or (site.home_region,):
        aws.call("sts", "get_caller_identity", region=region)
    manager, home = WorkerManager(aws, guard=site.restrict.guard_tag), site.home_region
    # Whether the application sends the right tags is no question about its key.
    launch = launch_to_try(manager, replace(site, application=None), home)
    health = manager.health(region=home, probe=launch, grants=site.grant.active)
    if health.failure:
        raise IncompleteError(
            f"could not call EC2 with the new key `{key.id}`: {health.failure.message}",
            remedy=health.failure.remedy or "run the same command again",
        )
    for (why, _), actions in health.untried.items():
        report(f"could not be tried with the new key: {', '.join(actions)}: {why}")
    refused = health.having(Verdict.REFUSED)
    if refused:
        raise RefusedError(
            f"the new key `{key.id}` is not used yet, because it lacks permissions: "
            f"{', '.join(check.action for check in refused)}",
            remedy="fix the policy and run this again, or undo with `cml-iam key rollback`",
        )
