"""Every way to take one thing away from a policy, for tests that must notice it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cml_iam.policy import PolicyDocument, parse_policy


@dataclass(frozen=True, slots=True)
class Mutant:
    """A policy with one thing taken away, and what that was."""

    name: str
    document: PolicyDocument


def mutants(text: str) -> Iterator[Mutant]:
    """Yield *text* without each statement, condition, value, action and resource in turn."""
    policy = json.loads(text)
    for index, statement in enumerate(policy["Statement"]):
        for path in _removable(statement):
            yield _without(policy, index, path)
        if len(policy["Statement"]) > 1:
            yield _without(policy, index, ())


def _removable(statement: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        listed = statement.get(element)
        if isinstance(listed, list) and len(listed) > 1:
            yield from ((element, position) for position in range(len(listed)))
    for operator, block in statement.get("Condition", {}).items():
        for key, values in block.items():
            yield ("Condition", operator, key)
            if isinstance(values, list) and len(values) > 1:
                yield from (("Condition", operator, key, n) for n in range(len(values)))


def _without(policy: dict[str, Any], index: int, path: tuple[Any, ...]) -> Mutant:
    changed = copy.deepcopy(policy)
    whole = ("Statement", index, *path)
    holder: Any = changed
    for step in whole[:-1]:
        holder = holder[step]
    name = f"{policy['Statement'][index]['Sid']} without {'/'.join(map(str, path)) or 'itself'}"
    del holder[whole[-1]]
    return Mutant(name, parse_policy(json.dumps(changed)))
