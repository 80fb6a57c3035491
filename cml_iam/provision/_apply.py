"""Apply a plan: check for obstacles, carry out its steps, resolve unanswered calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from cml_iam.aws.port import Aws
from cml_iam.errors import AwsError, DeniedError, IncompleteError, NotFoundError, Problem
from cml_iam.provision._plan import Call, Plan, Step
from cml_iam.site import Site
from cml_iam.workers import WorkerManager, find_orphans, list_fleet

SHOWN: Final = 5
"""The maximum number of worker ids shown; a command lists all."""


_NAMES: Final = {
    "user": ("list_users", "Users", "UserName"),
    "role": ("list_roles", "Roles", "RoleName"),
    "policy": ("list_policies", "Policies", "PolicyName"),
    "instance profile": ("list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
}
"""How to list the names in use: the operation, the list in its response, the name's member."""


def foresee(aws: Aws, plan: Plan) -> Plan:
    """Return *plan* with what AWS would refuse, and with the workers that the manager would lose.

    Only reads; what it could not read is listed as unforeseen.
    """
    refused = list(plan.refused)
    unforeseen: list[str] = []
    for step in plan.steps:
        if step.mark == "create" and step.resource in _NAMES:
            try:
                refused += _taken(aws, step)
            except DeniedError as error:
                unforeseen.append(
                    f"could not check whether a {step.resource} has the name `{step.name}` in "
                    f"another case or at another path: {error.refused}"
                )
    lost, unseen = _out_of_reach(aws, plan.desired.site) if _guards(plan) else ((), ())
    return replace(plan, refused=tuple(refused), foreseen=lost, unforeseen=(*unforeseen, *unseen))


def _taken(aws: Aws, step: Step) -> Iterator[Problem]:
    """Yield the steps' new names that are taken, regardless of case and path.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    operation, key, member = _NAMES[step.resource]
    options = {"Scope": "Local"} if step.resource == "policy" else {}
    for page in aws.pages("iam", operation, key, **options):
        if page[member].casefold() == step.name.casefold():
            yield Problem(
                f"the {step.resource} `{page['Arn']}` already exists, and IAM allows a name "
                "once, regardless of case and path",
                None,
                "write its exact name and `path` in the site file, or choose another name",
            )


def _guards(plan: Plan) -> bool:
    """Return whether the plan puts a policy in force that requires the guard tag."""
    tag = plan.desired.site.restrict.guard_tag
    changes = any(step.resource == "policy" and step.changes for step in plan.steps)
    return (
        changes
        and tag is not None
        and any(tag.key in document for document in plan.desired.documents)
    )


def _out_of_reach(aws: Aws, site: Site) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the workers without the guard tag, and the regions that could not be listed."""
    manager = WorkerManager(aws, guard=site.restrict.guard_tag)
    listing = list_fleet(
        site.restrict.regions or (site.home_region,),
        lambda region: manager.get_all_instances(region=region, managed_only=False),
    )
    unlisted = tuple(
        f"could not look for workers without the tag `{manager.guard}` in {region}: {_why(error)}"
        for region, error in listing.failures.items()
    )
    try:
        orphans = find_orphans(manager, listing.workers, site)
    except AwsError as error:
        return (), (*unlisted, f"could not look at the images of instances: {_why(error)}")
    ids = [orphan.worker.id for orphan in orphans if orphan.likely]
    if not ids:
        return (), unlisted
    named = " ".join(ids[:SHOWN]) + (" …" if ids[SHOWN:] else "")
    one = len(ids) == 1
    look = (
        "instance looks like a worker but lacks" if one else "instances look like workers but lack"
    )
    warning = (
        f"{len(ids)} {look} the tag `{manager.guard}`, so the policy does not let the manager "
        f"operate them: adopt them first, `cml-iam worker adopt {named}` "
        "(`cml-iam worker orphans` says why)"
    )
    return (warning,), unlisted


def _why(error: AwsError) -> str:
    return error.refused if isinstance(error, DeniedError) else error.message


PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between tries of a call that does not yet see an earlier call's result."""

NOT_YET: Final = frozenset(
    {
        "NoSuchEntity",
        "EntityTemporarilyUnmodifiable",
        "NoSuchBucket",
        "OperationAborted",
        "CloudTrailAccessNotEnabledException",
        "InsufficientS3BucketPolicyException",
        "InvalidCloudWatchLogsLogGroupArnException",
        "InvalidCloudWatchLogsRoleArnException",
    }
)
"""AWS's error codes while a new resource is not yet visible everywhere."""


def do_steps(
    aws: Aws,
    steps: Iterable[Step],
    look: Callable[[], Iterable[Step]],
    report: Callable[[Step], None],
    pause: Callable[[float], None],
) -> None:
    """Carry out *steps*; *report* is called before each, *look* plans again without an answer."""
    for step in steps:
        report(step)
        try:
            for call in step.calls:
                _call_patiently(aws, call, pause)
        except AwsError as error:
            # The step may have succeeded: the response was lost, or boto3 sent the call twice and
            # the second failed because the first had succeeded.
            if not _settled(step, look, error):
                raise


def _call_patiently(aws: Aws, call: Call, pause: Callable[[float], None]) -> None:
    """Make *call*; repeat it until AWS sees the results on which it depends.

    IAM is eventually consistent: the result of an earlier step may not be visible yet.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
    """
    removes = call.operation.startswith(("delete_", "detach_", "remove_", "deactivate_"))
    for seconds in (*PAUSES, None):
        try:
            aws.call(
                call.service, call.operation, region=call.region, once=call.once, **call.parameters
            )
        except AwsError as error:
            if removes and isinstance(error, NotFoundError):
                return  # already deleted, as intended
            if error.code not in NOT_YET or seconds is None:
                raise
            pause(seconds)
        else:
            return


def _settled(step: Step, look: Callable[[], Iterable[Step]], error: AwsError) -> bool:
    try:
        now = tuple(look())
    except AwsError as second:
        raise IncompleteError(
            f"stopped at the {step.resource} `{step.name}`: {error.message}; whether it worked "
            f"is unknown: {second.message}",
            remedy="run the same command again",
        ) from error
    # The tags of a new resource have their own step, which is not in the plan.
    place = (step.resource, step.name)
    return not any(other.changes for other in now if (other.resource, other.name) == place)
