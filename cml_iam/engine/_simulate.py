"""SimulateCustomPolicy and SimulatePrincipalPolicy: takes API requests, returns API responses.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html

Unlike live IAM, the simulator has no session policies and no RCPs, looks up neither context nor
resource policies, and ignores trust policies. Responses have the shape since 2026-07-30 (`new`), or
the one before (`old`).
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Final

from cml_iam.engine._attached import PrincipalPolicies, organization, without
from cml_iam.engine._authorizer import Authorizer, compile_policies
from cml_iam.engine._compile import CompiledStatement, context_keys, statement_span
from cml_iam.engine._order import (
    ALLOWED,
    EXPLICIT_DENY,
    IMPLICIT_DENY,
    Gate,
    Outcome,
    is_across_accounts,
)
from cml_iam.engine._request import Caller, PolicyType, Request
from cml_iam.engine._simulate_input import (
    CUSTOM,
    EVERYTHING,
    PRINCIPAL,
    Shape,
    SimulationError,
    SimulationInput,
    check_shape,
    invalid,
    read_input,
    read_source,
)
from cml_iam.policy import PolicyDocument, pattern_matches

Matched = tuple[tuple[Gate, CompiledStatement], ...]
Answer = dict[str, Any]

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")

LISTED: Final = {
    "iam:listusers": "user/",
    "iam:listroles": "role/",
    "iam:listgroups": "group/",
    "iam:listinstanceprofiles": "instance-profile/",
}
"""The resource within the principal's account if a call of these actions names none.

IAM documented it for users in 2021; the others are the resources in refusals of live IAM.
"""

TRUST_ACTIONS: Final = "sts:assume"
"""The prefix of actions for which the simulator ignores ResourcePolicy."""

SOURCE_TYPES: Final[Mapping[PolicyType, str]] = {
    "identity": "IAM Policy",
    "boundary": "Permissions Boundary Policy",
    "resource": "Resource Policy",
}
"""The values of SourcePolicyType that the API returns; the API's model has others."""

RESTRICTIVE: Final[Sequence[Outcome]] = ("explicitDeny", "implicitDeny", "allowed")


def simulate_custom(request: Mapping[str, Any], *, shape: Shape = "new") -> Answer:
    """Answer a SimulateCustomPolicy *request* with the API's response.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
    Raises SimulationError, whose `code` and `status` are the API's; InputError for a *shape* that
    never existed.
    """
    check_shape(shape)
    if "PolicyInputList" not in request:
        raise invalid("missing parameter: `PolicyInputList`")
    return _answer(request, read_input(request, CUSTOM[shape], shape))


