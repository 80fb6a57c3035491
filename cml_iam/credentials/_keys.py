"""Access keys in IAM: list, create once, prove before use, remove; AWS allows two per user."""

from __future__ import annotations

import re
from base64 import b32decode
from binascii import Error as Base32Error
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from cml_iam.aws.port import Aws
from cml_iam.errors import (
    AwsError,
    IncompleteError,
    InputError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from cml_iam.secret import Secret
from cml_iam.workers import Verdict, WorkerManager, launch_to_try

if TYPE_CHECKING:
    from cml_iam.site import Site


MOST_KEYS: Final = 2
"""Maximum number of access keys of one user, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

_KEY_ID: Final = re.compile(r"[A-Z0-9]{16,128}")
"""https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html"""

_UPPER_HALF: Final = "QRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key with its secret."""

    id: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An access key as IAM lists it."""

    id: str
    status: str
    created: datetime | None

    @property
    def active(self) -> bool:
        """Whether AWS accepts it."""
        return self.status == "Active"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When and where a key was last used; *when* is None for a key that was never used.

    AWS records only the first of several uses within 15 minutes.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
    """

    when: datetime | None
    service: str = ""
    region: str = ""

    def __str__(self) -> str:
        if self.when is None:
            return "never used"
        where = f" in {self.region}" if self.region else ""
        return f"last used {self.when:%Y-%m-%d %H:%M} UTC for {self.service or 'AWS'}{where}"


SignIn = Callable[[AccessKey], "Aws"]
"""A function that returns an AWS client with the given key."""


def list_keys(aws: Aws, user: str) -> tuple[KeyInfo, ...]:
    """Return the access keys of *user*, oldest first; none for a user that does not exist."""
    try:
        keys = [
            KeyInfo(raw["AccessKeyId"], raw["Status"], raw.get("CreateDate"))
            for raw in aws.pages("iam", "list_access_keys", "AccessKeyMetadata", UserName=user)
        ]
    except NotFoundError:
        return ()
    return tuple(sorted(keys, key=lambda key: (key.created is None, key.created, key.id)))


def key_use(aws: Aws, key_id: str) -> KeyUse:
    """Return when the key *key_id* was last used."""
    used: dict[str, Any] = aws.call("iam", "get_access_key_last_used", AccessKeyId=key_id)
    last = used.get("AccessKeyLastUsed", {})
    fields = {name: value for name, value in last.items() if value != "N/A"}
    return KeyUse(
        fields.get("LastUsedDate"), fields.get("ServiceName") or "", fields.get("Region") or ""
    )


def create_key(aws: Aws, user: str, before: frozenset[str]) -> AccessKey:
    """Create an access key for *user*, whose keys were *before*; sends the request only once.

    If the response is lost, a key may exist whose secret nobody has. Such a key is new and was
    never used, so it is removed. The error is raised in any case.
    """
    try:
        raw = aws.call("iam", "create_access_key", once=True, UserName=user)["AccessKey"]
    except AwsError as error:
        # The request may have succeeded although the response is an error.
        if isinstance(error, UnreachableError) or type(error) is AwsError:
            _remove_unknown(aws, user, before, error)
        raise
    return AccessKey(raw["AccessKeyId"], raw["SecretAccessKey"])


def delete_key(aws: Aws, user: str, key_id: str) -> None:
    """Delete the key *key_id* of *user*; it is not an error if there is none."""
    try:
        aws.call("iam", "delete_access_key", UserName=user, AccessKeyId=key_id)
    except NotFoundError:
        return


def is_key_id(text: str) -> bool:
    """Return whether *text* has the form of an access key id."""
    return _KEY_ID.fullmatch(text) is not None


def account_of(key_id: str) -> str | None:
    """Return the account that *key_id* belongs to, or None if it does not encode one.

    Key ids issued since 2019 contain the account in base 32, in bits 1 to 40; the first bit is set.
    """
    if len(key_id) != 20 or key_id[4] not in _UPPER_HALF:
        return None
    try:
        number = int.from_bytes(b32decode(key_id[4:])[:6], "big")
    except Base32Error:
        return None
    account = (number & 0x7FFFFFFFFF80) >> 7
    return f"{account:012d}" if account < 10**12 else None


def _remove_unknown(aws: Aws, user: str, before: frozenset[str], error: AwsError) -> None:
    try:
        for key in list_keys(aws, user):
            if key.id not in before and key_use(aws, key.id).when is None:
                delete_key(aws, user, key.id)
    except AwsError as second:
        error.add_note(f"could not check whether the key was created: {second.message}")


def key_to_delete(
    aws: Aws,
    user: str,
    keys: Sequence[KeyInfo],
    held: Collection[str],
    *,
    quiet: Callable[[KeyUse], bool] | None = None,
    last: str | None = None,
) -> str | None:
    """Return which of the user's *keys* to delete before creating another, or None.

    *held* are the ids in the stores. An inactive key among them is the first choice: it works for
    nobody, and its secret is about to be overwritten. Otherwise, if *quiet* is given, it is an
    inactive key in no store whose use *quiet* accepts; the key *last* only if there is no other.

    Without such a key, raises RefusedError with the evidence and the next command to run.
    """
    if len(keys) < MOST_KEYS:
        return None
    inactive = [key for key in keys if not key.active]
    useless = [key.id for key in inactive if key.id in held]
    if useless:
        return useless[0]
    inactive.sort(key=lambda key: key.id == last)
    if quiet is not None:
        for key in inactive:
            if quiet(key_use(aws, key.id)):
                return key.id
    uses = {key.id: key_use(aws, key.id) for key in keys}
    evidence = "; ".join(key_evidence(key, uses[key.id]) for key in keys)
    stored = ", ".join(f"`{key}`" for key in sorted(held)) or "none"
    free = [key for key in keys if key.id not in held]
    if inactive:
        remedy = f"if nobody needs it any more, run `cml-iam key delete {inactive[0].id}`"
    elif free:
        # The one that was never used, or whose last use is the longest ago.
        least = min(free, key=lambda key: _last_second(uses[key.id]))
        remedy = f"find out who uses `{least.id}`, then run `cml-iam key revoke {least.id}`"
    else:
        remedy = "put one key into all the stores: `cml-iam key deliver --to STORE --to STORE`"
    raise RefusedError(
        f"`{user}` has {len(keys)} access keys (the AWS maximum), so a third cannot be created: "
        f"{evidence}; the store holds {stored}",
        remedy=remedy,
    )


def _last_second(use: KeyUse) -> float:
    """Return the time of *use* in Unix seconds; 0 for a key that was never used."""
    return use.when.timestamp() if use.when else 0.0


def key_evidence(key: KeyInfo, use: KeyUse) -> str:
    """Describe the known facts about *key*."""
    creation = f", made {key.created:%Y-%m-%d}" if key.created else ""
    return f"`{key.id}` {key.status}{creation}, {use}"


def ask_health(url: str) -> None:
    """Send GET to *url*; raises IncompleteError unless the response is 2xx.

    The request does not contain the key. Raises InputError if *url* is not an HTTP URL.
    """
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://")):
        raise InputError(f"not an HTTP URL: `{url}`")
    try:
        with urlopen(Request(url), timeout=10.0):  # noqa: S310 - the scheme is checked above
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
