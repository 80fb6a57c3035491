"""Compares a raw answer with botocore's model of its operation, whatever the operation.

Stricter than botocore's own parser, which passes over what it does not know: every element has to
be a member of the model, every required member there, every value of its type and its enumeration.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from xml.etree import ElementTree as ET

_NUMBERS = {
    "integer": re.compile(r"-?\d+"),
    "long": re.compile(r"-?\d+"),
    "float": re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?"),
    "double": re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?"),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_CODE = re.compile(r"[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z]*)?")

# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, and the words of the
# services for what their models leave to the common errors.
_COMMON = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "IncompleteSignature",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidParameterCombination",
    "InvalidParameterValue",
    "MalformedQueryString",
    "MissingAction",
    "MissingAuthenticationToken",
    "MissingParameter",
    "SignatureDoesNotMatch",
    "Throttling",
    "ValidationError",
}

# Where IAM answers otherwise than its model says: recorded answers of AWS, such as those in
# LocalStack's validated tests, all have this value.
_OBSERVED = {"PermissionsBoundaryAttachmentType": ("Policy",)}


@dataclass(frozen=True)
class Raw:
    """An answer as it came over the wire."""

    service: str
    operation: str
    protocol: str
    status: int
    body: bytes

    @property
    def action(self) -> str:
        """The IAM action of the call."""
        return f"{self.service}:{self.operation}"

    @property
    def model(self) -> Any:
        """Botocore's whole model of the operation, whatever the client had read of it."""
        return _service_model(self.service).operation_model(self.operation)


@cache
def _service_model(service: str) -> Any:
    import botocore.session

    return botocore.session.Session().get_service_model(service)


