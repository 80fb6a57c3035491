"""Decides as IAM does, and says why.

    authorizer = compile_policies(identity=[document], boundary=other)
    decision = authorizer.decide(Request("ec2:StopInstances", arn, context={...}))
    decision.allowed, decision.outcome, decision.statements, decision.reasons

One file per concern: `_action`, `_resource`, `_principal`, `_conditions` (missing keys, set
qualifiers), `_operators` (the table), `_variables`, `_order` (of evaluation), `_explanation`.
"""

from cml_iam.engine._authorizer import Authorizer, Document, compile_policies
from cml_iam.engine._decision import Decision, Outcome
from cml_iam.engine._explanation import (
    ConditionReason,
    ElementReason,
    Explanation,
    GateReason,
    StatementReason,
)
from cml_iam.engine._operators import OPERATORS
from cml_iam.engine._request import Request
from cml_iam.engine._resource import PolicyType

__all__ = [
    "OPERATORS",
    "Authorizer",
    "ConditionReason",
    "Decision",
    "Document",
    "ElementReason",
    "Explanation",
    "GateReason",
    "Outcome",
    "PolicyType",
    "Request",
    "StatementReason",
    "compile_policies",
]
