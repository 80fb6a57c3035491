"""Which authorizations a call of the services around the manager needs.

Where the resources of an operation are not known here, it needs its permission on every resource.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.authorization import tag_request
from cml_iam.engine import Request
from cml_iam.sandbox._services import resource_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cml_iam.authorization import Caller
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._world import World

    Rule = Callable[[World, Call], Iterable[str] | None]

Context = dict[str, "str | list[str]"]

_TRAIL_NAMED: Final = ("Name", "TrailName", "ResourceId")
_TAGS_ON_CREATE: Final = {
    "cloudtrail:CreateTrail": "cloudtrail:AddTags",
    "events:PutRule": "events:TagResource",
    "logs:CreateLogGroup": "logs:TagResource",
    "secretsmanager:CreateSecret": "secretsmanager:TagResource",
    "sns:CreateTopic": "sns:TagResource",
    "ssm:PutParameter": "ssm:AddTagsToResource",
}
_PASSES: Final = {
    "cloudtrail:CreateTrail": ("CloudWatchLogsRoleArn", "cloudtrail.amazonaws.com"),
    "cloudtrail:UpdateTrail": ("CloudWatchLogsRoleArn", "cloudtrail.amazonaws.com"),
    "events:PutRule": ("RoleArn", "events.amazonaws.com"),
}
"""The parameter with a role that is handed to a service, and the service."""

_KEYS: Final = {
    "secretsmanager": {
        "Name": "secretsmanager:Name",
        "VersionId": "secretsmanager:VersionId",
        "VersionStage": "secretsmanager:VersionStage",
        "KmsKeyId": "secretsmanager:KmsKeyId",
        "RecoveryWindowInDays": "secretsmanager:RecoveryWindowInDays",
        "ForceDeleteWithoutRecovery": "secretsmanager:ForceDeleteWithoutRecovery",
    },
    "sns": {"Protocol": "sns:Protocol", "Endpoint": "sns:Endpoint"},
    "ssm": {"Overwrite": "ssm:Overwrite", "Recursive": "ssm:Recursive"},
}
"""The condition keys that parameters fill, by service."""

_SUFFIX: Final = "-??????"
"""Stands for the six characters Secrets Manager adds to the name of a new secret."""


def others_asked(world: World, caller: Caller, call: Call) -> tuple[Request, ...]:
    """Return every authorization *call* needs; on `*` where its resources are not known."""
    kind, rule = _RULES.get(call.service, ("", None))
    kinds = resource_types(call.service, call.operation)
    fits = rule is not None and any(each.startswith(kind) for each in kinds)
    arns = tuple(rule(world, call) or ()) if fits and rule else ()
    context = caller.context() | {"aws:RequestedRegion": call.region} | _keys(call)
    tags = _tags(call)
    context |= tag_request(tags)
    asked = [
        Request(call.action, arn, caller.arn, context | _held_tags(world, call, arn))
        for arn in arns or ("*",)
    ]
    also = _TAGS_ON_CREATE.get(call.action)
    if also and tags:
        asked += [Request(also, arn, caller.arn, context) for arn in arns or ("*",)]
    return (*asked, *_passing(caller, call, context))


def _passing(caller: Caller, call: Call, context: Context) -> list[Request]:
    """Return the iam:PassRole of a call that hands over a role."""
    name, service = _PASSES.get(call.action, ("", ""))
    roles = [call.params[name]] if call.params.get(name) else []
    if call.action == "events:PutTargets":
        service = "events.amazonaws.com"
        roles = [each["RoleArn"] for each in _listed(call, "Targets") if each.get("RoleArn")]
    passed: Context = {"iam:PassedToService": service}
    return [Request("iam:PassRole", role, caller.arn, context | passed) for role in roles]


def _keys(call: Call) -> Context:
    keys: Context = {}
    for name, key in _KEYS.get(call.service, {}).items():
        value = call.params.get(name)
        if value is not None:
            keys[key] = str(value).lower() if isinstance(value, bool) else str(value)
    named = [each for name in ("TagKeys", "tagKeys", "tags") for each in _listed(call, name)]
    if named:
        keys["aws:TagKeys"] = [each for each in named if isinstance(each, str)]
    return keys


def _tags(call: Call) -> dict[str, str]:
    given = next((call.params[n] for n in ("Tags", "TagsList", "tags") if call.params.get(n)), ())
    if isinstance(given, dict):
        return {str(key): str(value) for key, value in given.items()}
    # The tags to take away are only named.
    tags = [each for each in given if isinstance(each, dict)]
    return {each.get("Key", ""): each.get("Value", "") for each in tags}


def _where(world: World, call: Call, service: str) -> str:
    return f"arn:{world.partition}:{service}:{call.region}:{world.account}"


def _cloudtrail(world: World, call: Call) -> Iterable[str] | None:
    named = [call.params[name] for name in _TRAIL_NAMED if call.params.get(name)]
    named += _listed(call, "ResourceIdList")
    where = f"{_where(world, call, 'cloudtrail')}:trail/"
    return _both(named, lambda name: f"{where}{name.rpartition('/')[2]}")


def _logs(world: World, call: Call) -> Iterable[str] | None:
    """Return what CloudWatch Logs asks about: a group's streams, even of the group itself.

    Its refusals name it: https://github.com/elastic/apm-aws-lambda/issues/526
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


