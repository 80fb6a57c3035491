"""Compare documents by meaning, and measure them as AWS does.

IAM returns lists in a different order and single elements as lists or bare, so texts differ where
nothing changed (a well-known source of false drift).
"""

from __future__ import annotations

import json
from typing import Any, Final

from cml_iam.policy._document import PolicyDocument, Principals, Statement

MANAGED_POLICY_CHARACTERS: Final = 6144
"""The quota of a customer managed policy in characters; white space does not count.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""


def policy_size(text: str) -> int:
    """Return the number of characters of *text* that count towards IAM's quotas."""
    return sum(map(len, text.split()))


def canonical(document: PolicyDocument) -> str:
    """Return the same text for all documents that differ only in order or spelling.

    The order of statements and of lists, single or list form, and the case of actions, operators
    and condition keys do not count. Sids do, because people refer to statements by them.
    """
    statements = sorted(
        (_canonical_statement(each) for each in document.statements), key=json.dumps
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
            [each.operator.lower(), each.key.lower(), sorted(set(each.values))]
            for each in statement.conditions
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