def simulate_principal(
    request: Mapping[str, Any], principal: PrincipalPolicies | None, *, shape: Shape = "new"
) -> Answer:
    """Answer a SimulatePrincipalPolicy *request* with the API's response.

    *principal* is what PolicySourceArn names; None if there is none. Raises as `simulate_custom`.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    check_shape(shape)
    source = read_source(request)
    if principal is None or principal.arn != source:
        raise SimulationError("NoSuchEntity", f"the entity `{source}` cannot be found")
    parsed = read_input(request, PRINCIPAL[shape], shape)
    principal = without(principal, request.get("PolicyExclusionList", ()))
    attached = tuple(policy.parsed() for policy in principal.policies)
    boundary = principal.boundary
    callers = ("user",) if shape == "old" else ("user", "group", "role")
    own = source if source.split(":", 5)[5].startswith(callers) else None
    parsed = replace(
        parsed,
        policies=(*attached, *parsed.policies),
        boundary=parsed.boundary or (boundary.parsed() if boundary else None),
        caller=parsed.caller or own,
        source=source,
        organization=organization(principal, shape),
    )
    return _answer(request, parsed)


def _answer(request: Mapping[str, Any], parsed: SimulationInput) -> Answer:
    if parsed.resource_policy and not parsed.caller:
        raise invalid("CallerArn is required with ResourcePolicy")
    results = _results(parsed)
    fingerprint = _fingerprint(request)
    start = _read_marker(parsed.marker, fingerprint)
    end = start + parsed.max_items
    page = results[start:end]
    if start and not page:
        raise invalid("invalid marker")
    if end >= len(results):
        return {"EvaluationResults": page, "IsTruncated": False}
    marker = urlsafe_b64encode(f"{end}:{fingerprint}".encode()).decode()
    return {"EvaluationResults": page, "IsTruncated": True, "Marker": marker}


def _fingerprint(request: Mapping[str, Any]) -> str:
    """Return a digest of the request, so that a marker is valid only for its own request."""
    same = {key: value for key, value in request.items() if key not in {"Marker", "MaxItems"}}
    return sha256(repr(sorted(same.items())).encode()).hexdigest()[:16]


def _read_marker(marker: str | None, fingerprint: str) -> int:
    if marker is None:
        return 0
    try:
        start, _, digest = urlsafe_b64decode(marker).decode().partition(":")
        if digest == fingerprint:
            return int(start)
    except ValueError:  # not base64, not text, not a number
        pass
    raise invalid("invalid marker")


def _results(parsed: SimulationInput) -> list[Answer]:
    documents = [*parsed.policies, *filter(None, (parsed.boundary, parsed.resource_policy))]
    provided = {key.lower() for key in parsed.context}
    missing = [key for key in context_keys(documents) if key.lower() not in provided]
    authorizer = _authorizer(parsed, parsed.resource_policy)
    trusting = _authorizer(parsed, None)
    results: list[Answer] = []
    for action in parsed.actions:
        by = trusting if action.lower().startswith(TRUST_ACTIONS) else authorizer
        verdicts = [
            _verdict(by, _request(parsed, action, resource), parsed)
            for resource in parsed.resources or (_unnamed(action, parsed),)
        ]
        by_name = [(verdict.resource, [verdict]) for verdict in verdicts]
        if parsed.shape == "new":
            by_name = [(arn_template(action, parsed.resources), verdicts)]
        results += [_result(action, name, group, missing, parsed) for name, group in by_name]
    return results


def _unnamed(action: str, parsed: SimulationInput) -> str:
    listed = LISTED.get(action.lower())
    if parsed.shape == "new" or listed is None or parsed.source is None:
        return EVERYTHING
    _, partition, _, _, account, _ = parsed.source.split(":", 5)
    return f"arn:{partition}:iam::{account}:{listed}"


def arn_template(action: str, resources: Sequence[str]) -> str:
    """Return the ARN template that the first of *resources* matches, or the action's main one.

    `*` for an action without resource types, and for an unknown one.
    https://servicereference.us-east-1.amazonaws.com/
    """
    from cml_iam.facts import service

    prefix, _, name = action.partition(":")
    owner = service(prefix)
    templates = owner.arn_formats(name) if owner else []
    for resource in resources:
        for template in templates:
            if pattern_matches(_PLACEHOLDER.sub("*", template), resource):
                return template
    return templates[0] if templates else EVERYTHING


def _authorizer(parsed: SimulationInput, resource_policy: PolicyDocument | None) -> Authorizer:
    return compile_policies(
        parsed.policies,
        boundary=parsed.boundary,
        resource=resource_policy,
        scps=parsed.organization or (),
    )


def _request(parsed: SimulationInput, action: str, resource: str) -> Request:
    owner = parsed.resource_owner if parsed.resource_policy else None
    account = resource.split(":", 5)[4] if resource.count(":") > 4 else ""
    return Request(
        action, resource, parsed.caller, parsed.context, None if account.isdigit() else owner
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The answer for one action on one resource.

    *organization* and *boundary* say whether they allow, if there is one; *details* is the decision
    by type of policy for a cross-account request.
    """

    resource: str
    outcome: Outcome
    statements: tuple[CompiledStatement, ...] = ()
    organization: bool | None = None
    boundary: bool | None = None
    details: Mapping[str, Outcome] | None = None


def _verdict(authorizer: Authorizer, request: Request, parsed: SimulationInput) -> _Verdict:
    matched = authorizer.matched(request)
    organization = None if parsed.organization is None else _levels_allow(authorizer, matched)
    if organization is False:
        denied = _outcome("scp", matched) == EXPLICIT_DENY
        refused: Outcome = EXPLICIT_DENY if denied else IMPLICIT_DENY
        return _Verdict(request.resource, refused, organization=False)
    outcome = authorizer.decide(request).outcome
    return _Verdict(
        request.resource,
        outcome,
        tuple(_contributing(outcome, [s for gate, s in matched if gate.kind != "scp"])),
        organization,
        boundary=_outcome("boundary", matched) == ALLOWED if parsed.boundary else None,
        details=_details(request, parsed, matched),
    )


