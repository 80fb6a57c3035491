"""Requests of the Simulate* API: parsed and checked, with the API's own errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cml_iam.engine._comparison import moment, network, number
from cml_iam.engine._conditions import unknown_operator
from cml_iam.errors import DocumentError, InputError
from cml_iam.policy import PolicyDocument, parse_policy

Shape = Literal["new", "old"]
"""The API since 2026-07-30 (`new`), and before (`old`)."""

ErrorCode = Literal["InvalidInput", "NoSuchEntity", "PolicyEvaluation"]
HTTP_STATUS: Final[Mapping[ErrorCode, int]] = {
    "InvalidInput": 400,
    "NoSuchEntity": 404,
    "PolicyEvaluation": 500,
}

EVERYTHING: Final = "*"
MAX_DOCUMENT: Final = 131_072
MAX_ITEMS: Final = 1000
DEFAULT_ITEMS: Final = 100
MAX_LEVELS: Final = 7
_DOCUMENT: Final = re.compile(r"[\t\n\r\x20-\xff]+")
_RESOURCE: Final = re.compile(r"\*|(?=.{1,2048}\Z)arn:(?:[^:]*:){4}.*", re.DOTALL)
_ACTION: Final = re.compile(r"(?=.{3,128}\Z)[^:\s]+:[^:\s]+")
_OWNER: Final = re.compile(r"arn:[\w-]+:iam::([0-9]{12}):root")
_CALLERS: Final[Mapping[Shape, re.Pattern[str]]] = {
    "new": re.compile(r"arn:[\w-]+:iam::[0-9]{12}:(?:user|group|role)/.+"),
    "old": re.compile(r"arn:[\w-]+:iam::[0-9]{12}:user/.+"),
}
_KEY: Final = re.compile(r"(?=.{5,256}\Z)[^:]*:.*", re.DOTALL)

_ANY_VPC: Final = frozenset({"instance", "image", "security-group", "network-interface"})
HANDLING: Final = {
    "EC2-VPC-InstanceStore": _ANY_VPC,
    "EC2-VPC-InstanceStore-Subnet": _ANY_VPC | {"subnet"},
    "EC2-VPC-EBS": _ANY_VPC | {"volume"},
    "EC2-VPC-EBS-Subnet": _ANY_VPC | {"subnet", "volume"},
}
"""The resource types that each scenario of ResourceHandlingOption needs."""

_COMMON: Final = frozenset(
    {
        "ActionNames",
        "CallerArn",
        "ContextEntries",
        "Marker",
        "MaxItems",
        "PermissionsBoundaryPolicyInputList",
        "PolicyInputList",
        "ResourceArns",
        "ResourceHandlingOption",
        "ResourceOwner",
        "ResourcePolicy",
    }
)
CUSTOM: Final[Mapping[Shape, frozenset[str]]] = {
    "old": _COMMON,
    "new": _COMMON | {"OrderedOrganizationPolicyInputList"},
}
PRINCIPAL: Final[Mapping[Shape, frozenset[str]]] = {
    "old": _COMMON | {"PolicySourceArn"},
    "new": _COMMON | {"PolicySourceArn", "PolicyExclusionList"},
}


class SimulationError(InputError):
    """The API's error for a simulation: its *code*, and the HTTP *status*."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = HTTP_STATUS[code]


def invalid(message: str) -> SimulationError:
    """Return the API's error for invalid input."""
    return SimulationError("InvalidInput", message)


