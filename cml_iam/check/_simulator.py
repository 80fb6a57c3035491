"""Ask iam:SimulatePrincipalPolicy, and read the answers.

One API call has one context for all its actions and resources, so questions are grouped by context.
Only keys that a policy mentions can matter; without the others, most contexts are equal.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from cml_iam.aws.port import Aws
from cml_iam.engine import Request, context_keys
from cml_iam.errors import AwsError, CredentialsError
from cml_iam.expectations import Ruling
from cml_iam.policy import PolicyDocument, Statement, pattern_matches

Question = tuple[str, str]
"""An action and a resource."""

Frame = tuple[tuple[str, str | tuple[str, ...]], ...]
"""A context as a value: sorted (key, value or values)."""

Inquiry = tuple[Question, Frame]
"""A question with the context that it is asked in."""

_ALWAYS: Final = frozenset({"aws:requestedregion", "aws:principalarn"})
"""Keys sent even if no policy of the principal uses them: the region and the caller."""

_OF_SESSIONS: Final = frozenset(
    {"aws:multifactorauthage", "aws:multifactorauthpresent", "aws:tokenissuetime"}
)
"""Keys that only temporary credentials provide; calls with a user's access key lack them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

_REFUSES_TO_SIMULATE: Final = frozenset({"InvalidInput", "PolicyEvaluation"})
_TYPES: Final = {
    "aws:multifactorauthpresent": "boolean",
    "aws:securetransport": "boolean",
    "aws:sourceip": "ip",
    "ec2:encrypted": "boolean",
    "ec2:ebsoptimized": "boolean",
    "ec2:public": "boolean",
    "ec2:volumesize": "numeric",
}


class _Together:
    """Questions with one context, which has every key they need and none they must lack.

    Keys that no statement about a question mentions cannot change its answer.
    """

    def __init__(self) -> None:
        self.context: dict[str, tuple[str, str | tuple[str, ...]]] = {}
        self.absent: set[str] = set()
        self.inquiries: dict[Inquiry, None] = {}

    def takes(self, question: Question, frame: Frame, keys: frozenset[str]) -> bool:
        """Add the question if it fits; *keys* are the keys that matter to it."""
        has = {key.lower(): (key, value) for key, value in frame}
        for key, (_, value) in has.items():
            if key in self.absent or (key in self.context and self.context[key][1] != value):
                return False
        if any(key in self.context for key in keys - has.keys()):
            return False
        self.context = has | self.context
        self.absent |= keys - has.keys()
        self.inquiries[question, frame] = None
        return True


class Simulator:
    """The answers of the simulator to *requests*, for the principal *principal_arn*.

    *policies* are all of its policies, or None if they are unknown, so that any key may matter to
    any question. AWS evaluates service control policies with their conditions, but reveals neither
    the policies nor which of their keys are missing, only that the account is in an organization;
    then every key is sent with every question.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html
    """

    def __init__(
        self,
        aws: Aws,
        principal_arn: str,
        requests: Sequence[Request],
        policies: Sequence[PolicyDocument] | None,
    ) -> None:
        self.aws, self.principal_arn = aws, principal_arn
        self._sent = frozenset(key.lower() for request in requests for key in request.context)
        self._mentioned = None if policies is None else _mentioned(policies)
        self._answers: dict[Inquiry, tuple[Ruling, tuple[str, ...]]] = {}
        self._sends_all = policies is None
        if not self._simulate(requests):
            self._sends_all = True
            self._answers.clear()
            self._simulate(requests)

    def ruling(self, request: Request) -> Ruling:
        """Return AWS's answer for *request*; unknown if there is none or it is unreliable."""
        ruling, doubts = self._answers.get(self._inquiry(request), (Ruling(None), ()))
        return Ruling(None) if doubts else ruling

    def doubted(self, requests: Iterable[Request]) -> tuple[str, ...]:
        """Return the missing keys that make AWS's answers for *requests* unreliable."""
        answers = [self._answers.get(self._inquiry(request)) for request in requests]
        return tuple(dict.fromkeys(key for answer in answers if answer for key in answer[1]))

    def _inquiry(self, request: Request) -> Inquiry:
        question = request.action, request.resource
        keys = self._keys(question)
        return question, tuple(
            sorted(
                (key, value if isinstance(value, str) else tuple(value))
                for key, value in request.context.items()
                if key.lower() in keys
            )
        )

    def _keys(self, question: Question) -> frozenset[str]:
        """Return the condition keys, in lower case, to send with *question*."""
        if self._sends_all or self._mentioned is None:
            return self._sent
        return _ALWAYS | self._mentioned(question)

    def _simulate(self, requests: Iterable[Request]) -> bool:
        """Simulate *requests*; False, and no more calls, if keys of an organization may matter."""
        for group in self._groups(requests):
            questions = dict.fromkeys(question for question, _ in group.inquiries)
            for actions, resources in _products(questions):
                results = self._results(actions, resources, group)
                self._keep(results, resources, group)
                organized = any("OrganizationsDecisionDetail" in result for result in results)
                if organized and not self._sends_all:
                    return False
        return True

    def _groups(self, requests: Iterable[Request]) -> list[_Together]:
        """Return the questions in as few groups as their contexts allow."""
        groups: list[_Together] = []
        questions = dict.fromkeys(map(self._inquiry, requests))
        # The largest contexts first: questions with few keys fit into their groups.
        for question, frame in sorted(questions, key=lambda pair: -len(pair[1])):
            keys = self._keys(question)
            if not any(group.takes(question, frame, keys) for group in groups):
                groups.append(_Together())
                groups[-1].takes(question, frame, keys)
        return groups

    def _results(
        self, actions: tuple[str, ...], resources: tuple[str, ...], group: _Together
    ) -> list[Mapping[str, Any]]:
        """Call the simulator; questions that it refuses stay unanswered."""
        parameters: dict[str, Any] = {
            "PolicySourceArn": self.principal_arn,
            "ActionNames": list(actions),
            "ContextEntries": [_entry(*entry) for entry in sorted(group.context.values())],
            "MaxItems": 1000,
        }
        if resources != ("*",):
            parameters["ResourceArns"] = list(resources)
        operation = "simulate_principal_policy"
        try:
            return list(self.aws.pages("iam", operation, "EvaluationResults", **parameters))
        except CredentialsError:
            raise
        except AwsError as error:
            if error.code in _REFUSES_TO_SIMULATE:
                return []
            raise

    def _keep(
        self, results: list[Mapping[str, Any]], resources: tuple[str, ...], group: _Together
    ) -> None:
        rulings = dict(_read(results, resources))
        for question, frame in group.inquiries:
            if question in rulings:
                ruling, missing = rulings[question]
                self._answers[question, frame] = ruling, self._doubts(question, missing)

    def _doubts(self, question: Question, missing: Iterable[str]) -> tuple[str, ...]:
        """Return the *missing* keys that may decide *question* and whose values are unknown.

        MissingContextValues names the keys in all policies of the principal that the call did not
        send, even in statements about other actions; it never names keys in service control
        policies. https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html

        A key that any request has is known: if another request lacks it, the real call lacks it
        too. The tags that a call sends are always known.
        """
        sent = self._sent | (_OF_SESSIONS if ":user/" in self.principal_arn else frozenset())
        return tuple(
            key
            for key in missing
            if not (key.lower() in sent or key.lower() == "aws:tagkeys")
            and not key.lower().startswith("aws:requesttag/")
            and (self._mentioned is None or key.lower() in self._mentioned(question))
        )


