"""What would stop an apply half-way, or put workers out of reach: looked for before it begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cml_iam.errors import AwsError, DeniedError, Problem
from cml_iam.workers import WorkerManager, find_orphans, guard_of, list_fleet, looks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.aws.port import Aws
    from cml_iam.provision._plan import Plan, Step

SHOWN: Final = 5
"""Ids of workers that are written out; a command shows all."""


@dataclass(frozen=True, slots=True)
class _Listing:
    """How the names that are taken are listed: operation, key of the answer, name of one."""

    operation: str
    key: str
    name: str


_NAMES: Final = {
    "user": _Listing("list_users", "Users", "UserName"),
    "role": _Listing("list_roles", "Roles", "RoleName"),
    "policy": _Listing("list_policies", "Policies", "PolicyName"),
    "instance profile": _Listing(
        "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"
    ),
}


def foresee(aws: Aws, plan: Plan) -> Plan:
    """Return *plan* with what AWS would refuse of it, and which workers it puts out of reach.

    Only reads; what may not be read is said to be unforeseen.
    """
    refused = list(plan.refused)
    lost: list[str] = []
    for step in plan.steps:
        if step.mark == "create" and step.resource in _NAMES:
            try:
                refused += _taken(aws, step)
            except DeniedError as error:
                lost.append(
                    f"could not check whether a {step.resource} is called like `{step.name}` in"
                    f" another case or at another path: {error.refused}"
                )
    said, unseen = _out_of_reach(aws, plan) if _guards(plan) else ((), ())
    return replace(plan, refused=tuple(refused), foreseen=said, unforeseen=(*lost, *unseen))


def _taken(aws: Aws, step: Step) -> Iterator[Problem]:
    """Yield why the name of what is to be made is taken: neither case nor path make another.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    listing = _NAMES[step.resource]
    options = {"Scope": "Local"} if step.resource == "policy" else {}
    for each in aws.pages("iam", listing.operation, listing.key, **options):
        if each[listing.name].casefold() == step.name.casefold():
            yield Problem(
                f"there is a {step.resource} `{each['Arn']}` already, and IAM has one of a name,"
                " whatever its case and path",
                None,
                "write the name and `path` in the site file as they are there, or choose another",
            )


def _guards(plan: Plan) -> bool:
    """Say whether the plan puts a policy in force that asks for the guard tag."""
    tag = plan.wanted.site.restrict.guard_tag
    changes = any(each.resource == "policy" and each.changes for each in plan.steps)
    return changes and tag is not None and any(tag.key in each for each in plan.wanted.documents)


def _out_of_reach(aws: Aws, plan: Plan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return which workers lack the guard tag, and in which regions nobody could look."""
    site = plan.wanted.site
    manager = WorkerManager(aws, guard=guard_of(site))
    regions = site.restrict.regions or (site.home_region,)
    listing = list_fleet(
        regions, lambda each: manager.get_all_instances(region=each, managed_only=False)
    )
    lost = tuple(
        f"could not look for workers without the tag `{manager.guard}` in {region}: {_why(error)}"
        for region, error in listing.failures.items()
    )
    try:
        orphans = find_orphans(manager, listing.workers, looks_of(site))
    except AwsError as error:
        return (), (*lost, f"could not look at the images of instances: {_why(error)}")
    ids = [each.worker.id for each in orphans if each.likely]
    return ((_adopt_first(ids, str(manager.guard)),) if ids else ()), lost


def _adopt_first(ids: list[str], guard: str) -> str:
    named = " ".join(ids[:SHOWN]) + (" …" if ids[SHOWN:] else "")
    what = "instances look like workers and lack"
    if len(ids) == 1:
        what = "instance looks like a worker and lacks"
    return (
        f"{len(ids)} {what} the tag `{guard}`, without which the policy lets the manager operate"
        f" none: adopt first, `cml-iam worker adopt {named}` (`cml-iam worker orphans` says why)"
    )


def _why(error: AwsError) -> str:
    return error.refused if isinstance(error, DeniedError) else error.message
