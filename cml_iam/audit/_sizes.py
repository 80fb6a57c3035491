"""Patterns of instance types that admit every size of a family."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cml_iam.audit._part import decided, found
from cml_iam.audit._report import Spot
from cml_iam.errors import DocumentError
from cml_iam.policy import parse_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.audit._given import Policy
    from cml_iam.audit._report import AuditFinding
    from cml_iam.policy import PolicyDocument, Statement

_KEY = "ec2:instancetype"
_WIDE = re.compile(r'"[a-z0-9-]+\.\*"')


def open_sizes(policy: Policy, check: str) -> Iterator[AuditFinding]:
    """Yield a finding for each Allow that admits instance types by `family.*`.

    What the site itself asks for is no finding: see the role of a policy.
    """
    if policy.role is not None or not (_WIDE.search(policy.text) and _KEY in policy.text.lower()):
        return  # to parse every policy once more would take its time
    try:
        document = parse_policy(policy.text, policy.name)
    except DocumentError:
        return  # lint says so
    for statement in document.statements:
        for condition in statement.conditions:
            if condition.key.lower() == _KEY and statement.effect == "Allow":
                wide = [each for each in condition.values if each.endswith(".*")]
                if wide and condition.operator.lower().startswith("stringlike"):
                    yield _finding(document, statement, wide, check)


def _finding(
    document: PolicyDocument, statement: Statement, wide: list[str], check: str
) -> AuditFinding:
    from cml_iam.engine import Request, compile_policies
    from cml_iam.policy import PolicyDocument

    named = ", ".join(f"`{each}`" for each in wide)
    metal = wide[0].removesuffix("*") + "metal"
    place = document.place(statement, "Condition")
    spot = Spot(
        file=document.name,
        line=place.line if place else None,
        column=place.column if place else None,
        statement=statement.label,
    )
    alone = PolicyDocument((statement,), document.version, name=document.name)
    arn = "arn:aws:ec2:us-east-1:111122223333:instance/*"
    context = {"ec2:InstanceType": metal, "aws:RequestedRegion": "us-east-1"}
    decision = compile_policies(identity=[alone]).decide(
        Request("ec2:RunInstances", arn, None, context)
    )
    says = f"launch a {metal}, as far as this statement goes"
    witness = (decided(decision, says=says),) if decision.allowed else ()
    said = f"{named} admits every size, `{metal}` too: a bound in name, hardly one on cost"
    return found("CML715", said, spot, check, witness=witness)
