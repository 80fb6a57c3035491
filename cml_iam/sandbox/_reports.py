"""IAM's reports: holders of a policy, the credential report, simulations, last-accessed data.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLastAccessedDetails.html
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from cml_iam import facts
from cml_iam.engine import (
    PrincipalPolicies,
    SimulationError,
    context_keys,
    simulate_custom,
    simulate_principal,
)
from cml_iam.errors import DocumentError
from cml_iam.policy import load_policy
from cml_iam.sandbox._answers import answers
from cml_iam.sandbox._principals import boundary_arn, held_policies, holder
from cml_iam.sandbox._wire import Call, Fault, Values
from cml_iam.sandbox._world import Principal, World


@answers("iam:ListEntitiesForPolicy")
def _list_entities_for_policy(world: World, _: Principal, call: Call) -> Values:
    """List holders as permissions policy, as boundary, or either."""
    arn, usage = call.params["PolicyArn"], call.params.get("PolicyUsageFilter")
    path, kind = call.params.get("PathPrefix", "/"), call.params.get("EntityFilter")
    if arn not in world.iam.managed_policies:
        raise Fault("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")

    def holds(entity: Any) -> bool:
        attached = arn in entity.managed_policies and usage != "PermissionsBoundary"
        bounded = boundary_arn(entity) == arn and usage != "PermissionsPolicy"
        return entity.path.startswith(path) and (attached or bounded)

    return {
        f"Policy{name}s": list(filter(holds, world.entities(name.lower())))
        if kind in (None, name)
        else []
        for name in ("User", "Role", "Group")
    }


_NO_KEY: Final = ["false", "N/A", "N/A", "N/A", "N/A"]
_NO_CERTIFICATES: Final = ["false", "N/A", "false", "N/A"]


@answers("iam:GetCredentialReport")
def _credential_report(world: World, *_: Any) -> Values:
    if not world.iam.report_generated():
        raise Fault("ReportNotPresent", "No report exists. Call GenerateCredentialReport first.")
    started = _time(world.started)
    root = ["<root_account>", world.root_arn, started]
    root += ["not_supported", "no_information", "not_supported", "not_supported", "false"]
    root += ["true", started, *_use(world.root_used), *_NO_KEY, *_NO_CERTIFICATES]
    lines = [root, *map(_line, world.entities("user"))]
    columns = world.iam.get_credential_report().partition("\n")[0]
    content = "\n".join([columns, *map(",".join, lines)])
    generated = world.naive_now()
    return {"Content": content.encode(), "ReportFormat": "text/csv", "GeneratedTime": generated}


def _line(user: Any) -> list[str]:
    created = _time(user.create_date)
    password = ["false", "N/A", "N/A", "N/A"]
    if user.password is not None:
        used = user.password_last_used
        password = ["true", _time(used) if used else "no_information", created, "N/A"]
    mfa = "true" if user.mfa_devices else "false"
    keys = [_key(key) for key in user.access_keys] + [_NO_KEY, _NO_KEY]
    return [user.name, user.arn, created, *password, mfa, *keys[0], *keys[1], *_NO_CERTIFICATES]


def _key(key: Any) -> list[str]:
    active = "true" if key.status == "Active" else "false"
    return [active, _time(key.create_date), *_use(key.last_used)]


def _use(last: Any) -> list[str]:
    return [_time(last.timestamp), last.region, last.service] if last else ["N/A", "N/A", "N/A"]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


@answers("iam:SimulateCustomPolicy", "iam:SimulatePrincipalPolicy")
def _simulate(world: World, _: Principal, call: Call) -> Values:
    arn = call.params.get("PolicySourceArn")
    try:
        if arn is None:
            return simulate_custom(call.params, shape=world.shape)
        return simulate_principal(call.params, _source(world, arn), shape=world.shape)
    except SimulationError as error:
        raise Fault(error.code, error.message, error.status) from error


@answers("iam:GetContextKeysForCustomPolicy", "iam:GetContextKeysForPrincipalPolicy")
def _list_context_keys(world: World, _: Principal, call: Call) -> Values:
    arn = call.params.get("PolicySourceArn")
    documents = list(call.params.get("PolicyInputList", ()))
    if arn is not None:
        source = _source(world, arn)
        if source is None:
            raise Fault("NoSuchEntity", f"The entity {arn} cannot be found.")
        documents = [policy.document for policy in source.policies] + documents
    try:
        return {"ContextKeyNames": context_keys(documents)}
    except DocumentError as error:
        raise Fault("InvalidInput", error.message) from error


def _source(world: World, arn: str) -> PrincipalPolicies | None:
    for kind in ("user", "group", "role"):
        entity = world.entity(kind, arn)
        if entity is not None:
            held = held_policies(world, entity)
            return PrincipalPolicies(arn, held.identity, held.boundary)
    return None


TRACKED: Final = frozenset({"ec2", "iam"})
"""The services whose actions the sandbox tracks individually; AWS tracks more.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed-action-last-accessed.html
"""


def note_use(world: World, principal: Principal, call: Call) -> None:
    """Record that *principal* tries *call* now; actions of the root are not tracked."""
    from moto.iam.models import AccessKeyLastUsed

    used = AccessKeyLastUsed(world.naive_now(), call.service, call.region)
    if principal.is_root:
        world.root_used = used
        return
    key = world.iam.access_keys.get(principal.access_key_id)
    if key is not None:
        key.last_used = used
    arn = holder(world, principal).arn if principal.role is not None else principal.arn
    world.accessed.setdefault(arn, {})[call.action] = (world.now(), call.region)


@answers("iam:GenerateServiceLastAccessedDetails")
def _generate_details(world: World, _: Principal, call: Call) -> Values:
    """Start a job, which is done immediately."""
    arn = call.params["Arn"]
    if _source(world, arn) is None:
        raise Fault("NoSuchEntity", f"ARN {arn} cannot be found.")
    job = str(uuid.uuid4())
    world.access_jobs[job] = (arn, call.params.get("Granularity", "SERVICE_LEVEL"))
    return {"JobId": job}


@answers("iam:GetServiceLastAccessedDetails")
def _get_details(world: World, _: Principal, call: Call) -> Values:
    job = world.access_jobs.get(call.params["JobId"])
    if job is None:
        raise Fault("NoSuchEntity", f"Job {call.params['JobId']} cannot be found.")
    arn, granularity = job
    now = world.naive_now()
    services = [
        _service(world, arn, name, actions if granularity == "ACTION_LEVEL" else set())
        for name, actions in sorted(_granted(world, arn).items())
    ]
    return {
        "JobStatus": "COMPLETED",
        "JobType": granularity,
        "JobCreationDate": now,
        "JobCompletionDate": now,
        "ServicesLastAccessed": services,
        "IsTruncated": False,
    }


def _service(world: World, arn: str, name: str, tracked: set[str]) -> dict[str, Any]:
    """Return when *arn* last used the service *name*, and each of its *tracked* actions."""
    prefix = f"{name}:"
    used = {
        action.removeprefix(prefix): access
        for action, access in world.accessed.get(arn, {}).items()
        if action.startswith(prefix)
    }
    service: dict[str, Any] = {
        "ServiceName": name,
        "ServiceNamespace": name,
        "TotalAuthenticatedEntities": 1 if used else 0,
    }
    if not used:
        return service
    last = max(used.values())
    service |= _last(arn, last, time="LastAuthenticated", prefix="LastAuthenticated")
    if tracked and name in TRACKED:
        service["TrackedActionsLastAccessed"] = [
            {
                "ActionName": action,
                **_last(arn, used.get(action), time="LastAccessedTime", prefix="LastAccessed"),
            }
            for action in sorted(tracked)
        ]
    return service


def _last(
    arn: str, access: tuple[datetime, str] | None, *, time: str, prefix: str
) -> dict[str, Any]:
    """Return the members of an answer about the last *access*; none if there was none.

    *time* is the name of the member with the time; the names of the others begin with *prefix*.
    """
    if access is None:
        return {}
    when, region = access
    return {time: when.replace(tzinfo=None), f"{prefix}Entity": arn, f"{prefix}Region": region}


def _granted(world: World, arn: str) -> dict[str, set[str]]:
    """Return the actions that the principal's Allow statements name, by service."""
    source = _source(world, arn)
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
    prefixes = sorted(TRACKED) if pattern == "*" else [prefix]
    for service in map(facts.service, prefixes):
        if service is not None:
            yield from ((service.name, action.name) for action in service.matching(name or "*"))
