"""Compare documents by meaning, say how they differ, and measure them as AWS does.

IAM may return lists in a different order, and one element with or without a list: that is no drift.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from cml_iam.policy._document import PolicyDocument, Principals, Statement

MANAGED_POLICY_CHARACTERS: Final = 6144
"""The quota of a customer managed policy, in characters without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def policy_size(text: str) -> int:
    """Return the number of characters of *text* that count towards IAM's quotas."""
    return sum(map(len, text.split()))


def canonical(document: PolicyDocument) -> str:
    """Return a text that is equal for documents that differ only in order or spelling.

    The case of actions, operators and condition keys does not matter. Sids do, because people refer
    to statements by them.
    """
    statements = sorted(map(_canonical_statement, document.statements), key=json.dumps)
    return json.dumps({"Version": document.version, "Statement": statements}, sort_keys=True)


def same_meaning(one: PolicyDocument, other: PolicyDocument) -> bool:
    """Return whether two documents differ only in order and spelling."""
    return canonical(one) == canonical(other)


def _canonical_statement(statement: Statement) -> dict[str, Any]:
    elements: dict[str, Any] = {
        "Sid": statement.sid,
        "Effect": statement.effect,
        "Action": _sorted(map(str.lower, statement.action or ())),
        "NotAction": _sorted(map(str.lower, statement.not_action or ())),
        "Resource": _sorted(statement.resource or ()),
        "NotResource": _sorted(statement.not_resource or ()),
        "Principal": _canonical_principals(statement.principal),
        "NotPrincipal": _canonical_principals(statement.not_principal),
        "Condition": sorted(
            [condition.operator.lower(), condition.key.lower(), _sorted(condition.values)]
            for condition in statement.conditions
        ),
    }
    return {name: value for name, value in elements.items() if value}


def _sorted(texts: Iterable[str]) -> list[str]:
    return sorted(set(texts))


def _canonical_principals(principals: Principals | None) -> Any:
    if principals is None:
        return None
    return "*" if principals.everyone else sorted([k, _sorted(ids)] for k, ids in principals.ids)


def document_lines(document: PolicyDocument) -> tuple[str, ...]:
    """Return lines that show all of *document*."""
    return tuple(line for statement in document.statements for line in _summary("+", statement))


def difference(old: PolicyDocument, new: PolicyDocument) -> tuple[str, ...]:
    """Return the lines that show how *new* differs in meaning from *old*: `+`, `-` and `~`.

    Statements are paired by Sid; equal ones without a Sid are paired too.
    """
    lines: list[str] = []
    if old.version != new.version:
        lines += [f"~ Version {old.version} becomes {new.version}"]
    before, after = _by_label(old), _by_label(new)
    for label, statement in before.items():
        if label not in after:
            lines += _summary("-", statement)
    for label, statement in after.items():
        if label not in before:
            lines += _summary("+", statement)
        else:
            lines += _changes(before[label], statement)
    return tuple(lines)


def _by_label(document: PolicyDocument) -> dict[str, Statement]:
    statements: dict[str, Statement] = {}
    for statement in document.statements:
        label = statement.sid or canonical(PolicyDocument((statement,), document.version))
        while label in statements:  # a duplicate of the same statement
            label += " again"
        statements[label] = statement
    return statements


def _changes(old: Statement, new: Statement) -> Iterator[str]:
    before, after = _parts(old), _parts(new)
    if before.keys() != after.keys():
        yield f"~ {new.label}"
        yield from (f"    - {text}" for part, text in before.items() if part not in after)
        yield from (f"    + {text}" for part, text in after.items() if part not in before)


def _parts(statement: Statement) -> dict[tuple[str, ...], str]:
    """Return the parts of *statement*, each in the form to compare and the form to show."""
    parts: dict[tuple[str, ...], str] = {}
    parts["Effect", statement.effect] = f"Effect {statement.effect}"
    for element, texts in (
        ("Action", statement.action or ()),
        ("NotAction", statement.not_action or ()),
        ("Resource", statement.resource or ()),
        ("NotResource", statement.not_resource or ()),
        ("Principal", _principals(statement.principal)),
        ("NotPrincipal", _principals(statement.not_principal)),
    ):
        for text in sorted(texts):
            compared = text.lower() if element.endswith("Action") else text
            parts[element, compared] = f"{element} {text}"
    for condition in sorted(statement.conditions, key=str):
        values = _sorted(condition.values)
        shown = f"Condition {condition.operator} {condition.key} {', '.join(values)}"
        parts["Condition", condition.operator.lower(), condition.key.lower(), *values] = shown
    return parts


def _principals(principals: Principals | None) -> tuple[str, ...]:
    if principals is None:
        return ()
    if principals.everyone:
        return ("*",)
    return tuple(f"{kind} {name}" for kind, names in principals.ids for name in names)


def _summary(sign: str, statement: Statement) -> Iterator[str]:
    actions = _listed(statement.action, statement.not_action)
    yield f"{sign} {statement.label}: {statement.effect} {', '.join(actions)}"
    for negation, principals in (("", statement.principal), ("not ", statement.not_principal)):
        if principals is not None:
            yield f"    by {negation}{', '.join(_principals(principals))}"
    if resources := _listed(statement.resource, statement.not_resource):
        yield f"    on {', '.join(resources)}"
    for condition in statement.conditions:
        yield f"    if {condition.operator} {condition.key} {', '.join(condition.values)}"


def _listed(texts: tuple[str, ...] | None, not_texts: tuple[str, ...] | None) -> tuple[str, ...]:
    return texts or tuple(f"not {text}" for text in not_texts or ())
