"""Ask the expectations of a site: offline of our engine, live of iam:SimulatePrincipalPolicy.

Live, the questions are put in few calls. One call of the API has one context for all of its
actions and resources, so questions are grouped by context; and because only the keys that some
policy mentions can matter, the rest are left out first, which makes most contexts equal.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final, Literal

from cml_iam.aws import Counted
from cml_iam.aws.port import Aws
from cml_iam.engine import Authorizer, Request, StatementReason, compile_policies, context_keys
from cml_iam.errors import (
    AwsError,
    CredentialsError,
    DeniedError,
    DocumentError,
    NotFoundError,
)
from cml_iam.expectations import Expectation, Judgement, Ruling, judge
from cml_iam.policy import (
    PolicyDocument,
    Statement,
    attachment_problems,
    pattern_matches,
)
from cml_iam.principal import principal_of_arn, read_holdings

Question = tuple[str, str]
"""An action and a resource."""

Frame = tuple[tuple[str, str | tuple[str, ...]], ...]
"""A context as a value: sorted (key, value or values)."""

_ALWAYS: Final = frozenset({"aws:requestedregion", "aws:principalarn"})
"""Keys sent although no policy of the principal mentions them: service control policies may."""

_TYPES: Final = {
    "aws:securetransport": "boolean",
    "aws:sourceip": "ip",
    "ec2:encrypted": "boolean",
    "ec2:ebsoptimized": "boolean",
    "ec2:public": "boolean",
    "ec2:volumesize": "numeric",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """The judgements of a run; *how* they were made, and how many *calls* it took."""

    how: Literal["offline", "live"]
    judgements: tuple[Judgement, ...]
    calls: int = 0

    @property
    def failed(self) -> tuple[Judgement, ...]:
        """The expectations that do not hold."""
        return tuple(each for each in self.judgements if each.verdict == "fails")

    @property
    def unchecked(self) -> tuple[Judgement, ...]:
        """The expectations that could not be checked."""
        return tuple(each for each in self.judgements if each.verdict == "unchecked")


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


def verify_live(
    aws: Aws,
    principal_arn: str,
    expectations: Iterable[Expectation],
    policies: Sequence[PolicyDocument] | None = None,
) -> Verification:
    """Judge *expectations* by what AWS's simulator says of the principal *principal_arn*.

    *policies* are all that apply to it, its boundary among them: they tell which keys matter to
    which action, so that more questions share a call. They are read where none are given; where
    they cannot all be read, every key is given with every question, in more calls.

    A question that AWS does not answer is unchecked. Raises DeniedError when the caller may not
    simulate, NotFoundError when there is no such principal, CredentialsError without credentials.
    """
    expectations = tuple(expectations)
    requests = [request for each in expectations for request in each.requests]
    counted = Counted(aws)
    known = _policies_of(counted, principal_arn) if policies is None else policies
    keys = _every_key(requests) if known is None else _keys_that_matter(known)
    simulator = _Simulator(counted, principal_arn, keys)
    try:
        simulator.ask(requests)
    except NotFoundError as error:
        raise _nobody(error, principal_arn) from None
    except DeniedError as error:
        raise _not_permitted(error) from None
    return Verification("live", judge(expectations, simulator.ruling), counted.calls)


def _policies_of(aws: Aws, principal_arn: str) -> tuple[PolicyDocument, ...] | None:
    """Return all policies that apply to the principal; None where not all can be read.

    GetContextKeysForPrincipalPolicy would take one call, but leaves the boundary out.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
    """
    named = principal_of_arn(principal_arn)
    if named is None:
        return None  # a group, or nothing that can be asked about: AWS says so
    try:
        found = read_holdings(aws, *named)
    except (DeniedError, NotFoundError):
        return None
    if found.arn != principal_arn or found.unread:
        return None
    boundary = (found.boundary.document,) if found.boundary else ()
    return (*found.documents, *boundary)


def _every_key(requests: Iterable[Request]) -> Callable[[Question], frozenset[str]]:
    every = frozenset(key.lower() for each in requests for key in each.context)
    return lambda _: every


def _keys_that_matter(
    policies: Sequence[PolicyDocument],
) -> Callable[[Question], frozenset[str]]:
    """Return what gives the keys, in lower case, that statements about a question mention."""
    mentioned = [
        (each, frozenset(map(str.lower, context_keys([replace(policy, statements=(each,))]))))
        for policy in policies
        for each in policy.statements
    ]

    @cache
    def keys(question: Question) -> frozenset[str]:
        return _ALWAYS.union(*(keys for each, keys in mentioned if _is_about(each, question)))

    return keys


def _is_about(statement: Statement, question: Question) -> bool:
    """Say whether *statement* may decide *question*; where it is not certain, it may."""
    action, resource = question
    named = statement.action is None or any(
        pattern_matches(each, action, ignore_case=True) for each in statement.action
    )
    return named and (
        statement.resource is None
        or any("${" in each or pattern_matches(each, resource) for each in statement.resource)
    )


def _ruling(authorizer: Authorizer, request: Request) -> Ruling:
    decision = authorizer.decide(request)
    return Ruling(decision.allowed, tuple(each.statement.label for each in decision.statements))


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


def _nobody(error: NotFoundError, principal_arn: str) -> NotFoundError:
    return NotFoundError(
        error.message,
        code=error.code,
        operation=error.operation,
        remedy=f"check that `{principal_arn}` is there, in the account of these credentials:"
        " `cml-iam bootstrap apply` makes the site's principal",
    )


def _not_permitted(error: DeniedError) -> DeniedError:
    return DeniedError(
        error.message,
        code=error.code,
        operation=error.operation,
        action=error.action,
        remedy="ask as an administrator: the manager itself should not hold this permission",
    )


class _Together:
    """Questions that one context answers: it has what each needs, and lacks what each must lack.

    A key that no statement about a question mentions decides nothing about it, so that it does not
    mind the keys that others of the call need.
    """

    def __init__(self) -> None:
        self.context: dict[str, tuple[str, str | tuple[str, ...]]] = {}
        self.absent: set[str] = set()
        self.asked: dict[tuple[Question, Frame], None] = {}

    def takes(self, question: Question, frame: Frame, keys: frozenset[str]) -> bool:
        """Add the question where it fits; *keys* are those that matter to it."""
        has = {key.lower(): (key, value) for key, value in frame}
        for key, (_, value) in has.items():
            if key in self.absent or (key in self.context and self.context[key][1] != value):
                return False
        if any(key in self.context for key in keys - has.keys()):
            return False
        self.context = has | self.context
        self.absent |= keys - has.keys()
        self.asked[question, frame] = None
        return True


class _Simulator:
    """Collects the simulator's answers.

    *keys* gives the condition keys, in lower case, that matter to a question.
    """

    def __init__(
        self, aws: Aws, principal_arn: str, keys: Callable[[Question], frozenset[str]]
    ) -> None:
        self.aws = aws
        self.principal_arn = principal_arn
        self.keys = keys
        self.answers: dict[tuple[Question, Frame], Ruling] = {}

    def ask(self, requests: Iterable[Request]) -> None:
        """Ask everything *requests* need, in as few calls as their contexts allow."""
        groups: list[_Together] = []
        asked = {
            ((request.action, request.resource), self._frame(request)): None for request in requests
        }
        # The largest contexts first: what is asked of little fits in with them.
        for question, frame in sorted(asked, key=lambda each: -len(each[1])):
            keys = self.keys(question)
            if not any(each.takes(question, frame, keys) for each in groups):
                groups.append(_Together())
                groups[-1].takes(question, frame, keys)
        for group in groups:
            frames = dict(group.asked)
            for actions, resources in _products(dict.fromkeys(q for q, _ in frames)):
                self._call(actions, resources, group)

    def ruling(self, request: Request) -> Ruling:
        """Return AWS's answer for *request*; unknown when there was none."""
        question = (request.action, request.resource)
        return self.answers.get((question, self._frame(request)), Ruling(None))

    def _frame(self, request: Request) -> Frame:
        keys = self.keys((request.action, request.resource))
        return tuple(
            sorted(
                (key, value if isinstance(value, str) else tuple(value))
                for key, value in request.context.items()
                if key.lower() in keys
            )
        )

    def _call(self, actions: tuple[str, ...], resources: tuple[str, ...], group: _Together) -> None:
        context = sorted(group.context.values())
        parameters: dict[str, Any] = {
            "PolicySourceArn": self.principal_arn,
            "ActionNames": list(actions),
            "ContextEntries": [_context_entry(key, value) for key, value in context],
            "MaxItems": 1000,
        }
        if resources != ("*",):
            parameters["ResourceArns"] = list(resources)
        try:
            results = list(
                self.aws.pages(
                    "iam", "simulate_principal_policy", "EvaluationResults", **parameters
                )
            )
        except CredentialsError:
            raise
        except AwsError as error:
            if error.code in _REFUSES_TO_SIMULATE:
                return  # these questions stay unanswered, and are reported as unchecked
            raise
        told = dict(_answers(results, resources))
        for question, frame in group.asked:
            if question in told:
                self.answers[question, frame] = told[question]


