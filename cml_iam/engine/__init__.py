"""Decide requests as IAM does, and explain why.

    authorizer = compile_policies(identity=[document], boundary=other)
    decision = authorizer.decide(Request("ec2:StopInstances", arn, context={...}))
    decision.allowed, decision.outcome, decision.statements, decision.reasons

One file per concern: `_request` (with the caller), `_compile` (statements, actions), `_resource`,
`_conditions` (operators, missing keys, set qualifiers), `_comparison` (of values: texts, dates,
addresses, numbers), `_text` (wildcards, variables), `_order` (of evaluation), `_explanation`.
"""

from typing import TYPE_CHECKING

from cml_iam.engine._authorizer import Authorizer, Decision, compile_policies
from cml_iam.engine._compile import Document
from cml_iam.engine._conditions import OPERATORS, OperatorName
from cml_iam.engine._order import Outcome
from cml_iam.engine._request import PolicyType, Request
from cml_iam.later import later

if TYPE_CHECKING:
    from cml_iam.engine._attached import AttachedPolicy, PrincipalPolicies
    from cml_iam.engine._compile import context_keys
    from cml_iam.engine._explanation import ConditionReason, Explanation, StatementReason
    from cml_iam.engine._simulate import simulate_custom, simulate_principal
    from cml_iam.engine._simulate_input import Shape, SimulationError

__getattr__ = later(__name__)
