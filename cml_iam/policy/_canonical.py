"""Compare documents by meaning, say how they differ, and measure them as AWS does.

IAM may return a list in a different order, and a single element with or without a list. Texts then
differ although nothing has changed, which is a well-known source of false drift.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy._document import PolicyDocument, Principals, Statement

if TYPE_CHECKING:
    from collections.abc import Iterator

MANAGED_POLICY_CHARACTERS: Final = 6144
"""The quota of a customer managed policy, in characters without white space.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def policy_size(text: str) -> int:
    """Return the number of characters of *text* that count towards IAM's quotas."""
    return sum(map(len, text.split()))


def canonical(document: PolicyDocument) -> str:
    """Return a text that is equal for documents that differ only in order or spelling.

    The order of statements and lists, the form of single elements, and the case of actions,
    operators and condition keys do not matter. Sids do matter, because people refer to statements
    by them.
    """
    statements = sorted(
        (_canonical_statement(statement) for statement in document.statements), key=json.dumps
    )
    return json.dumps({"Version": document.version, "Statement": statements}, sort_keys=True)


def same_meaning(one: PolicyDocument, other: PolicyDocument) -> bool:
    """Return whether two documents differ only in order and spelling."""
    return canonical(one) == canonical(other)


def _canonical_statement(statement: Statement) -> dict[str, Any]:
    elements: dict[str, Any] = {
        "Sid": statement.sid,
        "Effect": statement.effect,
        "Action": _sorted(statement.action, lower=True),
        "NotAction": _sorted(statement.not_action, lower=True),
        "Resource": _sorted(statement.resource),
        "NotResource": _sorted(statement.not_resource),
        "Principal": _canonical_principals(statement.principal),
        "NotPrincipal": _canonical_principals(statement.not_principal),
        "Condition": sorted(
            [condition.operator.lower(), condition.key.lower(), sorted(set(condition.values))]
            for condition in statement.conditions
        ),
    }
    return {name: value for name, value in elements.items() if value}


def _sorted(texts: tuple[str, ...] | None, *, lower: bool = False) -> list[str] | None:
    if texts is None:
        return None
    return sorted({text.lower() if lower else text for text in texts})


def _canonical_principals(principals: Principals | None) -> Any:
    if principals is None:
        return None
    return "*" if principals.everyone else sorted([k, sorted(set(i))] for k, i in principals.ids)


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
        elif _parts(before[label]).keys() != _parts(statement).keys():
            lines += _changes(statement.label, before[label], statement)
    return tuple(lines)


def _by_label(document: PolicyDocument) -> dict[str, Statement]:
    found: dict[str, Statement] = {}
    for statement in document.statements:
        label = statement.sid or _fingerprint(document, statement)
        while label in found:  # a duplicate of the same statement
            label += " again"
        found[label] = statement
    return found


def _fingerprint(document: PolicyDocument, statement: Statement) -> str:
    return canonical(type(document)((statement,), document.version))


def _changes(label: str, old: Statement, new: Statement) -> Iterator[str]:
    before, after = _parts(old), _parts(new)
    yield f"~ {label}"
    yield from (f"    - {text}" for part, text in before.items() if part not in after)
    yield from (f"    + {text}" for part, text in after.items() if part not in before)


def _parts(statement: Statement) -> dict[tuple[str, ...], str]:
    """Return the parts of *statement*, each in the form to compare and the form to show."""
    said: dict[tuple[str, ...], str] = {("Effect", statement.effect): f"Effect {statement.effect}"}
    for kind, actions in (("Action", statement.action), ("NotAction", statement.not_action)):
        said |= {(kind, action.lower()): f"{kind} {action}" for action in sorted(actions or ())}
    for kind, texts in (
        ("Resource", statement.resource),
        ("NotResource", statement.not_resource),
        ("Principal", _principals(statement.principal)),
        ("NotPrincipal", _principals(statement.not_principal)),
    ):
        said |= {(kind, text): f"{kind} {text}" for text in sorted(texts or ())}
    for condition in sorted(statement.conditions, key=str):
        values = sorted(set(condition.values))
        shown = f"Condition {condition.operator} {condition.key} {', '.join(values)}"
        said["Condition", condition.operator.lower(), condition.key.lower(), *values] = shown
    return said


def _principals(principals: Principals | None) -> tuple[str, ...]:
    if principals is None:
        return ()
    if principals.everyone:
        return ("*",)
    return tuple(f"{kind} {each}" for kind, ids in principals.ids for each in ids)


def _summary(sign: str, statement: Statement) -> Iterator[str]:
    """Yield *statement* in full: effect and actions, then everything else."""
    actions = statement.action or tuple(f"not {each}" for each in statement.not_action or ())
    yield f"{sign} {statement.label}: {statement.effect} {', '.join(actions)}"
    for who, principals in (("", statement.principal), ("not ", statement.not_principal)):
        if principals is not None:
            yield f"    by {who}{', '.join(_principals(principals))}"
    resources = statement.resource or tuple(f"not {each}" for each in statement.not_resource or ())
    if resources:
        yield f"    on {', '.join(resources)}"
    for condition in statement.conditions:
        yield f"    if {condition.operator} {condition.key} {', '.join(condition.values)}"
