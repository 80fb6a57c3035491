"""The authorizations that a call needs: its action on every resource, and further actions.

If its resources are unknown, the action is needed on every resource. S3 calls that need more than
one authorization are allowed only to the root user.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from cml_iam.engine import Request
from cml_iam.engine.authorization import Caller, tag_request
from cml_iam.sandbox._ec2_authorizations import ec2_authorizations, pass_role
from cml_iam.sandbox._principals import boundary_arn, tags_of
from cml_iam.sandbox._wire import Call, Fault, known_action, resource_types, rows
from cml_iam.sandbox._world import World

Context = dict[str, "str | list[str]"]
Resources = Callable[["World", "Call"], "Iterable[str]"]

_NEEDS_NOTHING: Final = frozenset({"sts:GetSessionToken"})
"""Calls that need no permission; the engine itself knows sts:GetCallerIdentity."""

_SUFFIX: Final = "-??????"
"""Stands for the six characters that Secrets Manager appends to the name of a new secret."""


def authorizations(world: World, caller: Caller, call: Call) -> list[Request]:
    """Return every authorization *call* needs; all must be allowed."""
    if call.service == "ec2":
        return ec2_authorizations(world, caller, call)
    if call.action in _NEEDS_NOTHING:
        return []
    tags = _tags(call)
    context = caller.context() | {
        # IAM has one region, whatever the caller's.
        "aws:RequestedRegion": "us-east-1" if call.service == "iam" else call.region,
        **_named_keys(call),
        **tag_request(tags),
        **(_KEYS[call.service](world, call) if call.service in _KEYS else {}),
    }
    kind, resources = _RESOURCES.get(call.service, ("", None))
    kinds = resource_types(call.service, call.action.partition(":")[2])
    fits = any(name.startswith(kind) for name in kinds)
    arns = tuple(resources(world, call)) if fits and resources else ()
    actions = list(_s3_actions(call)) if call.service == "s3" else [call.action]
    if tags and call.action in rows("tags-on-create"):
        actions.append(rows("tags-on-create")[call.action])
    requests = [
        Request(action, arn, caller.arn, context | _held(world, call, arn))
        for action in actions
        for arn in arns or ("*",)
    ]
    return [*requests, *_passing(world, caller, call, context)]


def _passing(world: World, caller: Caller, call: Call, context: Context) -> list[Request]:
    name, service = rows("passes").get(call.action, ("", ""))
    value = call.params.get(name) or ()
    roles = [value] if isinstance(value, str) else [target.get("RoleArn") for target in value]
    if call.service == "iam":
        roles = [_arn_of(world, "role", role) for role in roles]
    return [pass_role(caller, role, service, context) for role in roles if role]


def _named_keys(call: Call) -> Context:
    """Return the service's condition keys whose names match parameters of the call."""
    action = known_action(call.service, call.action.partition(":")[2])
    keys: Context = {}
    for name, value in call.params.items():
        key = f"{call.service}:{name}"
        if action is not None and action.has_key(key) and not isinstance(value, dict):
            listed = isinstance(value, list)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            keys[key] = [str(element) for element in value] if listed else text
    removed = [tag for tag in _values(call, "TagKeys", "tagKeys", "tags") if type(tag) is str]
    if removed:
        keys["aws:TagKeys"] = removed
    return keys


def _tags(call: Call) -> dict[str, str]:
    values = (call.params.get(name) for name in ("Tags", "TagsList", "tags"))
    tags = next(filter(None, values), ())
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    # The tags to remove have only keys.
    tags = [tag for tag in tags if isinstance(tag, dict)]
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags}


def _values(call: Call, *names: str) -> list[Any]:
    """Return the values of the parameters *names*, with the elements of lists one by one."""
    values: list[Any] = []
    for name in names:
        value = call.params.get(name) or []
        values += value if isinstance(value, list) else [value]
    return values


def _where(world: World, call: Call) -> str:
    return f"arn:{world.partition}:{call.service}:{call.region}:{world.account}:"


def _both(names: Iterable[Any], local: Callable[[str], str]) -> list[str]:
    """Return the local ARN of every name; a different ARN is returned in addition.

    The call acts on this account, so authorizing a foreign ARN alone is not enough.
    """
    arns: list[str] = []
    for name in map(str, names):
        if name.startswith("arn:"):
            arns.append(name)
        arns.append(local(name))
    return list(dict.fromkeys(arns))


def _cloudtrail(world: World, call: Call) -> list[str]:
    names = _values(call, "Name", "TrailName", "ResourceId", "ResourceIdList")
    return _both(names, lambda name: f"{_where(world, call)}trail/{name.rpartition('/')[2]}")


def _cloudwatch(world: World, call: Call) -> list[str]:
    kinds, where = resource_types("cloudwatch", call.operation), _where(world, call)
    arns = _values(call, "ResourceARN")
    if "alarm" in kinds:
        arns += [f"{where}alarm:{name}" for name in _values(call, "AlarmNames", "AlarmName")]
    if "dashboard" in kinds:
        account = f"arn:{world.partition}:cloudwatch::{world.account}:"
        names = _values(call, "DashboardNames", "DashboardName")
        arns += [f"{account}dashboard/{name}" for name in names]
    required = [kind for kind, needed in kinds.items() if needed]
    if not arns and required:
        arns = [f"{where}{required[0]}{':' if required[0] == 'alarm' else '/'}*"]
    return arns


