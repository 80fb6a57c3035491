"""Ask iam:SimulatePrincipalPolicy, and read the answers.

One API call has one context for all its actions and resources, so questions are grouped by context.
Only keys that a policy mentions can matter; without the others, most contexts are equal. In an
organization, no key is left out, because the service control policies, which only the simulator can
read, may mention any key.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import context_keys
from cml_iam.errors import AwsError, CredentialsError
from cml_iam.expectations import Ruling
from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.engine import Request
    from cml_iam.policy import PolicyDocument, Statement

Question = tuple[str, str]
"""An action and a resource."""

KeysOf = Callable[[Question], frozenset[str]]
"""A function that returns the condition keys, in lower case, that may decide a question."""

Frame = tuple[tuple[str, str | tuple[str, ...]], ...]
"""A context as a value: sorted (key, value or values)."""

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
    """Questions that share a context, which has every key they need and none they must lack.

    A key that no statement about a question mentions cannot change its answer, so it may be present
    for other questions of the call.
    """

    def __init__(self) -> None:
        self.context: dict[str, tuple[str, str | tuple[str, ...]]] = {}
        self.absent: set[str] = set()
        self.asked: dict[tuple[Question, Frame], None] = {}

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
        self.asked[question, frame] = None
        return True


class Simulator:
    """Collects the answers of the simulator.

    *keys* returns the condition keys, in lower case, to send with a question. *doubts* returns the
    keys that AWS reports as missing and that leave an answer undecided.
    """

    def __init__(self, aws: Aws, principal_arn: str, keys: KeysOf, doubts: Doubts) -> None:
        self.aws = aws
        self.principal_arn = principal_arn
        self.keys = keys
        self.doubts = doubts
        self.in_organization = False
        self._answers: dict[tuple[Question, Frame], Ruling] = {}
        self._doubted: dict[tuple[Question, Frame], tuple[str, ...]] = {}

    def ask(self, requests: Iterable[Request], *, outside_organizations: bool = False) -> bool:
        """Simulate all *requests*, in as few calls as their contexts allow.

        With *outside_organizations* it stops, and returns False, once an answer reveals one.
        """
        for actions, resources, group in self._calls(requests):
            self._call(actions, resources, group)
            if outside_organizations and self.in_organization:
                return False
        return True

    def ruling(self, request: Request) -> Ruling:
        """Return AWS's answer for *request*; unknown if there is none or it is unreliable."""
        asked = (request.action, request.resource), self._frame(request)
        if self._doubted.get(asked):
            return Ruling(None)
        return self._answers.get(asked, Ruling(None))

    def doubted(self, requests: Iterable[Request]) -> tuple[str, ...]:
        """Return the missing keys that make AWS's answers for *requests* unreliable."""
        asked = (((request.action, request.resource), self._frame(request)) for request in requests)
        return tuple(dict.fromkeys(key for each in asked for key in self._doubted.get(each, ())))

    def _calls(
        self, requests: Iterable[Request]
    ) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], _Together]]:
        """Yield actions, resources, and the questions that each call answers."""
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
            for actions, resources in _products(dict.fromkeys(q for q, _ in group.asked)):
                yield actions, resources, group

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
        self.in_organization |= any("OrganizationsDecisionDetail" in result for result in results)
        told = {
            question: (ruling, missing) for question, ruling, missing in _read(results, resources)
        }
        for question, frame in group.asked:
            if question in told:
                ruling, missing = told[question]
                self._answers[question, frame] = ruling
                self._doubted[question, frame] = self.doubts.about(question, missing)


_REFUSES_TO_SIMULATE: Final = frozenset({"InvalidInput", "PolicyEvaluation"})


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
) -> Iterator[tuple[Question, Ruling, Sequence[str]]]:
    """Yield questions, answers, and missing keys, from both response shapes of the API.

    Before 2026-07-30, there was one result for each action and resource; since then there is one
    for each action, which contains the results of the resources.
    """
    for result in results:
        action = result["EvalActionName"]
        every = result.get("MissingContextValues", ())
        specific = result.get("ResourceSpecificResults") or ()
        for each in specific:
            ruling = _live_ruling(result, each["EvalResourceDecision"], each)
            missing = each.get("MissingContextValues", every)
            yield (action, each["EvalResourceName"]), ruling, missing
        if not specific:
            name = "*" if resources == ("*",) else result.get("EvalResourceName", "*")
            yield (action, name), _live_ruling(result, result["EvalDecision"], result), every


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


def _context_entry(key: str, value: str | tuple[str, ...]) -> dict[str, Any]:
    kind = _TYPES.get(key.lower(), "string")
    if isinstance(value, str):
        return {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": kind}
    return {
        "ContextKeyName": key,
        "ContextKeyValues": list(value),
        "ContextKeyType": f"{kind}List",
    }


# Which condition keys a question is asked with, and which of them nobody here can tell.

_ALWAYS: Final = frozenset({"aws:requestedregion", "aws:principalarn"})
"""Keys sent even if no policy of the principal uses them: the region and the caller."""

_OF_SESSIONS: Final = frozenset(
    {"aws:multifactorauthage", "aws:multifactorauthpresent", "aws:tokenissuetime"}
)
"""Keys that only temporary credentials provide; calls with a user's access key lack them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""


def every_key(requests: Iterable[Request]) -> KeysOf:
    """Return a function that returns all keys of *requests* for any question."""
    every = _keys_of(requests)
    return lambda _: every


def keys_mentioned(policies: Sequence[PolicyDocument]) -> KeysOf:
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
        return frozenset().union(*(keys for each, keys in mentioned if _is_about(each, question)))

    return keys


def keys_that_matter(mentioned: KeysOf) -> KeysOf:
    """Return the *keys* function of `Simulator` for policies that mention *mentioned*."""
    return lambda question: _ALWAYS | mentioned(question)


class Doubts:
    """The keys that AWS reports as missing and that leave a question undecided.

    MissingContextValues names the keys in all policies of the principal that the call did not send,
    even in statements about other actions; it never names keys in service control policies.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html

    A key that any of *requests* has is known: if another request lacks it, the real call lacks it
    too. *mentioned* is None if the policies are unknown, so that any statement may be about any
    question.
    """

    def __init__(
        self, requests: Iterable[Request], principal_arn: str, mentioned: KeysOf | None
    ) -> None:
        self._known = _keys_of(requests)
        if ":user/" in principal_arn:
            self._known |= _OF_SESSIONS
        self._mentioned = mentioned

    def about(self, question: Question, missing: Iterable[str]) -> tuple[str, ...]:
        """Return the *missing* keys that may decide *question* and that no request has."""
        return tuple(
            key
            for key in missing
            if not self._is_known(key.lower())
            and (self._mentioned is None or key.lower() in self._mentioned(question))
        )

    def _is_known(self, key: str) -> bool:
        """Return whether *key* is known; the tags that a call sends always are."""
        return key in self._known or key == "aws:tagkeys" or key.startswith("aws:requesttag/")


def _keys_of(requests: Iterable[Request]) -> frozenset[str]:
    return frozenset(key.lower() for request in requests for key in request.context)


def _is_about(statement: Statement, question: Question) -> bool:
    """Return whether *statement* may decide *question*; True if in doubt."""
    action, resource = question
    named = statement.action is None or any(
        pattern_matches(each, action, ignore_case=True) for each in statement.action
    )
    return named and (
        statement.resource is None
        or any("${" in each or pattern_matches(each, resource) for each in statement.resource)
    )
