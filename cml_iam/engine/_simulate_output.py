"""Responses of the Simulate* API, in the shape since 2026-07-30 (`new`) and before (`old`).

https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine._compile import statement_span
from cml_iam.engine._simulate_input import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cml_iam.engine._compile import CompiledStatement
    from cml_iam.engine._order import Outcome
    from cml_iam.engine._request import PolicyType

Answer = dict[str, Any]

SOURCE_TYPES: Final[Mapping[PolicyType, str]] = {
    "identity": "IAM Policy",
    "boundary": "Permissions Boundary Policy",
    "resource": "Resource Policy",
}
"""The values of SourcePolicyType that the API returns; the API's model has others."""

RESTRICTIVE: Final[Sequence[Outcome]] = ("explicitDeny", "implicitDeny", "allowed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one action on one resource.

    *organization* and *boundary* are None if there is none; *details* (the decision by type of
    policy) is None unless the request is cross-account.
    """

    resource: str
    outcome: Outcome
    matched: tuple[CompiledStatement, ...]
    organization: bool | None = None
    boundary: bool | None = None
    details: Mapping[str, Outcome] | None = None


def old_results(
    action: str, verdicts: Iterable[Verdict], missing: Sequence[str], *, named: bool
) -> list[Answer]:
    """Return one result for each resource; *named* says whether the caller named resources."""
    return [_old_result(action, verdict, missing, named=named) for verdict in verdicts]


def _old_result(action: str, verdict: Verdict, missing: Sequence[str], *, named: bool) -> Answer:
    everything = not named or verdict.resource == EVERYTHING
    result: Answer = {
        "EvalActionName": action,
        "EvalResourceName": verdict.resource,
        "EvalDecision": verdict.outcome,
        "MatchedStatements": _statements(verdict.matched),
        "MissingContextValues": list(missing) if everything else [],
        **_details([verdict], everything=everything),
    }
    if not everything:
        result["ResourceSpecificResults"] = [_specific(verdict, missing)]
    return result


def new_result(
    action: str, template: str, verdicts: Sequence[Verdict], missing: Sequence[str], *, named: bool
) -> Answer:
    """Return the single result for *action*: the most restrictive decision over all resources."""
    outcome = min((verdict.outcome for verdict in verdicts), key=RESTRICTIVE.index)
    contributed = [verdict for verdict in verdicts if verdict.outcome == outcome]
    everything = all(verdict.resource == EVERYTHING for verdict in verdicts)
    result: Answer = {
        "EvalActionName": action,
        "EvalResourceName": template,
        "EvalDecision": outcome,
        "MatchedStatements": _statements(s for each in contributed for s in each.matched),
        "MissingContextValues": list(missing),
        **_details(verdicts, everything=everything),
    }
    if named and not everything:
        result["ResourceSpecificResults"] = [_specific(verdict, missing) for verdict in verdicts]
    return result


def _details(verdicts: Sequence[Verdict], *, everything: bool) -> Answer:
    """Return the details about organizations, the boundary and the types of policy."""
    found: Answer = {}
    organization = [
        verdict.organization for verdict in verdicts if verdict.organization is not None
    ]
    if organization:
        found["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": all(organization)}
    if False in organization:
        return found  # the simulation ends where an SCP refuses
    boundary = [verdict.boundary for verdict in verdicts if verdict.boundary is not None]
    if boundary:
        found["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": all(boundary)}
    details = [verdict.details for verdict in verdicts if verdict.details is not None]
    if details:
        found["EvalDecisionDetails"] = _most_restrictive(details)
    elif not everything:
        found["EvalDecisionDetails"] = {}
    return found


def _most_restrictive(details: Sequence[Mapping[str, Outcome]]) -> dict[str, Outcome]:
    kinds = dict.fromkeys(kind for detail in details for kind in detail)
    return {
        kind: min((detail[kind] for detail in details if kind in detail), key=RESTRICTIVE.index)
        for kind in kinds
    }


def _specific(verdict: Verdict, missing: Sequence[str]) -> Answer:
    result: Answer = {
        "EvalResourceName": verdict.resource,
        "EvalResourceDecision": verdict.outcome,
        "MatchedStatements": _statements(verdict.matched),
        "MissingContextValues": list(missing),
    }
    if verdict.boundary is not None and verdict.organization is not False:
        result["PermissionsBoundaryDecisionDetail"] = {
            "AllowedByPermissionsBoundary": verdict.boundary
        }
    if verdict.details is not None:
        result["EvalDecisionDetails"] = dict(verdict.details)
    return result


def _statements(compiled: Iterable[CompiledStatement]) -> list[Answer]:
    """Return references to statements, each once."""
    references = []
    for statement in dict.fromkeys(compiled):
        start, end = statement_span(statement.document, statement.statement)
        references.append(
            {
                "SourcePolicyId": statement.document.name,
                "SourcePolicyType": SOURCE_TYPES[statement.kind],
                "StartPosition": start,
                "EndPosition": end,
            }
        )
    return references
