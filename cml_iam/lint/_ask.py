"""The questions that lint asks the proof: about one statement, two, or all about some actions.

Policies repeat the same statements, especially those of one folder, so answers are cached by the
content of the statements.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

from cml_iam.engine import Authorizer, Document, Request, compile_policies
from cml_iam.lint._subject import Content, Item
from cml_iam.policy import Condition, PolicyDocument, pattern_matches
from cml_iam.prove import Policies, Shape, Verdict, is_sent, never, taken_over, within

_ALL: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
KEPT: Final = 1 << 12
"""The maximum number of cached answers for each kind of question."""


def authorizer_of(document: Document) -> Authorizer:
    """Return the engine for a resource's *document* and callers whose own policies allow all."""
    return compile_policies(identity=[_ALL], resource=document)


def matched(
    item: Item, *, action: str | None = None, conditions: Sequence[Condition] | None = None
) -> Verdict:
    """Prove that no request matches *item*, with *action* and *conditions* in place of its own."""
    return _never((_alone(item, action, conditions),), _kind(Shape()))


def known(item: Item, actions: Iterable[str]) -> Request | None:
    """Return a request for one of *actions* that matches *item*, from earlier answers, or None."""
    requests = (witness for action in actions for witness in _witnesses(action))
    return next(filter(item.matches, requests), None)


def is_matched(item: Item) -> bool:
    """Return whether a request matches *item*; False is proved."""
    return known(item, item.actions) is not None or not matched(item).holds


def always_holds(item: Item, condition: Condition) -> bool:
    """Return whether *condition* holds in all requests that match *item* without conditions."""
    return _within(_alone(item, None, ()), _alone(item, None, (condition,)))


def inside(item: Item, wide: Item, *, action: str, further: Sequence[Condition] = ()) -> bool:
    """Return whether *wide* matches everything that *item* does for *action*, given *further*."""
    return _within(_alone(item, action, (*item.statement.conditions, *further)), _alone(wide))


def beyond(items: Iterable[Item], item: Item, *, action: str) -> Request | None:
    """Return a request for *action* that *items* allow and *item*, as a Deny, would not refuse."""
    contents = (*(other.content for other in items), _denied(_alone(item)))
    witness = _never(contents, _kind(Shape((action,)))).witness
    return witness.request if witness else None


def allowed(items: Iterable[Item], shape: Shape) -> Verdict:
    """Prove that *items* never allow a request of *shape*; a witness is an allowed request."""
    return _never(tuple(item.content for item in items), _kind(shape))


def can_be(authorizer: Authorizer, items: Sequence[Item], action: str, arns: Sequence[str]) -> bool:
    """Return whether *items* may allow *action* on a resource in *arns*; False is proved.

    *authorizer* is the engine for all items, which decides the requests of earlier answers first.
    """
    if not any(item.allows for item in items):
        return False
    return (
        any(
            authorizer.decide(request).allowed
            for request in _witnesses(action)
            if any(pattern_matches(arn, request.resource) for arn in arns)
        )
        or not allowed(items, Shape((action,), arns)).holds
    )


def owing(items: Sequence[Item], item: Item, shape: Shape) -> Request | None:
    """Return a request of *shape* that *items* allow only because of *item*, or None.

    If *item* is a Deny, *shape* must be the requests that it does not match.
    """
    contents = [other.content for other in items]
    if item.allows:
        others = (other for other in items if other.allows and other is not item)
        contents += [_denied(other.content) for other in others]
    return request_of(_never(tuple(contents), _kind(shape)))


def overtaken(items: Iterable[Item], tag: tuple[str, str], shape: Shape) -> tuple[Request, ...]:
    """Return calls that give a resource *tag* (key and value) and then operate it by *shape*.

    Returns one call if the tag is not required, and none if nothing is proved.
    """
    from cml_iam.site import Tag  # few policies need it, and starting counts

    calls = taken_over(_policies(item.content for item in items), Tag(*tag), shape).calls
    return tuple(call.request for call in calls)


def request_of(verdict: Verdict) -> Request | None:
    """Return the witness of *verdict*, if it is for an action that AWS has."""
    witness = verdict.witness
    return witness.request if witness and not witness.unlisted else None


def sent(shape: Shape) -> Request | None:
    return _sent(_kind(shape))


def _denied(content: Content) -> Content:
    statement, version = content
    return replace(statement, effect="Deny"), version


def _alone(
    item: Item, action: str | None = None, conditions: Sequence[Condition] | None = None
) -> Content:
    statement, version = item.content
    other: dict[str, Any] = {"index": 0, "effect": "Allow"}
    if action is not None:
        other |= {"action": (action,), "not_action": None}
    if conditions is not None:
        other["conditions"] = tuple(conditions)
    return replace(statement, **other), version


_Kind = tuple[tuple[str, ...], tuple[str, ...], str]
"""A set of requests as a cache key: its actions, its resources, its conditions as JSON."""


def _kind(shape: Shape) -> _Kind:
    return tuple(shape.actions), tuple(shape.resources), json.dumps(shape.conditions)


def _shape(kind: _Kind) -> Shape:
    actions, resources, conditions = kind
    return Shape(actions, resources, json.loads(conditions))


@lru_cache(KEPT)
def _never(contents: tuple[Content, ...], kind: _Kind) -> Verdict:
    # What lint suspects is seldom so: most statements match, and most kinds are allowed.
    verdict = never(_policies(contents), _shape(kind), is_likely=True)
    request = request_of(verdict)
    if request:
        _witnesses(request.action).append(request)
    return verdict


@lru_cache(KEPT)
def _witnesses(_action: str) -> deque[Request]:
    """Return a few requests for an action, kept so that the next answer may need no proof."""
    return deque(maxlen=8)


@lru_cache(KEPT)
def _sent(kind: _Kind) -> Request | None:
    witness = is_sent(_shape(kind)).witness
    return witness.request if witness else None


@lru_cache(KEPT)
def _within(narrow: Content, wide: Content) -> bool:
    return within(_policies((narrow,)), _policies((wide,))).holds


def _policies(contents: Iterable[Content]) -> Policies:
    """Return statements as the policies of a principal, one per policy version."""
    by_version: dict[str, list[Any]] = {}
    for statement, version in contents:
        kept = by_version.setdefault(version, [])
        kept.append(replace(statement, index=len(kept)))
    return Policies(
        tuple(
            PolicyDocument(tuple(statements), version) for version, statements in by_version.items()
        )
    )