class Recorder:
    """Keeps every answer that botocore clients of a test get."""

    def __init__(self) -> None:
        self.answers: list[Raw] = []

    def watch(self, client: Any) -> Any:
        """Keep the answers to *client*, which is returned."""
        model = client.meta.service_model
        protocol = str(model.resolved_protocol)

        def keep(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
            status, body = response_dict["status_code"], response_dict["body"]
            name = operation_model.name
            self.answers.append(Raw(model.service_name, name, protocol, status, body))

        client.meta.events.register("before-parse.*.*", keep)
        return client

    def __getitem__(self, operation: str) -> list[Raw]:
        return [answer for answer in self.answers if answer.operation == operation]


def problems(raw: Raw) -> list[str]:
    """Return everything in which *raw* differs from its model."""
    if raw.status >= 300:
        return list(_error(raw))
    if raw.protocol in ("ec2", "query"):
        return list(_xml_answer(raw))
    return list(_value(raw.model.output_shape, json.loads(raw.body), raw.operation))


def _xml_answer(raw: Raw) -> Iterator[str]:
    root = _plain(ET.fromstring(raw.body))  # noqa: S314 - the sandbox's own
    if root.tag != f"{raw.operation}Response":
        yield f"the root is <{root.tag}>"
    shape = raw.model.output_shape
    if raw.protocol == "ec2":
        yield from _identified(root, ("requestId", "RequestId"))
        content = [each for each in root if each.tag.lower() != "requestid"]
    else:
        yield from _identified(root.find("ResponseMetadata"), ("RequestId",))
        wrapper = shape.serialization.get("resultWrapper") if shape is not None else None
        found = root.find(wrapper) if wrapper else None
        if wrapper and found is None:
            yield f"no <{wrapper}>"
        content = list(found) if found is not None else []
        for each in root:
            if each.tag not in (wrapper, "ResponseMetadata"):
                yield f"<{each.tag}> beside <{wrapper}>"
    if shape is not None:
        yield from _members(shape, content, raw.operation, ec2=raw.protocol == "ec2")
    elif content:
        yield f"<{content[0].tag}> where nothing is answered"


def _identified(element: Any, names: tuple[str, ...]) -> Iterator[str]:
    if element is None or not any((element.findtext(name) or "").strip() for name in names):
        yield "no request id"


def _members(shape: Any, content: list[Any], where: str, *, ec2: bool) -> Iterator[str]:
    wire = {_wire_name(name, each): name for name, each in shape.members.items()}
    found: dict[str, list[Any]] = {}
    for each in content:
        if each.tag in wire:
            found.setdefault(wire[each.tag], []).append(each)
        else:
            yield f"{where}: <{each.tag}> is no member"
    for name in shape.required_members:
        if name not in found:
            yield f"{where}: no {name}"
    for name, elements in found.items():
        member = shape.members[name]
        flat = member.serialization.get("flattened")
        if len(elements) > 1 and not flat:
            yield f"{where}: {name} stands {len(elements)} times"
        for element in elements:
            yield from _element(
                member.member if flat and member.type_name == "list" else member,
                element,
                f"{where}.{name}",
                ec2=ec2,
            )


def _element(shape: Any, element: Any, where: str, *, ec2: bool) -> Iterator[str]:
    match shape.type_name:
        case "structure":
            yield from _members(shape, list(element), where, ec2=ec2)
        case "list":
            name = shape.member.serialization.get("name", "item" if ec2 else "member")
            for each in element:
                if each.tag not in (name, "item" if ec2 else name):
                    yield f"{where}: <{each.tag}> in a list of <{name}>"
                yield from _element(shape.member, each, f"{where}[]", ec2=ec2)
        case "map":
            for each in element:
                if each.tag != "entry" or {one.tag for one in each} != {"key", "value"}:
                    yield f"{where}: <{each.tag}> is no entry of a map"
        case _:
            if len(element):
                yield f"{where}: elements in a {shape.type_name}"
            yield from _text(shape, element.text or "", where)


def _text(shape: Any, text: str, where: str) -> Iterator[str]:
    kind = shape.type_name
    fits = {
        "boolean": lambda: text in ("true", "false"),
        "timestamp": lambda: bool(_TIME.fullmatch(text)),
    }
    if kind in _NUMBERS:
        fits[kind] = lambda: bool(_NUMBERS[kind].fullmatch(text))
    if kind in fits and not fits[kind]():
        yield f"{where}: {text!r} is no {kind}"
    elif kind == "string":
        yield from _string(shape, text, where)


def _string(shape: Any, text: str, where: str) -> Iterator[str]:
    enum = shape.metadata.get("enum")
    if enum and text not in (*enum, *_OBSERVED.get(shape.name, ())):
        yield f"{where}: {text!r} is none of {', '.join(enum[:6])}"
    if not shape.metadata.get("min", 0) <= len(text) <= shape.metadata.get("max", 10**9):
        yield f"{where}: {text!r} is of {len(text)} characters"


_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def _value(shape: Any, value: Any, where: str) -> Iterator[str]:
    """Check a value of JSON."""
    if shape is None:
        if value:
            yield f"{where}: {value!r} where nothing is answered"
    elif not isinstance(value, _KINDS[shape.type_name]):
        yield f"{where}: {value!r} is no {shape.type_name}"
    elif shape.type_name == "structure":
        yield from _structure(shape, value, where)
    elif shape.type_name == "list":
        for each in value:
            yield from _value(shape.member, each, f"{where}[]")
    elif shape.type_name == "string":
        yield from _string(shape, value, where)


def _structure(shape: Any, value: dict[str, Any], where: str) -> Iterator[str]:
    for name in sorted(value.keys() - shape.members.keys()):
        yield f"{where}: {name} is no member"
    for name in sorted(set(shape.required_members) - value.keys()):
        yield f"{where}: no {name}"
    for name in value.keys() & shape.members.keys():
        yield from _value(shape.members[name], value[name], f"{where}.{name}")


def _error(raw: Raw) -> Iterator[str]:
    find: Callable[[bytes], tuple[str, str]] = (
        _xml_error if raw.protocol in ("ec2", "query") else _json_error
    )
    code, message = find(raw.body)
    if not message:
        yield f"{code} says nothing"
    if raw.protocol == "ec2":
        # EC2's model lists no errors: the form is that of its pages.
        if not _CODE.fullmatch(code):
            yield f"`{code}` is no error code"
        return
    listed = {_code_of(shape) for shape in raw.model.error_shapes}
    if code not in listed | _COMMON:
        yield f"`{code}` is none of the errors of {raw.operation}: {', '.join(sorted(listed))}"


def _code_of(shape: Any) -> str:
    return str(shape.metadata.get("error", {}).get("code", shape.name))


def _xml_error(body: bytes) -> tuple[str, str]:
    root = _plain(ET.fromstring(body))  # noqa: S314 - the sandbox's own
    error = root.find(".//Error")
    if error is None:
        return "", ""
    return error.findtext("Code") or "", error.findtext("Message") or ""


def _json_error(body: bytes) -> tuple[str, str]:
    said = json.loads(body)
    return str(said.get("__type", "")).rpartition("#")[2], str(said.get("message", ""))


def _plain(root: Any) -> Any:
    """Return *root* with names that do without a namespace."""
    for each in root.iter():
        each.tag = each.tag.rpartition("}")[2]
    return root


def _wire_name(name: str, shape: Any) -> str:
    if shape.type_name == "list" and shape.serialization.get("flattened"):
        return str(shape.member.serialization.get("name", shape.serialization.get("name", name)))
    return str(shape.serialization.get("name", name))
