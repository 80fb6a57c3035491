"""Split a policy that is too large into several managed policies with the same total meaning.

IAM evaluates the policies attached to a principal as one list of statements, so each statement may
be in any policy. A statement with too many resources is split into several that differ only in
their resources and together allow or deny the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from cml_iam.errors import QuotaError
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size

MOST_PARTS: Final = 10
"""The default quota of managed policies attached to a user or role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

_FRAME: Final = policy_size(json.dumps({"Version": "2012-10-17", "Statement": []}))
_ROOM: Final = MANAGED_POLICY_CHARACTERS - _FRAME


def part_name(name: str, number: int) -> str:
    """Return the name of part *number* (from 1) of the policy *name*."""
    return name if number == 1 else f"{name}-{number}"


def split_policy(text: str) -> tuple[str, ...]:
    """Return *text* as one or more documents of at most 6,144 characters each.

    Raises QuotaError if more than ten are needed, or if a statement cannot be split.
    """
    policy = json.loads(text)
    pieces = [piece for statement in policy["Statement"] for piece in _pieces(statement)]
    parts: list[list[dict[str, Any]]] = []
    for piece in pieces:
        part = next((part for part in parts if _size([*part, piece]) <= _ROOM), None)
        if part is None:
            parts.append([piece])
        else:
            part.append(piece)
    if len(parts) > MOST_PARTS:
        raise QuotaError(
            f"the policy needs {len(parts)} managed policies; a principal may have {MOST_PARTS}",
            remedy="list fewer regions or images, or restrict images by owner",
        )
    return tuple(json.dumps({**policy, "Statement": part}, indent=2) + "\n" for part in parts)


def _pieces(statement: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *statement*, or copies among which its resources are divided."""
    resources = statement.get("Resource")
    if _size([statement]) <= _ROOM:
        yield statement
        return
    if not isinstance(resources, list):
        raise QuotaError(
            f"the statement {statement.get('Sid', '')} alone has {_size([statement])} characters",
            remedy="list fewer regions or instance types",
        )
    chunks = _chunks(statement, resources)
    for number, chunk in enumerate(chunks, start=1):
        yield {**statement, "Sid": f"{statement['Sid']}{number}", "Resource": chunk}


def _chunks(statement: dict[str, Any], resources: list[str]) -> list[list[str]]:
    """Divide *resources* into chunks that are as large as fits beside the rest of *statement*."""
    # Room for the number that is added to the Sid.
    room = _ROOM - _size([{**statement, "Resource": []}]) - len(str(len(resources)))
    chunks: list[list[str]] = [[]]
    used = 0
    for resource in resources:
        size = policy_size(json.dumps(resource)) + 1
        if size > room:
            raise QuotaError(f"the statement {statement['Sid']} leaves no room for a resource")
        if used + size > room:
            chunks.append([])
            used = 0
        chunks[-1].append(resource)
        used += size
    return chunks


def _size(statements: list[dict[str, Any]]) -> int:
    """Return how much *statements* add to the size of a document."""
    return policy_size(json.dumps(statements)) - len("[]")
