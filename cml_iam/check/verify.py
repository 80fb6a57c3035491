"""Verify the expectations of a site with our engine or with AWS's simulator."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.check.refusal import why
from cml_iam.engine import Authorizer, Request, compile_policies
from cml_iam.errors import DeniedError, DocumentError, NotFoundError
from cml_iam.expectations import SITUATIONS, Expectation, Judgement, Ruling, judge
from cml_iam.policy import PolicyDocument, attachment_problems

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check._simulator import Simulator


REST: Final = "other actions (samples)"
"""The row for actions outside the catalogue."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The judgements of a run; *how* they were made, and how many *calls* it took."""

    how: Literal["offline", "live"]
    judgements: tuple[Judgement, ...]
    calls: int = 0

    @property
    def failed(self) -> tuple[Judgement, ...]:
        """The expectations that do not hold."""
        return tuple(judgement for judgement in self.judgements if judgement.verdict == "fails")

    @property
    def unchecked(self) -> tuple[Judgement, ...]:
        """The expectations that could not be checked."""
        return tuple(judgement for judgement in self.judgements if judgement.verdict == "unchecked")

    @property
    def cells(self) -> dict[tuple[str, str], list[Judgement]]:
        """The judgements by permission and situation; actions outside the catalogue together."""
        cells: dict[tuple[str, str], list[Judgement]] = {}
        for judgement in self.judgements:
            expectation = judgement.expectation
            row = REST if expectation.situation == SITUATIONS[-1] else expectation.permission
            cells.setdefault((row, expectation.situation), []).append(judgement)
        return cells

    def as_json(self) -> dict[str, Any]:
        """Return the counts and every judgement with its requests as JSON values."""
        return {
            "how": self.how,
            "calls": self.calls,
            "expectations": len(self.judgements),
            "failed": len(self.failed),
            "unchecked": len(self.unchecked),
            "judgements": [_judgement_json(judgement) for judgement in self.judgements],
        }


def _judgement_json(judgement: Judgement) -> dict[str, Any]:
    expectation = judgement.expectation
    return {
        **{name: getattr(expectation, name) for name in _OF_EXPECTATION},
        "answer": judgement.answer,
        "verdict": judgement.verdict,
        "statements": list(judgement.statements),
        "hint": judgement.hint or None,
        "requests": [
            {
                "action": request.action,
                "resource": request.resource,
                "context": dict(request.context),
            }
            for request in expectation.requests
        ],
    }


_OF_EXPECTATION: Final = ("id", "permission", "situation", "description", "expected")


def verify_offline(
    expectations: Iterable[Expectation],
    identity: Iterable[PolicyDocument],
    boundary: PolicyDocument | None = None,
) -> Verification:
    """Judge *expectations* with our engine, for a principal with these policies.

    Raises DocumentError for a policy that IAM would not accept, since there is nothing to judge.
    """
    identity = list(identity)
    attached = [*identity, *([boundary] if boundary else [])]
    problems = tuple(problem for document in attached for problem in attachment_problems(document))
    if problems:
        raise DocumentError(problems)
    authorizer = compile_policies(identity=identity, boundary=boundary)

    def ruling(request: Request) -> Ruling:
        decision = authorizer.decide(request)
        return Ruling(decision.allowed, authorizer.deciding(decision))

    judgements = judge(expectations, ruling)
    return Verification(
        "offline", tuple(_hinted(authorizer, judgement) for judgement in judgements)
    )


def _hinted(authorizer: Authorizer, judgement: Judgement) -> Judgement:
    """Add a hint on what to change if a needed call is refused because no statement allows it."""
    if judgement.verdict != "fails" or not judgement.refused or judgement.statements:
        return judgement
    return judgement._replace(hint=why(authorizer.decide(judgement.refused[0])).said)


def verify_live(
    aws: Aws,
    principal_arn: str,
    expectations: Iterable[Expectation],
    policies: Sequence[PolicyDocument] | None = None,
) -> Verification:
    """Judge *expectations* by the answers of AWS's simulator for *principal_arn*.

    *policies* are all policies that apply to it, including its boundary, and are read if not given.
    They show which keys matter to which action, so that more questions can share a call; if some
    cannot be read, or the account is in an organization, every key is sent with every question.

    A question counts as unchecked if AWS does not answer it, or if the answer may depend on a
    missing key that no expectation has. Raises DeniedError if the caller may not simulate,
    NotFoundError if there is no such principal, CredentialsError without credentials.
    """
    from cml_iam.aws import Counted
    from cml_iam.check._simulator import Simulator

    expectations = tuple(expectations)
    requests = [request for expectation in expectations for request in expectation.requests]
    counted = Counted(aws)
    policies = _policies_of(counted, principal_arn) if policies is None else policies
    try:
        simulator = Simulator(counted, principal_arn, requests, policies)
    except NotFoundError as error:
        error.remedy = (
            f"check that `{principal_arn}` exists in the account of these credentials; `cml-iam "
            "bootstrap apply` creates the site's principal"
        )
        raise
    except DeniedError as error:
        error.remedy = "ask as an administrator: the manager itself should not have this permission"
        raise
    judgements = judge(expectations, simulator.ruling)
    return Verification(
        "live", tuple(_doubted(simulator, judgement) for judgement in judgements), counted.calls
    )


def _doubted(simulator: Simulator, judgement: Judgement) -> Judgement:
    """Add the missing keys, if an expectation could not be checked because of them."""
    keys = simulator.doubted(judgement.expectation.requests)
    if judgement.verdict != "unchecked" or not keys:
        return judgement
    named = f"the condition key{'s' if keys[1:] else ''} {', '.join(keys)}"
    return judgement._replace(hint=f"AWS needs {named}, which this expectation does not have")


def _policies_of(aws: Aws, principal_arn: str) -> tuple[PolicyDocument, ...] | None:
    """Return all policies that apply to the principal; None if not all can be read.

    GetContextKeysForPrincipalPolicy would take only one call, but it ignores the boundary.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
    """
    from cml_iam.principal import principal_of_arn, read_holdings

    named = principal_of_arn(principal_arn)
    if named is None:
        return None  # a group, for example: AWS refuses to simulate it and says why
    try:
        holdings = read_holdings(aws, *named)
    except (DeniedError, NotFoundError):
        return None
    if holdings.arn != principal_arn or holdings.unread:
        return None
    boundary = (holdings.boundary.document,) if holdings.boundary else ()
    return (*holdings.documents, *boundary)
