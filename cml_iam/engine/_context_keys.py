"""Which condition keys policies ask for, as GetContextKeysFor* tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.engine._variables import variable_keys
from cml_iam.policy import VERSION_2012, load_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.engine._authorizer import Document
    from cml_iam.policy import PolicyDocument, Statement


def context_keys(documents: Iterable[Document]) -> list[str]:
    """Return the condition keys and variables of *documents*, each once, in order of appearance.

    Two spellings that differ in case are one key; the first is kept.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForCustomPolicy.html
    """
    found: dict[str, str] = {}
    for document in documents:
        for key in _keys(load_policy(document)):
            found.setdefault(key.lower(), key)
    return list(found.values())


def _keys(document: PolicyDocument) -> Iterator[str]:
    variables = document.version == VERSION_2012
    for statement in document.statements:
        if variables:
            for text in (*(statement.resource or ()), *(statement.not_resource or ())):
                yield from variable_keys(text)
        yield from _condition_keys(statement, variables=variables)


def _condition_keys(statement: Statement, *, variables: bool) -> Iterator[str]:
    for condition in statement.conditions:
        yield condition.key
        if variables:
            for value in condition.values:
                yield from variable_keys(value)
