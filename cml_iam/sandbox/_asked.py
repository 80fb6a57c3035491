"""The authorizations that a call needs: its action on every resource, and further actions.

If an operation's resources are unknown, its permission is needed on every resource.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.engine import Request
from cml_iam.engine.authorization import tag_request
from cml_iam.sandbox._asked_ec2 import ec2_asked, pass_role
from cml_iam.sandbox._asked_iam import (
    IAM_REGION,
    arn_of,
    boundary_keys,
    iam_resources,
    resource_tags_of,
    s3_actions,
    s3_keys,
    s3_resources,
)
from cml_iam.sandbox._services import resource_types, rows

if TYPE_CHECKING:
    from cml_iam.engine.authorization import Caller
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

Context = dict[str, "str | list[str]"]
Resources = Callable[["World", "Call"], "Iterable[str] | None"]

_NEEDS_NOTHING: Final = frozenset({"sts:GetSessionToken"})
"""Calls that need no permission; the engine itself knows sts:GetCallerIdentity."""

_SUFFIX: Final = "-??????"
"""Stands for the six characters that Secrets Manager appends to the name of a new secret."""


def asked_of(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization *call* needs; all must be allowed."""
    if call.service == "ec2":
        return ec2_asked(world, caller, call)
    if call.action in _NEEDS_NOTHING:
        return ()
    tags = _tags(call)
    context = caller.context() | {
        "aws:RequestedRegion": IAM_REGION if call.service == "iam" else call.region,
        **_named_keys(call),
        **tag_request(tags),
        **(_KEYS[call.service](world, call) if call.service in _KEYS else {}),
    }
    kind, resources = _RESOURCES.get(call.service, ("", None))
    kinds = resource_types(call.service, call.action.partition(":")[2])
    fits = any(each.startswith(kind) for each in kinds)
    arns = tuple(resources(world, call) or ()) if fits and resources else ()
    actions = list(s3_actions(call)) if call.service == "s3" else [call.action]
    if tags and call.action in rows("tags-on-create"):
        actions.append(rows("tags-on-create")[call.action])
    asked = [
        Request(action, arn, caller.arn, context | _held(world, call, arn))
        for action in actions
        for arn in arns or ("*",)
    ]
    return (*asked, *_passing(world, caller, call, context))


def _passing(world: World, caller: Caller, call: Call, context: Context) -> list[Request]:
    """Return the iam:PassRole authorization of a call that passes a role."""
    name, service = rows("passes").get(call.action, ("", ""))
    given = call.params.get(name) or ()
    roles = [given] if isinstance(given, str) else [each.get("RoleArn") for each in given]
    if call.service == "iam":
        roles = [arn_of(world, "role", each) for each in roles]
    return [pass_role(caller, role, service, context) for role in roles if role]


def _named_keys(call: Call) -> Context:
    """Return the service's condition keys whose names match parameters of the call."""
    service = facts.service(call.service)
    action = service.action(call.action.partition(":")[2]) if service is not None else None
    keys: Context = {}
    for name, value in call.params.items():
        key = f"{call.service}:{name}"
        if action is not None and action.has_key(key) and not isinstance(value, dict):
            listed = isinstance(value, list)
            keys[key] = [str(each) for each in value] if listed else _text(value)
    removed = [each for each in _values(call, "TagKeys", "tagKeys", "tags") if type(each) is str]
    if removed:
        keys["aws:TagKeys"] = removed
    return keys


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tags(call: Call) -> dict[str, str]:
    given = next((call.params[n] for n in ("Tags", "TagsList", "tags") if call.params.get(n)), ())
    if isinstance(given, dict):
        return {str(key): str(value) for key, value in given.items()}
    # The tags to remove have only keys.
    tags = [each for each in given if isinstance(each, dict)]
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags}


def _where(world: World, call: Call, service: str) -> str:
    return f"arn:{world.partition}:{service}:{call.region}:{world.account}"


def _cloudtrail(world: World, call: Call) -> Iterable[str]:
    named = _values(call, "Name", "TrailName", "ResourceId", "ResourceIdList")
    where = f"{_where(world, call, 'cloudtrail')}:trail/"
    return _both(named, lambda name: f"{where}{name.rpartition('/')[2]}")


def _cloudwatch(world: World, call: Call) -> Iterable[str]:
    kinds = resource_types("cloudwatch", call.operation)
    where = f"{_where(world, call, 'cloudwatch')}:"
    account = f"arn:{world.partition}:cloudwatch::{world.account}:"
    found = _values(call, "ResourceARN")
    if "alarm" in kinds:
        found += [f"{where}alarm:{name}" for name in _values(call, "AlarmNames", "AlarmName")]
    if "dashboard" in kinds:
        names = _values(call, "DashboardNames", "DashboardName")
        found += [f"{account}dashboard/{name}" for name in names]
    required = [kind for kind, needed in kinds.items() if needed]
    if not found and required:
        found = [f"{where}{required[0]}{':' if required[0] == 'alarm' else '/'}*"]
    return found