def _products(
    questions: Iterable[Question],
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield (actions, resources) for few calls whose products cover all questions.

    The API answers every action for every resource of a call; extra answers are ignored. "*" means
    "no resource given" and cannot be combined with ARNs. Each call has the actions of one service.
    """
    groups: dict[tuple[str, bool], list[Question]] = {}
    for action, resource in questions:
        key = ("", True) if resource == "*" else (action.partition(":")[0], False)
        groups.setdefault(key, []).append((action, resource))
    for group in groups.values():
        actions = tuple(dict.fromkeys(action for action, _ in group))
        yield actions, tuple(sorted({resource for _, resource in group}))


def _read(
    results: Iterable[Mapping[str, Any]], resources: tuple[str, ...]
) -> Iterator[tuple[Question, tuple[Ruling, Sequence[str]]]]:
    """Yield questions, answers, and missing keys, from both response shapes of the API.

    Before 2026-07-30, there was one result for each action and resource; since then there is one
    for each action, which contains the results of the resources.
    """
    for result in results:
        action = result["EvalActionName"]
        every = result.get("MissingContextValues", ())
        specific = result.get("ResourceSpecificResults") or ()
        for part in specific:
            ruling = _live_ruling(result, part["EvalResourceDecision"], part)
            missing = part.get("MissingContextValues", every)
            yield (action, part["EvalResourceName"]), (ruling, missing)
        if not specific:
            name = "*" if resources == ("*",) else result.get("EvalResourceName", "*")
            yield (action, name), (_live_ruling(result, result["EvalDecision"], result), every)


def _live_ruling(result: Mapping[str, Any], decision: str, specific: Mapping[str, Any]) -> Ruling:
    statements = specific.get("MatchedStatements") or result.get("MatchedStatements") or ()
    labels = tuple(dict.fromkeys(_label(statement) for statement in statements))
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


def _entry(key: str, value: str | tuple[str, ...]) -> dict[str, Any]:
    kind, single = _TYPES.get(key.lower(), "string"), isinstance(value, str)
    return {
        "ContextKeyName": key,
        "ContextKeyValues": [value] if single else list(value),
        "ContextKeyType": kind if single else f"{kind}List",
    }


def _mentioned(policies: Sequence[PolicyDocument]) -> Callable[[Question], frozenset[str]]:
    """Return a function that returns the keys mentioned by the statements about a question."""
    mentioned = [
        (
            statement,
            frozenset(map(str.lower, context_keys([replace(policy, statements=(statement,))]))),
        )
        for policy in policies
        for statement in policy.statements
    ]

    @cache
    def keys(question: Question) -> frozenset[str]:
        return frozenset().union(
            *(keys for statement, keys in mentioned if _is_about(statement, question))
        )

    return keys


def _is_about(statement: Statement, question: Question) -> bool:
    """Return whether *statement* may decide *question*; True if in doubt."""
    action, resource = question
    named = statement.action is None or any(
        pattern_matches(pattern, action, ignore_case=True) for pattern in statement.action
    )
    return named and (
        statement.resource is None
        or any(
            "${" in pattern or pattern_matches(pattern, resource) for pattern in statement.resource
        )
    )
