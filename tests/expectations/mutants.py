"""Every way to take one thing away from a policy, or to widen it, for tests that must notice."""

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
    """Yield *text* without each statement, condition, value, action and resource in turn.

    And with each resource widened: to every one, and to every account's.
    """
    policy = json.loads(text)
    for index, statement in enumerate(policy["Statement"]):
        yield from _widened(policy, index, statement)
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


def _widened(policy: dict[str, Any], index: int, statement: dict[str, Any]) -> Iterator[Mutant]:
    """Yield *policy* with wider resources in an Allow; in a Deny that would narrow nothing."""
    resources = statement.get("Resource")
    if statement["Effect"] != "Allow" or resources in ("*", None):
        return
    yield _changed(policy, index, "Resource", "*")
    listed = resources if isinstance(resources, list) else [resources]
    for position, arn in enumerate(listed):
        fields = arn.split(":")
        if fields[4] not in ("", "*"):
            anywhere = ":".join([*fields[:4], "*", *fields[5:]])
            others = [*listed[:position], anywhere, *listed[position + 1 :]]
            yield _changed(policy, index, "Resource", others)


def _changed(policy: dict[str, Any], index: int, element: str, value: Any) -> Mutant:
    changed = copy.deepcopy(policy)
    changed["Statement"][index][element] = value
    name = f"{policy['Statement'][index]['Sid']} with {element} {value}"
    return Mutant(name, parse_policy(json.dumps(changed)))


def _without(policy: dict[str, Any], index: int, path: tuple[Any, ...]) -> Mutant:
    changed = copy.deepcopy(policy)
    whole = ("Statement", index, *path)
    holder: Any = changed
    for step in whole[:-1]:
        holder = holder[step]
    name = f"{policy['Statement'][index]['Sid']} without {'/'.join(map(str, path)) or 'itself'}"
    del holder[whole[-1]]
    return Mutant(name, parse_policy(json.dumps(changed)))
