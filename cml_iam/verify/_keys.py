"""Which condition keys a question is asked with, and which of them nobody here can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from cml_iam.engine import context_keys
from cml_iam.policy import pattern_matches

if TYPE_CHECKING:
    from cml_iam.engine import Request
    from cml_iam.policy import PolicyDocument, Statement

Question = tuple[str, str]
"""An action and a resource."""

KeysOf = Callable[[Question], frozenset[str]]
"""Gives the condition keys, in lower case, that may decide a question."""

_ALWAYS: Final = frozenset({"aws:requestedregion", "aws:principalarn"})
"""Keys sent although no policy of the principal mentions them: who asks, and where."""

_OF_SESSIONS: Final = frozenset(
    {"aws:multifactorauthage", "aws:multifactorauthpresent", "aws:tokenissuetime"}
)
"""Keys that only temporary credentials give: a call by a user's access key lacks them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""


def every_key(requests: Iterable[Request]) -> KeysOf:
    """Return what gives, for any question, all keys that *requests* have."""
    every = _keys_of(requests)
    return lambda _: every


def keys_mentioned(policies: Sequence[PolicyDocument]) -> KeysOf:
    """Return what gives the keys that statements about a question mention."""
    mentioned = [
        (each, frozenset(map(str.lower, context_keys([replace(policy, statements=(each,))]))))
        for policy in policies
        for each in policy.statements
    ]

    @cache
    def keys(question: Question) -> frozenset[str]:
        return frozenset().union(*(keys for each, keys in mentioned if _is_about(each, question)))

    return keys


def keys_that_matter(mentioned: KeysOf) -> KeysOf:
    """Return what gives the keys a question is asked with, where policies mention *mentioned*."""
    return lambda question: _ALWAYS | mentioned(question)


class Doubts:
    """Which keys that AWS misses leave a question undecided.

    MissingContextValues names the keys of all policies of the principal that the call did not
    give, whatever their statements are about; those of service control policies it never names.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_EvaluationResult.html

    A key that some of *requests* has is known: where another lacks it, so does the real call. None
    for *mentioned*: the policies are not known, and any statement may be about any question.
    """

    def __init__(
        self, requests: Iterable[Request], principal_arn: str, mentioned: KeysOf | None
    ) -> None:
        self._known = _keys_of(requests)
        if ":user/" in principal_arn:
            self._known |= _OF_SESSIONS
        self._mentioned = mentioned

    def about(self, question: Question, missing: Iterable[str]) -> tuple[str, ...]:
        """Return those of the *missing* keys that may decide *question*, unknown to all."""
        return tuple(
            key
            for key in missing
            if not self._is_known(key.lower())
            and (self._mentioned is None or key.lower() in self._mentioned(question))
        )

    def _is_known(self, key: str) -> bool:
        """Say whether *key* is known; the tags that a call sends always are, all of them."""
        return key in self._known or key == "aws:tagkeys" or key.startswith("aws:requesttag/")


def _keys_of(requests: Iterable[Request]) -> frozenset[str]:
    return frozenset(key.lower() for each in requests for key in each.context)


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
