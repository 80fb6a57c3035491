"""Decides as IAM does, and says why.

    authorizer = compile_policies(identity=[document], boundary=other)
    decision = authorizer.decide(Request("ec2:StopInstances", arn, context={...}))
    decision.allowed, decision.outcome, decision.statements, decision.reasons

One file per concern: `_action`, `_resource`, `_principal`, `_conditions` (missing keys, set
qualifiers), `_operators` (the table), `_variables`, `_order` (of evaluation), `_explanation`.
"""

from cml_iam.engine._attached import AttachedPolicy, PrincipalPolicies
from cml_iam.engine._authorizer import Authorizer, Document, compile_policies
from cml_iam.engine._context_keys import context_keys
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
from cml_iam.engine._simulate import simulate_custom, simulate_principal
from cml_iam.engine._simulate_input import Shape, SimulationError

__all__ = [
    "OPERATORS",
    "AttachedPolicy",
    "Authorizer",
    "ConditionReason",
    "Decision",
    "Document",
    "ElementReason",
    "Explanation",
    "GateReason",
    "Outcome",
    "PolicyType",
    "PrincipalPolicies",
    "Request",
    "Shape",
    "SimulationError",
    "StatementReason",
    "compile_policies",
    "context_keys",
    "simulate_custom",
    "simulate_principal",
]