def _logs(world: World, call: Call) -> Iterable[str]:
    """Return the resource that CloudWatch Logs authorizes: a group's streams, even for the group.

    Its error messages show this: https://github.com/elastic/apm-aws-lambda/issues/526
    """
    params = call.params
    if "resourceArn" in params:
        return (str(params["resourceArn"]),)
    of_stream = "log-stream" in resource_types("logs", call.operation)
    group, stream = params.get("logGroupName"), params.get("logStreamName") if of_stream else ""
    if not group or stream is None or "logGroupIdentifier" in params:
        return ()
    return (f"{_where(world, call)}log-group:{group}:log-stream:{stream}",)


def _sns(world: World, call: Call) -> list[str]:
    names = _values(call, "TopicArn", "TargetArn", "ResourceArn")
    if call.operation == "CreateTopic":
        names += _values(call, "Name")
    names += [arn.rpartition(":")[0] for arn in _values(call, "SubscriptionArn")]
    return _both(names, lambda name: _where(world, call) + name.rpartition(":")[2])


def _events(world: World, call: Call) -> Iterable[str]:
    name = call.params.get("Rule") or call.params.get("Name")
    if not name:
        return ()
    bus = str(call.params.get("EventBusName") or "default").rpartition("/")[2]
    inside = f"{bus}/{name}" if bus != "default" else name
    return (f"{_where(world, call)}rule/{inside}",)


def _secretsmanager(world: World, call: Call) -> Iterable[str]:
    """Return the secret's ARN; only the name if the secret does not exist.

    An error then contains the bare name:
    https://github.com/mongodb/awscdk-resources-mongodbatlas/issues/207
    """
    if call.operation == "CreateSecret":
        return (f"{_where(world, call)}secret:{call.params.get('Name', '')}{_SUFFIX}",)
    if "SecretId" not in call.params:
        return ()
    name = call.params["SecretId"]
    secret = _secret(world, call, name)
    return _both([name], lambda _: secret.arn) if secret is not None else (name,)


def _secret(world: World, call: Call, named: str) -> Any:
    return world.moto.backend("secretsmanager", call.region).secrets.get(named)


def _ssm(world: World, call: Call) -> Iterable[str]:
    if call.params.get("ResourceType", "Parameter") != "Parameter":
        return ()

    def local(name: str) -> str:
        if name.startswith("arn:"):
            name = name.partition(":parameter")[2]
        # A version or a label may follow the name.
        return f"{_where(world, call)}parameter/{name.partition(':')[0].strip('/')}"

    return _both(_values(call, "Name", "Path", "ResourceId", "Names"), local)


def _held(world: World, call: Call, arn: str) -> Context:
    """Return the keys that describe a resource, mainly its tags."""
    service = call.service
    own: Context = {}
    tags: Mapping[str, str] = {}
    if service in ("iam", "sts"):
        service = "iam"
        tags = tags_of(world.entity(arn.rpartition(":")[2].partition("/")[0], arn))
    if service == "ssm" and ":parameter/" in arn:
        name = arn.partition(":parameter/")[2]
        held = world.moto.backend("ssm", call.region)._resource_tags["Parameter"]  # noqa: SLF001 - moto has no other way
        tags = held.get(name) or held.get(f"/{name}") or {}
    secret = _secret(world, call, arn) if service == "secretsmanager" else None
    if secret is not None:
        own = {"secretsmanager:SecretId": arn}
        tags = {tag["Key"]: tag["Value"] for tag in secret.tags or ()}
    for prefix in ("aws", service):
        own |= {f"{prefix}:ResourceTag/{key}": value for key, value in tags.items()}
    return own


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
_SOURCES: Final = ("PolicySourceArn", "Arn", "ResourceArn")


def _iam(world: World, call: Call) -> list[str]:
    """Return the ARNs of an IAM call's resources, or an ARN for all entities of their kind."""
    kinds, params = resource_types("iam", call.operation), call.params
    arns = [params[name] for name in _SOURCES if name in params]
    for kind in kinds:
        with_arn, with_name = rows("iam-arns").get(kind), rows("iam-names").get(kind)
        if with_arn in params:
            arns.append(params[with_arn])
        elif kind == "policy" and call.operation != "CreatePolicy":
            continue  # PolicyName is the name of an inline policy, which has no ARN.
        elif with_name in params:
            arns.append(_arn_of(world, kind, params[with_name], params.get("Path")))
    for kind, with_name in (("user", "NewUserName"), ("group", "NewGroupName")):
        if with_name in params:
            # Renaming needs the permission on the old name and on the new.
            arns.append(_arn_of(world, kind, params[with_name], params.get("NewPath")))
    if call.operation == "GetAccessKeyLastUsed":
        key_id = params["AccessKeyId"]
        arns += [user.arn for user in world.entities("user") if user.has_access_key(key_id)]
    needed = [kind for kind, required in kinds.items() if required] or list(kinds)[:1]
    return arns or [f"{_prefix(world, kind)}/*" for kind in needed]


