"""What principals used when, as IAM keeps track of it: attempts too, whether allowed or not.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLastAccessedDetails.html
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.policy import load_policy
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._principals import find_role
from cml_iam.sandbox._simulate import find_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

TRACKED: Final = frozenset({"ec2", "iam"})
"""The services whose actions are tracked one by one here; AWS has a longer list.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed-action-last-accessed.html
"""


def note_use(world: World, principal: Principal, call: Call) -> None:
    """Remember that *principal* tried *call* just now; the root's actions are not kept track of."""
    from moto.iam.models import AccessKeyLastUsed

    used = (world.now().replace(tzinfo=None), call.service, call.region)
    if principal.is_root:
        world.root_used = used
        return
    key = world.iam.access_keys.get(principal.access_key_id)
    if key is not None:
        key.last_used = AccessKeyLastUsed(*used)
    arn = principal.arn
    if principal.role is not None:
        arn = str(find_role(world, principal.role).arn)
    world.accessed.setdefault(arn, {})[call.action] = (world.now(), call.region)


def generate_details(world: World, _: Principal, call: Call) -> Answer:
    """Answer GenerateServiceLastAccessedDetails: the job is done at once."""
    arn = call.params["Arn"]
    if find_source(world, arn) is None:
        raise Fault("NoSuchEntity", f"ARN {arn} cannot be found.", 404)
    job = str(uuid.uuid4())
    world.access_jobs[job] = (arn, call.params.get("Granularity", "SERVICE_LEVEL"))
    return result_answer(call, {"JobId": job})


def get_details(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetServiceLastAccessedDetails."""
    job = world.access_jobs.get(call.params["JobId"])
    if job is None:
        raise Fault("NoSuchEntity", f"Job {call.params['JobId']} cannot be found.", 404)
    arn, granularity = job
    now = world.now().replace(tzinfo=None)
    services = [
        _service(world, arn, name, actions, detailed=granularity == "ACTION_LEVEL")
        for name, actions in sorted(_granted(world, arn).items())
    ]
    return result_answer(
        call,
        {
            "JobStatus": "COMPLETED",
            "JobType": granularity,
            "JobCreationDate": now,
            "JobCompletionDate": now,
            "ServicesLastAccessed": services,
            "IsTruncated": False,
        },
    )


def _service(
    world: World, arn: str, name: str, actions: set[str], *, detailed: bool
) -> dict[str, Any]:
    used = {
        action.partition(":")[2]: seen
        for action, seen in world.accessed.get(arn, {}).items()
        if action.partition(":")[0] == name
    }
    said: dict[str, Any] = {
        "ServiceName": name,
        "ServiceNamespace": name,
        "TotalAuthenticatedEntities": 1 if used else 0,
    }
    if used:
        when, where = max(used.values())
        said |= {
            "LastAuthenticated": when.replace(tzinfo=None),
            "LastAuthenticatedEntity": arn,
            "LastAuthenticatedRegion": where,
        }
    if detailed and used and name in TRACKED:
        said["TrackedActionsLastAccessed"] = [
            _action(arn, action, used.get(action)) for action in sorted(actions)
        ]
    return said


def _action(arn: str, action: str, seen: tuple[datetime, str] | None) -> dict[str, Any]:
    if seen is None:
        return {"ActionName": action}
    when, where = seen
    return {
        "ActionName": action,
        "LastAccessedTime": when.replace(tzinfo=None),
        "LastAccessedEntity": arn,
        "LastAccessedRegion": where,
    }


def _granted(world: World, arn: str) -> dict[str, set[str]]:
    """Return the actions that policies of the principal name in an Allow, by service."""
    source = find_source(world, arn)
    granted: dict[str, set[str]] = {}
    for policy in source.policies if source else ():
        for statement in load_policy(policy.document, policy.name).statements:
            if statement.effect == "Allow":
                for pattern in statement.action or ():
                    for service, action in _named(pattern):
                        granted.setdefault(service, set()).add(action)
    return granted


def _named(pattern: str) -> Iterator[tuple[str, str]]:
    prefix, _, name = pattern.partition(":")
    services = sorted(TRACKED) if pattern == "*" else [prefix]
    for each in services:
        known = facts.service(each)
        if known is not None:
            yield from ((known.name, action.name) for action in known.matching(name or "*"))
