"""Answers in pages, as EC2 gives them: by MaxResults, with an opaque NextToken.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

LONGEST: Final = 1000
"""The longest page, and that of a call that asks for none in particular."""

_PAGED: Final = {
    "DescribeImages": (1, LONGEST),
    "DescribeInstances": (5, LONGEST),
    "DescribeInstanceStatus": (5, LONGEST),
    "DescribeInstanceTypes": (5, 100),
    "DescribeSecurityGroups": (5, LONGEST),
    "DescribeSubnets": (5, LONGEST),
    "DescribeTags": (5, LONGEST),
}
"""The operations answered in pages, and how short and how long a page may be."""

_MOST_TOKENS: Final = 1000
_NAMESPACE: Final = re.compile(r"\{([^}]*)\}")


def check_page(call: Call) -> None:
    """Raise Fault for a page that is too short or too long."""
    shortest, longest = _PAGED.get(call.operation, (0, 0))
    wanted = call.params.get("MaxResults")
    if longest and wanted is not None and not shortest <= wanted <= longest:
        said = f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value"
        raise Fault("InvalidParameterValue", f"{said} between {shortest} and {longest}.")


def in_pages(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    """Do *call* by *execute* as a whole, and answer the page of it that is asked for."""
    if call.operation not in _PAGED:
        return execute(call)
    whole = call.with_params(NextToken=None, MaxResults=None)
    start = place_of(world, call, "InvalidNextToken")
    # Moto makes pages of its own; this one is never full.
    asked = whole.with_params(MaxResults=10**9) if call.operation == "DescribeInstances" else whole
    answer = execute(asked)
    if not answer.ok:
        return answer
    size = call.params.get("MaxResults") or LONGEST
    return _page(world, whole, answer, start, size)


def place_of(world: World, call: Call, code: str) -> int:
    """Return where the answer to *call* goes on, 0 without a token; raise the Fault *code*."""
    token = call.params.get("NextToken", call.params.get("Marker"))
    if token is None:
        return 0
    asked, start = world.pages.get(token, (None, 0))
    if asked != _question(call):
        raise Fault(code, "The specified token of the next page is not valid.")
    return start


def keep_place(world: World, call: Call, start: int) -> str:
    """Return the token by which the same *call* goes on at *start*."""
    token = secrets.token_urlsafe(48)
    world.pages[token] = (_question(call), start)
    if len(world.pages) > _MOST_TOKENS:
        world.pages.popitem(last=False)
    return token


def _question(call: Call) -> object:
    """Return what has to be the same for every page of an answer."""
    whole = call.with_params(NextToken=None, MaxResults=None, Marker=None, MaxItems=None)
    return whole.operation, whole.region, whole.params


def _page(world: World, whole: Call, answer: Answer, start: int, size: int) -> Answer:
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own answer
    match = _NAMESPACE.match(root.tag)
    prefix = match[0] if match else ""
    listed = root.find(prefix + _list_name(whole))
    if listed is None:
        return answer
    entries = list(listed)
    for each in (*entries[:start], *entries[start + size :]):
        listed.remove(each)
    for each in root.findall(f"{prefix}nextToken"):
        root.remove(each)
    if len(entries) > start + size:
        token = ET.SubElement(root, f"{prefix}nextToken")
        token.text = keep_place(world, whole, start + size)
    body = ET.tostring(
        root, "utf-8", xml_declaration=True, default_namespace=match[1] if match else None
    )
    return replace(answer, body=body)


def _list_name(call: Call) -> str:
    """Return what the list of an answer's entries is called on the wire."""
    shape: Any = call.model.output_shape
    lists = [each for each in shape.members.values() if each.type_name == "list"]
    return str(lists[0].serialization["name"])
