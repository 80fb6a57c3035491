"""Why a request was refused: which statement is missing, denies, or has a condition in the way."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam import authorization
from cml_iam.catalogue import load_catalogue
from cml_iam.engine import Request, compile_policies
from cml_iam.errors import AwsError, DeniedError
from cml_iam.workers import PROBE, granting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.aws import Aws
    from cml_iam.doctor._documents import Attached
    from cml_iam.engine import Decision, StatementReason
    from cml_iam.workers import GuardTag, Image, Launch, Worker

_BEYOND: Final = (
    "these policies allow it, so what refuses is beyond them: a service control policy, a session "
    "policy, or a change that has not arrived everywhere yet"
)
_OTHER: Final = (
    "the site file's policy allows it, so the one attached differs from it, or a boundary or a "
    "service control policy refuses it"
)
_COMPARE: Final = "see what differs: `cml-iam bootstrap plan`, or --admin-profile NAME here"
_LOOK: Final = "look at the organization's service control policies, and ask again in a minute"
_LIMITS: Final = {"boundary": "the permissions boundary", "session": "the session policy"}


@dataclass(frozen=True, slots=True)
class Why:
    """Why a request is refused, and what to change; not *sure* where no policy read refuses it."""

    said: str
    remedy: str
    sure: bool = True


def decoded(aws: Aws, denied: DeniedError) -> Request | None:
    """Return the very request AWS refused, where it may be decoded; else None.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
    """
    if not denied.encoded:
        return None
    try:
        answer = aws.call("sts", "decode_authorization_message", EncodedMessage=denied.encoded)
        return _request(json.loads(answer["DecodedMessage"])["context"])
    except (AwsError, KeyError, ValueError):
        return None


def _request(context: dict[str, Any]) -> Request:
    keys: dict[str, str | list[str]] = {}
    for condition in context["conditions"]["items"]:
        values = [each["value"] for each in condition["values"]["items"]]
        keys[condition["key"]] = values[0] if len(values) == 1 else values
    return Request(context["action"], context["resource"], context["principal"]["arn"], keys)


def supposed(
    action: str, arn: str, region: str, worker: Worker | None, launch: Sequence[Request]
) -> tuple[Request, ...]:
    """Return the authorizations that AWS makes for the probe of *action* by the principal *arn*.

    *launch* are those of RunInstances.
    """
    caller = authorization.Caller(arn)
    if action == "ec2:RunInstances":
        return tuple(launch)
    if worker is None or not load_catalogue().needs_worker(action):
        return authorization.describe(caller, action, region)
    instance = authorization.Instance(
        worker.id, region, caller.account, worker.instance_type, worker.tags, worker.zone
    )
    if action == "ec2:CreateTags":
        return authorization.retag(caller, action, instance, {PROBE: "1"})
    if action == "ec2:DeleteTags":
        return authorization.retag(caller, action, instance, (PROBE,))
    return authorization.operate(caller, action, instance)


def launch_requests(
    arn: str, launch: Launch, image: Image | None, region: str, guard: GuardTag
) -> tuple[Request, ...]:
    """Return the authorizations of *launch*; an unknown image counts as the caller's own."""
    caller = authorization.Caller(arn)
    disk = launch.disk
    tags = {**launch.tags, "Name": launch.name, guard.key: guard.value}
    what = authorization.Launch(
        region=region,
        account=caller.account,
        image=authorization.Image(launch.image_id, image.owner if image else caller.account),
        instance_type=launch.instance_type,
        tags={"instance": tags, "volume": tags},
        key_name=launch.key_name or "",
        metadata_tokens="required",
        encrypted=disk.encrypted if disk else None,
    )
    if launch.subnet_id:
        what = replace(what, subnet=launch.subnet_id)
    if launch.security_group_ids:
        what = replace(what, security_groups=launch.security_group_ids)
    return authorization.launch(caller, what)


def why_refused(requests: Sequence[Request], attached: Attached) -> tuple[Why, ...]:
    """Return why *attached* refuse each of *requests* that they do refuse, each reason once.

    Where they refuse none of them, that is the answer.
    """
    authorizer = compile_policies(identity=list(attached.identity), boundary=attached.boundary)
    decisions = [authorizer.decide(each) for each in requests]
    found = [_why(each) for each in decisions if not each.allowed]
    beyond = Why(_BEYOND, _LOOK, sure=False) if attached.live else Why(_OTHER, _COMPARE, sure=False)
    return tuple(dict.fromkeys(found)) or (beyond,)


def _why(decision: Decision) -> Why:
    request = decision.request
    asked = _asked(request)
    if decision.outcome == "explicitDeny":
        deny = decision.statements[0]
        conditions = f" ({'; '.join(map(str, deny.conditions))})" if deny.conditions else ""
        return Why(
            f"{asked}: {_name(deny)} denies it{conditions}",
            f"take `{request.action}` out of that Deny, or narrow its conditions",
        )
    for gate in decision.explanation.gates:
        if gate.kind in _LIMITS and not gate.allowed:
            limit = _LIMITS[gate.kind]
            return Why(
                f"{asked}: {limit} does not allow it, whatever the other policies say",
                f"allow `{request.action}` in {limit} too",
            )
    return _missing(decision, asked)


def _missing(decision: Decision, asked: str) -> Why:
    action = decision.request.action
    near = [
        each
        for each in decision.reasons
        if each.effect == "Allow" and not any(_about_action(part) for part in each.failed)
    ]
    if not near:
        return Why(f"{asked}: no statement allows it", granting(action))
    closest = min(near, key=_distance)
    return Why(
        f"{asked}: {_name(closest)} does not allow it: {closest.reason}",
        f"widen {_name(closest)}, or ask within what it allows",
    )


def _distance(reason: StatementReason) -> tuple[int, int]:
    """Return how far a statement is from applying: one about another resource is farthest."""
    return sum(not each.matched for each in reason.elements), len(reason.failed)


def _about_action(part: Any) -> bool:
    return "Action" in getattr(part, "element", "")


def _name(reason: StatementReason) -> str:
    return f"statement `{reason.label}` of `{reason.policy}`"


def _asked(request: Request) -> str:
    resource = request.resource.rpartition(":")[2]
    return f"`{request.action}`" + ("" if resource == "*" else f" on `{resource}`")
