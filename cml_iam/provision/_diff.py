"""The difference between two policy documents, by statement and action."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.policy import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.policy import PolicyDocument, Principals, Statement


def document_lines(document: PolicyDocument) -> tuple[str, ...]:
    """Return lines that show the whole of *document*."""
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
    for each in document.statements:
        label = each.sid or _fingerprint(document, each)
        while label in found:  # the same statement once more
            label += " again"
        found[label] = each
    return found


def _fingerprint(document: PolicyDocument, statement: Statement) -> str:
    return canonical(type(document)((statement,), document.version))


def _changes(label: str, old: Statement, new: Statement) -> Iterator[str]:
    before, after = _parts(old), _parts(new)
    yield f"~ {label}"
    yield from (f"    - {text}" for part, text in before.items() if part not in after)
    yield from (f"    + {text}" for part, text in after.items() if part not in before)


def _parts(statement: Statement) -> dict[tuple[str, ...], str]:
    """Return the parts of *statement*: how each is compared, and how it is shown."""
    said: dict[tuple[str, ...], str] = {("Effect", statement.effect): f"Effect {statement.effect}"}
    for kind, actions in (("Action", statement.action), ("NotAction", statement.not_action)):
        said |= {(kind, each.lower()): f"{kind} {each}" for each in sorted(actions or ())}
    for kind, texts in (
        ("Resource", statement.resource),
        ("NotResource", statement.not_resource),
        ("Principal", _principals(statement.principal)),
        ("NotPrincipal", _principals(statement.not_principal)),
    ):
        said |= {(kind, each): f"{kind} {each}" for each in sorted(texts or ())}
    for each in sorted(statement.conditions, key=str):
        values = sorted(set(each.values))
        shown = f"Condition {each.operator} {each.key} {', '.join(values)}"
        said["Condition", each.operator.lower(), each.key.lower(), *values] = shown
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
    for each in statement.conditions:
        yield f"    if {each.operator} {each.key} {', '.join(each.values)}"