@dataclass(frozen=True, slots=True)
class SimulationInput:
    """The input common to both calls; *source* is the principal whose policies are simulated.

    *resources* is empty if none is named.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    policies: tuple[PolicyDocument, ...]
    boundary: PolicyDocument | None
    resource_policy: PolicyDocument | None
    resource_owner: str | None
    caller: str | None
    context: Mapping[str, Any]
    max_items: int
    marker: str | None
    shape: Shape
    organization: tuple[tuple[PolicyDocument, ...], ...] | None = None
    source: str | None = None


def check_shape(shape: str) -> None:
    """Raise InputError if *shape* never existed."""
    if shape not in CUSTOM:
        raise InputError(
            f"the Simulate calls have no shape `{shape}`", remedy=f"one of {', '.join(CUSTOM)}"
        )


def read_source(request: Mapping[str, Any]) -> str:
    """Return PolicySourceArn; raises SimulationError."""
    source = request.get("PolicySourceArn")
    if source is None:
        raise invalid("missing parameter: `PolicySourceArn`")
    fields = str(source).split(":", 5)
    named = fields[-1].startswith(("user/", "group/", "role/"))
    if len(fields) != 6 or fields[2] != "iam" or not named or not 20 <= len(str(source)) <= 2048:
        raise invalid(f"Invalid Entity Arn: {source}")
    return str(source)


def read_input(request: Mapping[str, Any], valid: frozenset[str], shape: Shape) -> SimulationInput:
    """Parse the parameters in *request*; *valid* are the valid names. Raises SimulationError."""
    for name in request:
        if name not in valid:
            raise invalid(f"unknown parameter: `{name}`")
    boundaries = _documents(request, "PermissionsBoundaryPolicyInputList")
    if len(boundaries) > 1:
        raise invalid("only one permissions boundary policy can be given")
    resources = tuple(
        _checked(text, _RESOURCE, "resource ARN") for text in _listed(request, "ResourceArns")
    )
    _check_handling(request.get("ResourceHandlingOption"), resources)
    owner, caller = request.get("ResourceOwner"), request.get("CallerArn")
    return SimulationInput(
        actions=_actions(request),
        resources=resources,
        policies=_documents(request, "PolicyInputList"),
        boundary=boundaries[0] if boundaries else None,
        resource_policy=_resource_policy(request),
        resource_owner=None if owner is None else _account(owner),
        caller=None if caller is None else _checked(caller, _CALLERS[shape], "caller ARN"),
        context=_context(request),
        max_items=_max_items(request.get("MaxItems", DEFAULT_ITEMS)),
        marker=request.get("Marker"),
        shape=shape,
        organization=_organization(request),
    )


def _checked(text: Any, form: re.Pattern[str], noun: str) -> str:
    if not isinstance(text, str) or not form.fullmatch(text):
        raise invalid(f"invalid {noun}: `{text}`")
    return text


def _listed(request: Mapping[str, Any], parameter: str) -> Sequence[Any]:
    values = request.get(parameter, ())
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise invalid(f"`{parameter}` must be a list")
    return values


def _actions(request: Mapping[str, Any]) -> tuple[str, ...]:
    if "ActionNames" not in request:
        raise invalid("missing parameter: `ActionNames`")
    names = _listed(request, "ActionNames")
    if not names:
        raise invalid("`ActionNames` must not be empty")
    for name in names:
        if "*" in _checked(name, _ACTION, "action name") or "?" in name:
            raise invalid(f"invalid action name: `{name}`: wildcards are not supported")
    return tuple(names)


def _documents(request: Mapping[str, Any], parameter: str) -> tuple[PolicyDocument, ...]:
    return tuple(
        _document(text, f"{parameter}.{number}")
        for number, text in enumerate(_listed(request, parameter), start=1)
    )


def _document(text: Any, name: str) -> PolicyDocument:
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_DOCUMENT:
        raise invalid(f"{name} must be a text of 1 to {MAX_DOCUMENT} characters")
    if not _DOCUMENT.fullmatch(text):
        raise invalid(f"{name} has a character that a policy cannot have")
    try:
        document = parse_policy(text, name)
    except DocumentError as error:
        raise invalid(f"syntax errors in policy: {error}") from error
    for statement in document.statements:
        for condition in statement.conditions:
            if problem := unknown_operator(condition.operator):
                raise invalid(f"syntax errors in policy: {name}: {problem}")
    return document


def _check_handling(option: Any, resources: Sequence[str]) -> None:
    if option is None:
        return
    if option not in HANDLING:
        raise invalid(f"invalid resource handling option: `{option}`")
    present = {arn.split(":", 5)[-1].partition("/")[0] for arn in resources}
    missing = sorted(HANDLING[option] - present)
    if missing:
        raise invalid(f"`{option}` needs resources of the types: {', '.join(missing)}")


def _resource_policy(request: Mapping[str, Any]) -> PolicyDocument | None:
    if "ResourcePolicy" not in request:
        return None
    document = _document(request["ResourcePolicy"], "ResourcePolicy")
    for statement in document.statements:
        principals = statement.principal or statement.not_principal
        if principals and any(kind == "Service" for kind, _ in principals.ids):
            raise invalid("Principal of type Service is not supported")
    return document


def _account(owner: Any) -> str:
    match = _OWNER.fullmatch(str(owner))
    if match is None:
        raise invalid(f"invalid resource owner: `{owner}`: an ARN like arn:aws:iam::ACCOUNT:root")
    return match[1]


def _max_items(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ITEMS:
        raise invalid(f"`MaxItems` must be a whole number from 1 to {MAX_ITEMS}")
    return value


def _organization(request: Mapping[str, Any]) -> tuple[tuple[PolicyDocument, ...], ...] | None:
    parameter = "OrderedOrganizationPolicyInputList"
    if parameter not in request:
        return None
    levels = _listed(request, parameter)
    if len(levels) > MAX_LEVELS:
        raise invalid(f"`{parameter}` takes at most {MAX_LEVELS} levels")
    return tuple(_documents(level, "ServiceControlPolicyInputList") for level in levels)


def _context(request: Mapping[str, Any]) -> dict[str, str | list[str]]:
    """Parse ContextEntries; a key of a `…List` type, or with several values, becomes a list."""
    context: dict[str, str | list[str]] = {}
    for entry in _listed(request, "ContextEntries"):
        name = entry.get("ContextKeyName") if isinstance(entry, Mapping) else None
        name = _checked(name, _KEY, "context key name")
        values = [str(value) for value in entry.get("ContextKeyValues", ())]
        kind = entry.get("ContextKeyType", "string")
        base = str(kind).removesuffix("List")
        if base not in _TYPES:
            raise invalid(f"invalid context key type: `{kind}`")
        for value in values:
            if not _TYPES[base](value):
                raise invalid(f"context key `{name}`: `{value}` is not of the type {base}")
        if kind != base or len(values) > 1:
            context[name] = values
        elif values:
            context[name] = values[0]
    return context


_TYPES: Final[Mapping[str, Callable[[str], bool]]] = {
    "string": lambda value: True,  # noqa: ARG005 - any text is one
    "numeric": lambda value: number(value) is not None,
    "boolean": lambda value: value.lower() in {"true", "false"},
    "ip": lambda value: network(value) is not None,
    "binary": lambda value: re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", value) is not None,
    "date": lambda value: moment(value) is not None,
}
