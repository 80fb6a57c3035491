"""Go back to the version of a policy that was in force before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.errors import InputError, RefusedError
from cml_iam.principal import read_document, read_policy
from cml_iam.provision._diff import difference
from cml_iam.provision._live import read_versions
from cml_iam.provision._plan import Call, Found, Step
from cml_iam.provision._policies import shared_policy, site_policies
from cml_iam.provision._tags import ours

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.provision._live import Version
    from cml_iam.provision._plan import Wanted
    from cml_iam.site import Site


def version_to(aws: Aws, site: Site, name: str | None, version: str | None) -> tuple[str, str]:
    """Return the policy to roll back and the version to go back to.

    Without *name* it is the site's policy, without *version* the highest below the one in force:
    bootstrap leaves the former one there. Raises RefusedError where that is not clear.
    """
    arn = _arn(aws, site, name)
    versions = read_versions(aws, arn)
    default = next(each for each in versions if each.default)
    if version is not None:
        if version not in [each.id for each in versions]:
            known = ", ".join(each.id for each in versions)
            raise InputError(f"no version `{version}`", remedy=f"choose one of {known}")
        return arn, version
    return arn, _former(versions, default, arn).id


def _former(versions: tuple[Version, ...], default: Version, arn: str) -> Version:
    earlier = [each for each in versions if each.number < default.number]
    if not earlier:
        raise RefusedError(f"`{arn}` has no version before {default.id} to go back to")
    if default != versions[-1]:
        raise RefusedError(
            f"`{arn}` is at {default.id} already, rolled back from {versions[-1].id}",
            remedy=f"to go back further, say where: --to {earlier[-1].id}",
        )
    return earlier[-1]


def _arn(aws: Aws, site: Site, name: str | None) -> str:
    """Return the ARN of the policy called *name*, or of the site's where it is a single one."""
    known = {arn.rpartition("/")[2]: arn for _, arn in site_policies(site)}
    if name is not None:
        if name not in known:
            raise InputError(f"`{name}` is none of the site's policies")
        arn = known[name]
    else:
        arn = site.policy_arn
    live = read_policy(aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if not ours(live.tags):
        raise RefusedError(
            f"the policy `{arn}` was not made by cml-iam",
            remedy="take it over first: `cml-iam bootstrap adopt`",
        )
    if name is None and read_policy(aws, f"{arn}-2") is not None:
        raise RefusedError(
            f"the policy is in several parts, and only you know which go back: `{arn}`, -2 …",
            remedy="name one of them: --policy NAME",
        )
    return arn


def rollback_steps(aws: Aws, wanted: Wanted) -> Found:
    """Return the step that makes the version the default one again."""
    assert wanted.target is not None  # noqa: S101 - `plan_rollback` says which
    arn, version = wanted.target
    name = arn.rpartition("/")[2]
    live = read_policy(aws, arn)
    if live is None:
        raise RefusedError(f"there is no policy `{arn}`")
    if live.default == version:
        return Found((Step("keep", "policy", name, (f"{version} is in force",)),))
    lines = difference(live.document, read_document(aws, arn, version))
    call = Call("iam", "set_default_policy_version", {"PolicyArn": arn, "VersionId": version})
    step = Step("change", "policy", name, (f"~ {live.default} → {version}", *lines), (call,))
    held = shared_policy(aws, live, but=wanted.site.principal, changes=True)
    again = "the next apply makes the site's policy again: change the site first"
    return replace(held, steps=(step,), warnings=(again, *held.warnings))