def _logs(world: World, call: Call) -> Iterable[str] | None:
    """Return the resource that CloudWatch Logs authorizes: a group's streams, even for the group.

    Its error messages show this: https://github.com/elastic/apm-aws-lambda/issues/526
    """
    params = call.params
    if "resourceArn" in params:
        return (str(params["resourceArn"]),)
    group = params.get("logGroupName")
    if not group or "logGroupIdentifier" in params:
        return None
    arn = f"{_where(world, call, 'logs')}:log-group:{group}:log-stream:"
    if "log-stream" not in resource_types("logs", call.operation):
        return (arn,)
    return (arn + params["logStreamName"],) if "logStreamName" in params else None


def _sns(world: World, call: Call) -> Iterable[str]:
    named = _values(call, "TopicArn", "TargetArn", "ResourceArn")
    if call.operation == "CreateTopic":
        named += _values(call, "Name")
    named += [arn.rpartition(":")[0] for arn in _values(call, "SubscriptionArn")]
    return _both(named, lambda arn: f"{_where(world, call, 'sns')}:{arn.rpartition(':')[2]}")


def _events(world: World, call: Call) -> Iterable[str] | None:
    name = call.params.get("Rule") or call.params.get("Name")
    if not name:
        return None
    bus = str(call.params.get("EventBusName") or "default").rpartition("/")[2]
    inside = f"{bus}/{name}" if bus != "default" else name
    return (f"{_where(world, call, 'events')}:rule/{inside}",)


def _secretsmanager(world: World, call: Call) -> Iterable[str] | None:
    """Return the secret's ARN; only the name if the secret does not exist.

    An error then contains the bare name:
    https://github.com/mongodb/awscdk-resources-mongodbatlas/issues/207
    """
    if call.operation == "CreateSecret":
        where = f"{_where(world, call, 'secretsmanager')}:secret:"
        return (f"{where}{call.params.get('Name', '')}{_SUFFIX}",)
    if "SecretId" not in call.params:
        return None
    given = call.params["SecretId"]
    found = _secret(world, call, given)
    return _both([given], lambda _: found.arn) if found is not None else (given,)


def _ssm(world: World, call: Call) -> Iterable[str] | None:
    if call.params.get("ResourceType", "Parameter") != "Parameter":
        return None
    named = _values(call, "Name", "Path", "ResourceId", "Names")
    where = f"{_where(world, call, 'ssm')}:parameter/"
    return _both(named, lambda name: where + _plain_parameter(name))


def _plain_parameter(name: str) -> str:
    """Return the name of a parameter, without its ARN prefix and its version or label."""
    if name.startswith("arn:"):
        name = name.partition(":parameter")[2]
    return name.partition(":")[0].strip("/")


def _both(named: Iterable[Any], local: Callable[[str], str]) -> list[str]:
    """Return the local ARN of every name; a different ARN is returned in addition.

    The call acts on this account, so authorizing a foreign ARN alone is not enough.
    """
    found: list[str] = []
    for each in map(str, named):
        if each.startswith("arn:"):
            found.append(each)
        found.append(local(each))
    return list(dict.fromkeys(found))


def _held(world: World, call: Call, arn: str) -> Context:
    """Return the keys that describe a resource, mainly its tags."""
    more: Context = {}
    tags: Mapping[str, str] = {}
    if call.service in ("iam", "sts"):
        return resource_tags_of(world, arn)
    if call.service == "ssm" and ":parameter/" in arn:
        name = arn.partition(":parameter/")[2]
        held = world.moto.backend("ssm", call.region)._resource_tags["Parameter"]  # noqa: SLF001 - moto has no other way
        tags = held.get(name) or held.get(f"/{name}") or {}
    secret = _secret(world, call, arn) if call.service == "secretsmanager" else None
    if secret is not None:
        more = {"secretsmanager:SecretId": arn}
        tags = {tag["Key"]: tag["Value"] for tag in secret.tags or ()}
    keys = {f"{p}:ResourceTag/{k}": v for k, v in tags.items() for p in ("aws", call.service)}
    return {**more, **keys}


def _secret(world: World, call: Call, named: str) -> Any:
    return world.moto.backend("secretsmanager", call.region).secrets.get(named)


def _values(call: Call, *names: str) -> list[Any]:
    """Return the values of the parameters *names*, with the elements of lists one by one."""
    given = [call.params[name] for name in names if call.params.get(name)]
    return [each for value in given for each in (value if isinstance(value, list) else [value])]


_RESOURCES: Final[Mapping[str, tuple[str, Resources]]] = {
    "cloudtrail": ("trail", _cloudtrail),
    "cloudwatch": ("", _cloudwatch),
    "events": ("rule", _events),
    "iam": ("", iam_resources),
    "logs": ("log-", _logs),
    "s3": ("", s3_resources),
    "secretsmanager": ("Secret", _secretsmanager),
    "sns": ("topic", _sns),
    "ssm": ("parameter", _ssm),
    "sts": ("", lambda _, call: call.params.get("RoleArn") and [call.params["RoleArn"]]),
}
"""By service: the prefix of the resource types with known names, and a function to find them."""

_KEYS: Final[Mapping[str, Callable[[World, Call], Context]]] = {
    "iam": boundary_keys,
    "s3": s3_keys,
}
"""By service: the function that returns condition keys named differently from their parameters."""
