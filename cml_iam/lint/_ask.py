"""The questions that lint asks the proof: about one statement, two, or all about some actions.

Policies repeat the same statements, especially those of one folder, so answers are cached by the
content of the statements.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import Condition, PolicyDocument, pattern_matches
from cml_iam.prove import Policies, Shape, is_sent, never, taken_over, within

if TYPE_CHECKING:
    from cml_iam.engine import Authorizer, Request
    from cml_iam.lint._subject import Item, Said
    from cml_iam.prove import Verdict

KEPT: Final = 1 << 12
"""The maximum number of cached answers for each kind of question."""


def matched(
    item: Item, *, action: str | None = None, conditions: Sequence[Condition] | None = None
) -> Verdict:
    """Prove that no request matches *item*; a witness is a request that matches.

    *action* and *conditions*, if given, replace its own.
    """
    return _never((_alone(item, action, conditions),), _Kind())


def known(item: Item, actions: Iterable[str]) -> Request | None:
    """Return a request for one of *actions* that matches *item*, from earlier answers, or None."""
    requests = (witness for action in actions for witness in _witnesses(action))
    return next(filter(item.matches, requests), None)


def is_matched(item: Item) -> bool:
    """Return whether a request matches *item*; False is proved."""
    return known(item, item.actions) is not None or not matched(item).holds


def always_holds(item: Item, condition: Condition) -> Verdict:
    """Return whether *condition* holds in all requests that match *item* without conditions."""
    return _within((_alone(item, None, ()),), (_alone(item, None, (condition,)),))


def inside(item: Item, wide: Item, *, action: str, further: Sequence[Condition] = ()) -> Verdict:
    """Return whether *wide* matches everything that *item* does for *action*, given *further*."""
    conditions = (*item.statement.conditions, *further)
    return _within((_alone(item, action, conditions),), (_alone(wide),))


def beyond(items: Iterable[Item], item: Item, *, action: str) -> Request | None:
    """Return a request for *action* that *items* allow and *item* does not match, or None.

    These are the requests that would remain allowed if *item* were a Deny.
    """
    refusing, version = _alone(item)
    said = (*(each.said for each in items), (replace(refusing, effect="Deny"), version))
    witness = _never(said, _Kind((action,))).witness
    return witness.request if witness else None


def allowed(items: Iterable[Item], shape: Shape) -> Verdict:
    """Prove that *items* never allow a request of *shape*; a witness is an allowed request."""
    return _never(tuple(item.said for item in items), _Kind.of(shape))


def can_be(authorizer: Authorizer, items: Iterable[Item], action: str, arns: Sequence[str]) -> bool:
    """Return whether *items* may allow *action* on a resource in *arns*; False is proved.

    *authorizer* is the engine for all items, which decides the requests of earlier answers first.
    """
    items = tuple(items)
    if not any(item.allows for item in items):
        return False
    tried = (e for e in _witnesses(action) if any(pattern_matches(a, e.resource) for a in arns))
    return (
        any(authorizer.decide(request).allowed for request in tried)
        or not allowed(items, Shape((action,), arns)).holds
    )


def owing(items: Sequence[Item], item: Item, shape: Shape) -> Request | None:
    """Return a request of *shape* that *items* allow only because of *item*, or None.

    If *item* is a Deny, *shape* must be the requests that it does not match.
    """
    said = [each.said for each in items]
    if item.allows:
        others = (each.said for each in items if each.allows and each is not item)
        said += [(replace(statement, effect="Deny"), version) for statement, version in others]
    return request_of(_never(tuple(said), _Kind.of(shape)))


def overtaken(items: Iterable[Item], tag: tuple[str, str], shape: Shape) -> tuple[Request, ...]:
    """Return calls that give a resource *tag* (key and value) and then operate it by *shape*.

    Returns one call if the tag is not required, and none if nothing is proved.
    """
    return _taken_over(tuple(item.said for item in items), tag, _Kind.of(shape))


def request_of(verdict: Verdict) -> Request | None:
    """Return the witness of *verdict*, if it is for an action that AWS has."""
    witness = verdict.witness
    return witness.request if witness and not witness.unlisted else None


def sent(shape: Shape) -> Request | None:
    """Return a request of *shape* that AWS sends, or None."""
    witness = _sent(_Kind.of(shape)).witness
    return witness.request if witness else None


@dataclass(frozen=True, slots=True)
class _Kind:
    """A set of requests as a cache key; see `Shape`."""

    actions: tuple[str, ...] = ("*",)
    resources: tuple[str, ...] = ("*",)
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, shape: Shape) -> _Kind:
        asked = (
            (operator, key, (values,) if isinstance(values, str) else tuple(values))
            for operator, block in shape.conditions.items()
            for key, values in block.items()
        )
        return cls(tuple(shape.actions), tuple(shape.resources), tuple(asked))

    def shape(self) -> Shape:
        blocks: dict[str, dict[str, tuple[str, ...]]] = {}
        for operator, key, values in self.conditions:
            blocks.setdefault(operator, {})[key] = values
        return Shape(self.actions, self.resources, blocks)


def _alone(
    item: Item, action: str | None = None, conditions: Sequence[Condition] | None = None
) -> Said:
    """Return *item* as an Allow; *action* and *conditions*, if given, replace its own."""
    statement, version = item.said
    other: dict[str, Any] = {"index": 0, "effect": "Allow"}
    if action is not None:
        other |= {"action": (action,), "not_action": None}
    if conditions is not None:
        other["conditions"] = tuple(conditions)
    return replace(statement, **other), version


@lru_cache(KEPT)
def _never(said: tuple[Said, ...], kind: _Kind) -> Verdict:
    # What lint suspects is seldom so: most statements match, and most kinds are allowed.
    verdict = never(policies_of(said), kind.shape(), is_likely=True)
    request = request_of(verdict)
    if request:
        _witnesses(request.action).append(request)
    return verdict


@lru_cache(KEPT)
def _witnesses(_action: str) -> deque[Request]:
    """Return a few requests for an action, kept so that the next answer may need no proof."""
    return deque(maxlen=8)


@lru_cache(KEPT)
def _taken_over(said: tuple[Said, ...], tag: tuple[str, str], kind: _Kind) -> tuple[Request, ...]:
    from cml_iam.site import Tag  # few policies need it, and starting counts

    calls = taken_over(policies_of(said), Tag(*tag), kind.shape()).calls
    return tuple(call.request for call in calls)


@lru_cache(KEPT)
def _sent(kind: _Kind) -> Verdict:
    return is_sent(kind.shape())


@lru_cache(KEPT)
def _within(narrow: tuple[Said, ...], wide: tuple[Said, ...]) -> Verdict:
    return within(policies_of(narrow), policies_of(wide))


def policies_of(said: Iterable[Said]) -> Policies:
    """Return statements as the policies of a principal, one per policy version."""
    by_version: dict[str, list[Any]] = {}
    for statement, version in said:
        kept = by_version.setdefault(version, [])
        number = len(kept)
        kept.append(statement if statement.index == number else replace(statement, index=number))
    return Policies(
        tuple(
            PolicyDocument(tuple(statements), version) for version, statements in by_version.items()
        )
    )
