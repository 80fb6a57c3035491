"""Requests of the Simulate* API: parsed and checked, with the API's own errors.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cml_iam.engine._conditions import unknown_operator
from cml_iam.engine._literals import moment, network, number
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
ACCOUNT_ROOT: Final = re.compile(r"arn:[\w-]+:iam::([0-9]{12}):root")
_DOCUMENT: Final = re.compile(r"[\t\n\r\x20-\xff]+")
_ACTION: Final = re.compile(r"[^:\s]+:[^:\s]+")
_CALLER: Final = re.compile(r"arn:[\w-]+:iam::[0-9]{12}:(user|group|role)/.+")

# Which resource types a scenario needs.
HANDLING: Final[Mapping[str, frozenset[str]]] = {
    "EC2-VPC-InstanceStore": frozenset(
        {"instance", "image", "security-group", "network-interface"}
    ),
    "EC2-VPC-InstanceStore-Subnet": frozenset(
        {"instance", "image", "security-group", "network-interface", "subnet"}
    ),
    "EC2-VPC-EBS": frozenset(
        {"instance", "image", "security-group", "network-interface", "volume"}
    ),
    "EC2-VPC-EBS-Subnet": frozenset(
        {"instance", "image", "security-group", "network-interface", "subnet", "volume"}
    ),
}

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
    """The input common to both calls.

    *resources* is empty if the request names none. *source* is the ARN of the principal whose own
    policies are simulated, if any.
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
    organization: tuple[tuple[PolicyDocument, ...], ...] | None = None
    source: str | None = None


def read_input(request: Mapping[str, Any], known: frozenset[str], shape: Shape) -> SimulationInput:
    """Parse the parameters in *request*; *known* are the valid names. Raises SimulationError."""
    for name in request:
        if name not in known:
            raise invalid(f"unknown parameter: `{name}`")
    boundaries = _documents(request, "PermissionsBoundaryPolicyInputList")
    if len(boundaries) > 1:
        raise invalid("only one permissions boundary policy can be given")
    resources = tuple(_resource(text) for text in _texts(request, "ResourceArns"))
    _check_handling(request.get("ResourceHandlingOption"), resources)
    return SimulationInput(
        actions=tuple(_action(each) for each in _required(request, "ActionNames")),
        resources=resources,
        policies=_documents(request, "PolicyInputList"),
        boundary=boundaries[0] if boundaries else None,
        resource_policy=_resource_policy(request),
        resource_owner=_owner(request.get("ResourceOwner")),
        caller=_caller(request.get("CallerArn"), shape),
        context=read_context(request.get("ContextEntries", ())),
        max_items=_max_items(request.get("MaxItems", DEFAULT_ITEMS)),
        marker=request.get("Marker"),
        organization=_organization(request),
    )


def read_document(text: Any, name: str) -> PolicyDocument:
    """Parse one policy of the input, called *name* in the response; raises SimulationError."""
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


def _documents(request: Mapping[str, Any], parameter: str) -> tuple[PolicyDocument, ...]:
    return tuple(
        read_document(text, f"{parameter}.{number}")
        for number, text in enumerate(_texts(request, parameter), start=1)
    )


def _texts(request: Mapping[str, Any], parameter: str) -> Sequence[Any]:
    given = request.get(parameter, ())
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise invalid(f"`{parameter}` must be a list")
    return given


def _required(request: Mapping[str, Any], parameter: str) -> Sequence[Any]:
    if parameter not in request:
        raise invalid(f"missing parameter: `{parameter}`")
    given = _texts(request, parameter)
    if not given:
        raise invalid(f"`{parameter}` must not be empty")
    return given


def _action(text: Any) -> str:
    if not isinstance(text, str) or not 3 <= len(text) <= 128 or not _ACTION.fullmatch(text):
        raise invalid(f"invalid action name: `{text}`")
    if "*" in text or "?" in text:
        raise invalid(f"invalid action name: `{text}`: wildcards are not supported")
    return text


def _resource(text: Any) -> str:
    if text == EVERYTHING:
        return EVERYTHING
    if not isinstance(text, str) or not 1 <= len(text) <= 2048 or text.count(":") < 5:
        raise invalid(f"invalid resource ARN: `{text}`")
    if not text.startswith("arn:"):
        raise invalid(f"invalid resource ARN: `{text}`")
    return text


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
    document = read_document(request["ResourcePolicy"], "ResourcePolicy")
    for statement in document.statements:
        principals = statement.principal or statement.not_principal
        for kind, _ in principals.ids if principals else ():
            if kind == "Service":
                raise invalid("Principal of type Service is not supported")
    return document


def _owner(text: Any) -> str | None:
    if text is None:
        return None
    match = ACCOUNT_ROOT.fullmatch(str(text))
    if match is None:
        raise invalid(f"invalid resource owner: `{text}`: an ARN like arn:aws:iam::ACCOUNT:root")
    return match[1]


def _caller(text: Any, shape: Shape) -> str | None:
    if text is None:
        return None
    match = _CALLER.fullmatch(str(text))
    if match is None or (shape == "old" and match[1] != "user"):
        raise invalid(f"invalid caller ARN: `{text}`")
    return str(text)


def _max_items(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ITEMS:
        raise invalid(f"`MaxItems` must be a whole number from 1 to {MAX_ITEMS}")
    return value


def _organization(
    request: Mapping[str, Any],
) -> tuple[tuple[PolicyDocument, ...], ...] | None:
    parameter = "OrderedOrganizationPolicyInputList"
    if parameter not in request:
        return None
    levels = _texts(request, parameter)
    if len(levels) > MAX_LEVELS:
        raise invalid(f"`{parameter}` takes at most {MAX_LEVELS} levels")
    return tuple(_documents(level, "ServiceControlPolicyInputList") for level in levels)


def read_context(entries: Any) -> dict[str, str | list[str]]:
    """Parse ContextEntries; a key of a `…List` type, or with several values, becomes a list."""
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise invalid("`ContextEntries` must be a list")
    context: dict[str, str | list[str]] = {}
    for entry in entries:
        name, values = (
            _context_name(entry),
            [str(each) for each in entry.get("ContextKeyValues", ())],
        )
        kind = entry.get("ContextKeyType", "string")
        base = str(kind).removesuffix("List")
        if base not in _VALUES:
            raise invalid(f"invalid context key type: `{kind}`")
        for value in values:
            if not _VALUES[base](value):
                raise invalid(f"context key `{name}`: `{value}` is not of the type {base}")
        if kind != base or len(values) > 1:
            context[name] = values
        elif values:
            context[name] = values[0]
    return context


def _context_name(entry: Any) -> str:
    name = entry.get("ContextKeyName") if isinstance(entry, Mapping) else None
    if not isinstance(name, str) or not 5 <= len(name) <= 256 or ":" not in name:
        raise invalid(f"invalid context key name: `{name}`")
    return name


_VALUES: Final[Mapping[str, Callable[[str], bool]]] = {
    "string": lambda value: True,  # noqa: ARG005 - any text is one
    "numeric": lambda value: number(value) is not None,
    "boolean": lambda value: value.lower() in {"true", "false"},
    "ip": lambda value: network(value) is not None,
    "binary": lambda value: re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", value) is not None,
    "date": lambda value: moment(value) is not None,
}
