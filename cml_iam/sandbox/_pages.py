"""Answers in pages, as EC2 gives them: by MaxResults, with an opaque NextToken.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html#api-pagination
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from cml_iam.sandbox._faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

LONGEST: Final = 1000
"""The longest page, and that of a call that asks for none in particular."""

IAM_PAGE: Final = 100
"""The items of a page of IAM, unless MaxItems says how many."""

_PAGED: Final = {
    "DescribeImages": (1, LONGEST),
    "DescribeInstances": (5, LONGEST),
    "DescribeInstanceStatus": (5, LONGEST),
    "DescribeInstanceTypes": (5, 100),
    "DescribeSecurityGroups": (5, LONGEST),
    "DescribeSubnets": (5, LONGEST),
    "DescribeTags": (5, LONGEST),
}
"""The operations of EC2 answered in pages, and how short and how long a page may be."""

_MOST_TOKENS: Final = 1000
_NAMESPACE: Final = re.compile(r"\{([^}]*)\}")
_ENDS: Final = ("IsTruncated", "Marker", "nextToken")
"""By which elements an answer says that there is more."""


def check_page(call: Call) -> None:
    """Raise Fault for a page that is too short or too long."""
    shortest, longest = _PAGED.get(call.operation, (0, 0))
    wanted = call.params.get("MaxResults")
    if longest and wanted is not None and not shortest <= wanted <= longest:
        said = f"Value ( {wanted} ) for parameter maxResults is invalid. Expecting a value"
        raise Fault("InvalidParameterValue", f"{said} between {shortest} and {longest}.")


def in_pages(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    """Do *call* by *execute* as a whole, and answer the page of it that is asked for."""
    iam, shape = call.service == "iam", call.model.input_shape
    token, most = ("Marker", "MaxItems") if iam else ("NextToken", "MaxResults")
    if (shape is None or token not in shape.members) if iam else call.operation not in _PAGED:
        return execute(call)
    start = place_of(world, call, "ValidationError" if iam else "InvalidNextToken")
    # Moto makes pages of its own; this one is never full.
    answer = execute(call.with_params(**{token: None, most: 10**6}))
    if not answer.ok:
        return answer
    end = start + (call.params.get(most) or (IAM_PAGE if iam else LONGEST))

    def cut(root: ET.Element, prefix: str) -> None:
        held = root.find(f"{prefix}{call.operation}Result") if iam else root
        lists = [] if held is None else [held.find(prefix + name) for name in _lists(call)]
        entries = [(each, entry) for each in lists if each is not None for entry in each]
        if held is None or not lists:
            return
        for each, entry in (*entries[:start], *entries[end:]):
            each.remove(entry)
        for each in list(held):
            if each.tag.removeprefix(prefix) in _ENDS:
                held.remove(each)
        more = len(entries) > end
        if iam:
            ET.SubElement(held, f"{prefix}IsTruncated").text = str(more).lower()
        if more:
            place = ET.SubElement(held, prefix + ("Marker" if iam else "nextToken"))
            place.text = keep_place(world, call, end)

    return edited(answer, cut)


def edited(answer: Answer, edit: Callable[[ET.Element, str], None]) -> Answer:
    """Return the *answer* in XML as *edit* changes it: it gets the root and the prefix of names."""
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own answer
    match = _NAMESPACE.match(root.tag)
    edit(root, match[0] if match else "")
    body = ET.tostring(
        root, "utf-8", xml_declaration=True, default_namespace=match[1] if match else None
    )
    return replace(answer, body=body)


def _lists(call: Call) -> list[str]:
    """Return what the lists of an answer's entries are called on the wire."""
    members = call.model.output_shape.members.items()
    lists = [(name, each) for name, each in members if each.type_name == "list"]
    return [each.serialization.get("name", name) for name, each in lists]


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