def _prefix(world: World, kind: str) -> str:
    return f"arn:{world.partition}:iam::{world.account}:{kind}"


def _arn_of(world: World, kind: str, name: str, path: str | None = None) -> str:
    """Return the ARN of the entity *name*, even if it does not exist yet."""
    existing = world.entity(kind, name) if path is None and kind != "policy" else None
    return existing.arn if existing is not None else f"{_prefix(world, kind)}{path or '/'}{name}"


def _iam_keys(world: World, call: Call) -> Context:
    """Return the condition key with the boundary that the call sets, or its user or role has."""
    params = call.params
    boundary = params.get("PermissionsBoundary")
    shape = call.model.input_shape
    if shape is None or "PermissionsBoundary" not in shape.members:
        user = world.entity("user", params.get("UserName"))
        boundary = boundary_arn(user or world.entity("role", params.get("RoleName")))
    return {"iam:PermissionsBoundary": boundary} if boundary else {}


# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY: Final = re.compile(r"[\w!.*'()=+@:,-]+(/[\w!.*'()=+@:,-]+)*/?", re.ASCII)
_COMPOSED: Final = re.compile(r"Metadata|Object(?!LockConfiguration|$)|Restore|Upload")
"""The operations that need more than one permission."""

_MORE: Final = re.compile(r"Bypass|Grant|MFA$|ObjectLock(?!Configuration)")
"""Parameters that make an operation do more than its name says."""


def _s3(world: World, call: Call) -> list[str]:
    """Return the bucket or object of *call*; raises Fault if that is unknown."""
    params = call.params
    bucket, key = params.get("Bucket", ""), params.get("Key", "")
    if "Bucket" in params and not _BUCKET.fullmatch(bucket):
        raise Fault("InvalidBucketName", "The specified bucket is not valid.")
    # The sandbox has only one account.
    if params.get("ExpectedBucketOwner", world.account) != world.account:
        raise Fault("AccessDenied", "Access Denied")
    resource = "/".join(filter(None, (bucket, key)))
    return [f"arn:{world.partition}:s3:::{resource}"] if resource else []


def _s3_actions(call: Call) -> Iterable[str]:
    """Return the actions that *call* needs; raises Fault if they are unknown."""
    if not _understood(call):
        text = f"The sandbox does not know what {call.operation} needs with these parameters."
        raise Fault("AccessDenied", text)
    actions = [f"{call.action}Version" if "VersionId" in call.params else call.action]
    if "ACL" in call.params:
        actions.append("s3:PutObjectAcl" if "Key" in call.params else "s3:PutBucketAcl")
    return dict.fromkeys(actions)


def _understood(call: Call) -> bool:
    """Return whether the parameters need no more than the operation's own authorization."""
    known = known_action("s3", call.action.partition(":")[2]) is not None
    plain = known and not _COMPOSED.search(call.operation)
    if not plain and call.operation not in rows("s3-actions"):
        return False
    key = call.params.get("Key")
    if key is not None and (not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/"))):
        return False
    configuration = call.params.get("CreateBucketConfiguration", {})
    extended = any(_MORE.match(name) for name in call.params) or "Tags" in configuration
    return not extended and not (key is not None and "Tagging" in call.params)


def _s3_keys(world: World, call: Call) -> Context:
    configuration = call.params.get("CreateBucketConfiguration", {})
    location, named = configuration.get("LocationConstraint"), rows("s3-keys")
    return {
        "s3:ResourceAccount": world.account,
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        **{key: str(call.params[name]) for name, key in named.items() if name in call.params},
        **({"s3:locationconstraint": location} if location else {}),
    }


def bucket_policy(world: World, name: str | None) -> str | None:
    """Return the policy of the bucket *name*, or None if there is none."""
    bucket = world.moto.backend("s3", world.partition).buckets.get(name)
    policy = bucket.policy if bucket is not None else None
    return policy.decode() if policy else None


_RESOURCES: Final[Mapping[str, tuple[str, Resources]]] = {
    "cloudtrail": ("trail", _cloudtrail),
    "cloudwatch": ("", _cloudwatch),
    "events": ("rule", _events),
    "iam": ("", _iam),
    "logs": ("log-", _logs),
    "s3": ("", _s3),
    "secretsmanager": ("Secret", _secretsmanager),
    "sns": ("topic", _sns),
    "ssm": ("parameter", _ssm),
    "sts": ("", lambda _, call: filter(None, [call.params.get("RoleArn")])),
}
"""By service: the prefix of the resource types with known names, and a function to find them."""

_KEYS: Final[Mapping[str, Callable[[World, Call], Context]]] = {
    "iam": _iam_keys,
    "s3": _s3_keys,
}
"""By service: the function that returns condition keys named differently from their parameters."""
