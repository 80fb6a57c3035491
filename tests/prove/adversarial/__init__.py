"""Pairs of policies whose difference random requests miss; see `_build`."""

from __future__ import annotations

from tests.prove.adversarial import callers, statements, texts, values
from tests.prove.adversarial._build import Case

FAMILIES = (
    texts.empty_texts,
    texts.letter_case,
    texts.long_lists,
    texts.wildcards,
    texts.variables,
    values.several_values,
    values.numbers,
    values.addresses,
    values.moments,
    values.presence,
    statements.elements,
    statements.arns,
    statements.many_keys,
    callers.accounts,
    callers.sessions,
    callers.partitions,
)


def cases() -> list[Case]:
    return [
        Case(f"{family.__name__}: {c.name}", c.candidate, c.reference, c.answer, c.boundary)
        for family in FAMILIES
        for c in family()
    ]