def _sns(world: World, call: Call) -> Iterable[str] | None:
    params = call.params
    if call.operation == "CreateTopic":
        return (f"{_where(world, call, 'sns')}:{params.get('Name', '')}",)
    named = [params[n] for n in ("TopicArn", "TargetArn", "ResourceArn") if n in params]
    if "SubscriptionArn" in params:
        named.append(params["SubscriptionArn"].rpartition(":")[0])
    return _both(named, lambda arn: f"{_where(world, call, 'sns')}:{arn.rpartition(':')[2]}")


def _events(world: World, call: Call) -> Iterable[str] | None:
    name = call.params.get("Rule") or call.params.get("Name")
    if not name:
        return None
    bus = str(call.params.get("EventBusName") or "default").rpartition("/")[2]
    inside = f"{bus}/{name}" if bus != "default" else name
    return (f"{_where(world, call, 'events')}:rule/{inside}",)


def _secretsmanager(world: World, call: Call) -> Iterable[str] | None:
    """Return the secret's ARN; one that is not there is only called by its name.

    A refusal then names the bare name: https://github.com/mongodb/awscdk-resources-mongodbatlas/issues/207
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
    params = call.params
    if "ResourceType" in params and params["ResourceType"] != "Parameter":
        return None
    named = [params[n] for n in ("Name", "Path", "ResourceId") if params.get(n)]
    named += _listed(call, "Names")
    where = f"{_where(world, call, 'ssm')}:parameter/"
    return _both(named, lambda name: where + _plain_parameter(name))


def _plain_parameter(name: str) -> str:
    """Return the name of a parameter without the ARN before it, version or label after it."""
    if name.startswith("arn:"):
        name = name.partition(":parameter")[2]
    return name.partition(":")[0].strip("/")


def _both(named: Iterable[Any], local: Callable[[str], str]) -> list[str]:
    """Return the ARN here of every name; of an ARN that says something else, that one too.

    What is done is done here, so a foreign ARN must not be the only one that is asked about.
    """
    found: list[str] = []
    for each in map(str, named):
        if each.startswith("arn:"):
            found.append(each)
        found.append(local(each))
    return list(dict.fromkeys(found))


def _held_tags(world: World, call: Call, arn: str) -> Context:
    """Return the keys that describe the tags a secret or a parameter has."""
    tags: list[dict[str, str]] = []
    keys: Context = {}
    if call.service == "secretsmanager" and call.operation != "CreateSecret":
        secret = _secret(world, call, arn)
        tags = list(getattr(secret, "tags", None) or []) if secret is not None else []
        keys["secretsmanager:SecretId"] = arn
    elif call.service == "ssm" and ":parameter/" in arn:
        backend = world.moto.backend("ssm", call.region)
        name = arn.partition(":parameter/")[2]
        held = (backend._resource_tags["Parameter"].get(n) for n in (name, f"/{name}"))  # noqa: SLF001 - moto has no other way
        tags = [{"Key": k, "Value": v} for k, v in next(filter(None, held), {}).items()]
    prefixes = ("aws", call.service)
    return keys | {f"{p}:ResourceTag/{e['Key']}": e["Value"] for e in tags for p in prefixes}


def _secret(world: World, call: Call, named: str) -> Any:
    return world.moto.backend("secretsmanager", call.region).secrets.get(named)


def _listed(call: Call, name: str) -> list[Any]:
    value = call.params.get(name)
    return value if isinstance(value, list) else []


_RULES: Final[dict[str, tuple[str, Rule]]] = {
    "cloudtrail": ("trail", _cloudtrail),
    "events": ("rule", _events),
    "logs": ("log-", _logs),
    "secretsmanager": ("Secret", _secretsmanager),
    "sns": ("topic", _sns),
    "ssm": ("parameter", _ssm),
}
"""The kind of resource whose names are known here, and how to tell them."""
