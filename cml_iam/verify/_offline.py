"""Offline: our engine decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.engine import compile_policies
from cml_iam.errors import DocumentError
from cml_iam.expectations import Ruling, judge
from cml_iam.policy import attachment_problems
from cml_iam.verify._verification import Verification

if TYPE_CHECKING:
    from cml_iam.engine import Authorizer, Request, StatementReason
    from cml_iam.expectations import Expectation, Judgement
    from cml_iam.policy import PolicyDocument


def verify_offline(
    expectations: Iterable[Expectation],
    identity: Iterable[PolicyDocument],
    boundary: PolicyDocument | None = None,
) -> Verification:
    """Judge *expectations* by our engine, for a principal with these policies.

    Raises DocumentError for a policy that IAM would not attach: there is nothing to judge.
    """
    identity = list(identity)
    attached = [*identity, *([boundary] if boundary else [])]
    problems = tuple(problem for each in attached for problem in attachment_problems(each))
    if problems:
        raise DocumentError(problems)
    authorizer = compile_policies(identity=identity, boundary=boundary)
    judgements = judge(expectations, lambda each: _ruling(authorizer, each))
    return Verification("offline", tuple(_hinted(authorizer, each) for each in judgements))


def _ruling(authorizer: Authorizer, request: Request) -> Ruling:
    decision = authorizer.decide(request)
    return Ruling(decision.allowed, authorizer.deciding(decision))


def _hinted(authorizer: Authorizer, judgement: Judgement) -> Judgement:
    """Add what would have to change, where a needed call is refused for want of an Allow."""
    if judgement.verdict != "fails" or not judgement.refused or judgement.statements:
        return judgement
    request = judgement.refused[0]
    asked = f"{request.action} on {request.resource}"
    reasons = authorizer.explain(request).statements
    closest = min(
        (each for each in reasons if each.effect == "Allow" and _names_action(each)),
        key=lambda each: len(each.failed),
        default=None,
    )
    if closest is None:
        return replace(judgement, hint=f"no statement allows {asked}")
    return replace(judgement, hint=f"{asked}: closest is {closest.label}, but {closest.reason}")


def _names_action(reason: StatementReason) -> bool:
    return not any("Action" in getattr(each, "element", "") for each in reason.failed)