_REFUSES_TO_SIMULATE: Final = frozenset({"InvalidInput", "PolicyEvaluation"})


def _products(
    questions: Iterable[Question],
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield (actions, resources) whose products hold all questions, in few calls.

    The API answers every action for every resource of a call; what nobody asked is not looked at.
    "*" means "no resource given" and cannot stand beside ARNs. Services are kept apart.
    """
    groups: dict[tuple[str, bool], list[Question]] = {}
    for action, resource in questions:
        key = ("", True) if resource == "*" else (action.partition(":")[0], False)
        groups.setdefault(key, []).append((action, resource))
    for group in groups.values():
        actions = tuple(dict.fromkeys(action for action, _ in group))
        yield actions, tuple(sorted({resource for _, resource in group}))


def _answers(
    results: Iterable[Mapping[str, Any]], resources: tuple[str, ...]
) -> Iterator[tuple[Question, Ruling]]:
    """Read both shapes of the API: before 2026-07-30 one result for each action and resource,
    since then one for each action with the resources' own results inside.
    """  # noqa: D205 - one sentence
    for result in results:
        action = result["EvalActionName"]
        specific = result.get("ResourceSpecificResults") or ()
        for each in specific:
            ruling = _live_ruling(result, each["EvalResourceDecision"], each)
            yield (action, each["EvalResourceName"]), ruling
        if not specific:
            name = "*" if resources == ("*",) else result.get("EvalResourceName", "*")
            yield (action, name), _live_ruling(result, result["EvalDecision"], result)


def _live_ruling(result: Mapping[str, Any], decision: str, specific: Mapping[str, Any]) -> Ruling:
    statements = specific.get("MatchedStatements") or result.get("MatchedStatements") or ()
    labels = tuple(dict.fromkeys(_label(each) for each in statements))
    organization = result.get("OrganizationsDecisionDetail", {})
    if organization.get("AllowedByOrganizations") is False:
        labels = (*labels, "a service control policy")
    boundary = specific.get("PermissionsBoundaryDecisionDetail", {})
    if boundary.get("AllowedByPermissionsBoundary") is False:
        labels = (*labels, "the permissions boundary")
    return Ruling(decision == "allowed", labels)


def _label(statement: Mapping[str, Any]) -> str:
    start = statement.get("StartPosition", {})
    place = f":{start['Line']}:{start['Column']}" if start else ""
    return f"{statement.get('SourcePolicyId', 'a policy')}{place}"


def _context_entry(key: str, value: str | tuple[str, ...]) -> dict[str, Any]:
    kind = _TYPES.get(key.lower(), "string")
    if isinstance(value, str):
        return {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": kind}
    return {
        "ContextKeyName": key,
        "ContextKeyValues": list(value),
        "ContextKeyType": f"{kind}List",
    }