def _levels_allow(authorizer: Authorizer, matched: Matched) -> bool:
    levels = {gate.level for gate in authorizer.gates if gate.kind == "scp"}
    allowing = {gate.level for gate, _ in matched if gate.kind == "scp"}
    return levels == allowing and _outcome("scp", matched) != EXPLICIT_DENY


def _contributing(
    outcome: Outcome, matched: Sequence[CompiledStatement]
) -> Iterator[CompiledStatement]:
    """Yield the statements that the API lists: none for an implicit deny.

    A Deny is listed alone, except that a Deny in the boundary is listed with the Allow of the
    identity policies. A boundary's Allow is never listed.
    """
    if outcome == IMPLICIT_DENY:
        return
    denies = [statement for statement in matched if _denies(statement)]
    if all(deny.kind == "boundary" for deny in denies):
        for statement in matched:
            if not _denies(statement) and statement.kind != "boundary":
                yield statement
    yield from denies


def _details(
    request: Request, parsed: SimulationInput, matched: Matched
) -> dict[str, Outcome] | None:
    if not parsed.resource_policy or not is_across_accounts(
        request, Caller.parse(request.principal)
    ):
        return None
    return {
        name: _outcome(kind, matched)
        for kind, name in SOURCE_TYPES.items()
        if kind != "boundary" or parsed.boundary
    }


def _outcome(kind: PolicyType, matched: Matched) -> Outcome:
    denials = [_denies(statement) for gate, statement in matched if gate.kind == kind]
    if any(denials):
        return EXPLICIT_DENY
    return ALLOWED if denials else IMPLICIT_DENY


def _denies(compiled: CompiledStatement) -> bool:
    return compiled.statement.effect == "Deny"


def _result(
    action: str,
    name: str,
    verdicts: Sequence[_Verdict],
    missing: Sequence[str],
    parsed: SimulationInput,
) -> Answer:
    outcome = _most_restrictive(verdict.outcome for verdict in verdicts)
    named = bool(parsed.resources) and any(v.resource != EVERYTHING for v in verdicts)
    result: Answer = {
        "EvalActionName": action,
        "EvalResourceName": name,
        "EvalDecision": outcome,
        "MatchedStatements": _references(
            statement
            for verdict in verdicts
            if verdict.outcome == outcome
            for statement in verdict.statements
        ),
        "MissingContextValues": list(missing),
        **_decision_details(verdicts, named=named),
    }
    if named:
        if parsed.shape == "old":
            result["MissingContextValues"] = []  # the old shape has them only in the specific ones
        result["ResourceSpecificResults"] = [_specific(verdict, missing) for verdict in verdicts]
    return result


def _most_restrictive(outcomes: Iterable[Outcome]) -> Outcome:
    return min(outcomes, key=RESTRICTIVE.index)


def _decision_details(verdicts: Sequence[_Verdict], *, named: bool) -> Answer:
    answer: Answer = {}
    organizations = [v.organization for v in verdicts if v.organization is not None]
    if organizations:
        answer["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": all(organizations)}
    if False in organizations:
        return answer  # the simulation ends where an SCP refuses
    boundaries = [verdict.boundary for verdict in verdicts if verdict.boundary is not None]
    if boundaries:
        answer |= _boundary_detail(all(boundaries))
    details = [verdict.details for verdict in verdicts if verdict.details is not None]
    if details:
        answer["EvalDecisionDetails"] = {
            kind: _most_restrictive(detail[kind] for detail in details) for kind in details[0]
        }
    elif named:
        answer["EvalDecisionDetails"] = {}
    return answer


def _boundary_detail(allows: bool) -> Answer:
    return {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": allows}}


def _specific(verdict: _Verdict, missing: Sequence[str]) -> Answer:
    result: Answer = {
        "EvalResourceName": verdict.resource,
        "EvalResourceDecision": verdict.outcome,
        "MatchedStatements": _references(verdict.statements),
        "MissingContextValues": list(missing),
    }
    if verdict.boundary is not None:
        result |= _boundary_detail(verdict.boundary)
    if verdict.details is not None:
        result["EvalDecisionDetails"] = dict(verdict.details)
    return result


def _references(compiled: Iterable[CompiledStatement]) -> list[Answer]:
    spans = {each: statement_span(each.document, each.statement) for each in compiled}
    return [
        {
            "SourcePolicyId": statement.document.name,
            "SourcePolicyType": SOURCE_TYPES[statement.kind],
            "StartPosition": start,
            "EndPosition": end,
        }
        for statement, (start, end) in spans.items()
    ]
