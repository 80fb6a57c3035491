"""Policies written otherwise: with another meaning (mutants), or with the same (rewritings)."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

Policy = dict[str, Any]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def wider_or_other(text: str) -> Iterator[tuple[str, Policy]]:
    """Yield *text* with something added, replaced or widened, and what that was."""
    policy = json.loads(text)
    for index, statement in enumerate(policy["Statement"]):
        for name, changed in _changed(statement):
            other = copy.deepcopy(policy)
            other["Statement"][index] = changed
            yield f"{statement['Sid']}: {name}", other


def _changed(statement: Policy) -> Iterator[tuple[str, Policy]]:
    yield "other effect", {**statement, "Effect": _flipped(statement["Effect"])}
    for element in ("Action", "NotAction"):
        if element in statement:
            more = [*listed(statement[element]), "ec2:GetPasswordData"]
            yield f"one {element} more", {**statement, element: more}
    for element in ("Resource", "NotResource"):
        for position, arn in enumerate(listed(statement.get(element, []))):
            for name, wide in _wider(arn):
                arns = listed(statement[element])
                yield name, {**statement, element: [*arns[:position], wide, *arns[position + 1 :]]}
    yield from _other_conditions(statement)


def _flipped(effect: str) -> str:
    return "Deny" if effect == "Allow" else "Allow"


def _wider(arn: str) -> Iterator[tuple[str, str]]:
    fields = arn.split(":", 5)
    if len(fields) == 6:
        for number, name in ((1, "partition"), (3, "region"), (4, "account"), (5, "resource")):
            if fields[number] not in ("*", ""):
                wide = [*fields[:number], "*", *fields[number + 1 :]]
                yield f"any {name} in {arn}", ":".join(wide)


def _other_conditions(statement: Policy) -> Iterator[tuple[str, Policy]]:
    block = statement.get("Condition", {})
    added = {**block, "IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    yield "a condition more", {**statement, "Condition": added}
    for operator, keys in block.items():
        for key, values in keys.items():
            if operator != "Null":
                more = {**keys, key: [*listed(values), _another(operator)]}
                yield f"a value more for {key}", _with(statement, operator, operator, more)
            rest = {name: each for name, each in keys.items() if name != key}
            for other in _operators(operator):
                made = _with(statement, operator, operator, rest)
                old = made["Condition"].get(other, {})
                made["Condition"][other] = {**old, key: values}
                yield f"{other} for {operator} {key}", made


def _with(statement: Policy, operator: str, name: str, keys: Policy) -> Policy:
    made = copy.deepcopy(statement)
    del made["Condition"][operator]
    if keys:
        made["Condition"][name] = keys
    return made


def _another(operator: str) -> str:
    if "Ip" in operator:
        return "203.0.113.128/25"
    if "Bool" in operator:
        return "false"
    return "arn:aws:ec2:*:*:subnet/subnet-1" if "Arn" in operator else "another-value"


def _operators(operator: str) -> Iterator[str]:
    plain = operator.rpartition(":")[2]
    if plain.startswith("StringEquals"):
        yield operator.replace("StringEquals", "StringNotEquals")
    if plain == "StringEquals":
        yield operator.replace("StringEquals", "StringEqualsIgnoreCase")
    if not plain.endswith("IfExists") and plain != "Null" and ":" not in operator:
        yield operator + "IfExists"
    if operator.startswith("ForAnyValue:"):
        yield operator.replace("ForAnyValue:", "ForAllValues:")
    if operator.startswith("ForAllValues:"):
        yield operator.replace("ForAllValues:", "ForAnyValue:")


def rewritten(policy: Policy, chance: random.Random) -> Policy:
    """Return *policy* with the same meaning in another order, grouping and spelling."""
    statements = [part for each in policy["Statement"] for part in _split(each, chance)]
    made = [_respelt(each, number, chance) for number, each in enumerate(statements)]
    made += [dict(each, Sid=f"Again{n}") for n, each in enumerate(made) if chance.random() < 0.1]
    chance.shuffle(made)
    return {"Statement": made, "Version": policy["Version"]}


def _split(statement: Policy, chance: random.Random) -> list[Policy]:
    """Split by action and by resource, which means the same for lists that are not negated."""
    parts = [statement]
    for element in ("Action", "Resource"):
        if element in statement and chance.random() < 0.5:
            parts = [{**p, element: each} for p in parts for each in listed(p[element])]
    return parts


def _respelt(statement: Policy, number: int, chance: random.Random) -> Policy:
    made = {**statement, "Sid": f"S{number}"}
    for element in ("Action", "NotAction"):
        if element in made:
            actions = [_cased(each, chance) for each in listed(made[element])]
            made[element] = _relisted(actions, chance)
    for element in ("Resource", "NotResource"):
        if element in made:
            made[element] = _relisted(listed(made[element]), chance)
    if "Condition" in made:
        made["Condition"] = {
            _cased(operator, chance): {
                _key_cased(key, chance): _relisted(listed(values), chance)
                for key, values in _shuffled(block, chance)
            }
            for operator, block in _shuffled(made["Condition"], chance)
        }
    return dict(_shuffled(made, chance))


def _shuffled(mapping: Policy, chance: random.Random) -> list[tuple[str, Any]]:
    items = list(mapping.items())
    chance.shuffle(items)
    return items


def _relisted(values: list[Any], chance: random.Random) -> Any:
    made = values * (2 if chance.random() < 0.2 else 1)
    chance.shuffle(made)
    return made[0] if len(made) == 1 and chance.random() < 0.5 else made


def _cased(text: str, chance: random.Random) -> str:
    return chance.choice([text, text.upper(), text.lower()])


def _key_cased(key: str, chance: random.Random) -> str:
    return chance.choice([key, key.upper(), key.lower()])
