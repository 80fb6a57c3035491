"""Statements that no request matches together, by their resources or by a pair of conditions.

Most statements of a policy are out of the question because of one condition each, or of their
resource. That needs no axis for every key, and is remembered: policies repeat themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cml_iam.facts import arn_pattern, covers, key_type, overlap
from cml_iam.space._conditions import Asked
from cml_iam.space._values import Query, values_of

if TYPE_CHECKING:
    from cml_iam.policy import Statement
    from cml_iam.space._statements import Part


def apart(one: Part, other: Part) -> bool:
    """Say whether no request can match both, by their resources or two conditions on one key.

    False where it takes more than that, or facts about AWS: a key of EC2 is another name of a
    global one in requests to EC2 only.
    """
    if _on_other_resources(one.statement, other.statement):
        return True
    theirs: dict[str, list[Asked]] = {}
    for each in other.asked:
        theirs.setdefault(each.condition.key.lower(), []).append(each)
    return any(
        _contradict(_Pair.of(mine, each))
        for mine in one.asked
        for each in theirs.get(mine.condition.key.lower(), ())
    )


def _on_other_resources(one: Statement, other: Statement) -> bool:
    """Say whether all that *one* names in Resource is excluded by, or missing in, *other*.

    False where an element is no ARN: what it names is the engine's matter.
    """
    mine = [arn_pattern(each) for each in one.resource or ()]
    theirs = [arn_pattern(each) for each in other.resource or ()]
    excluded = [arn_pattern(e) for e in other.not_resource or () if "${" not in e]
    if not mine or None in mine or None in theirs:
        return False
    named = [each for each in mine if each]
    if other.resource is not None:
        return not any(each and overlap(own, each) for own in named for each in theirs)
    return all(any(each and covers(each, own) for each in excluded) for own in named)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two conditions on one key; equal to another pair that says the same."""

    said: tuple[Any, ...]
    asked: tuple[Asked, Asked] = field(compare=False)

    @classmethod
    def of(cls, one: Asked, other: Asked) -> _Pair:
        said = (one.condition, one.variables, other.condition, other.variables)
        return cls(said, (one, other))


@lru_cache(1 << 12)
def _contradict(pair: _Pair) -> bool:
    # They spell it in different cases, maybe, of which a request has one.
    names = (pair.asked[0].condition.key,)
    # Of a key whose type is unknown, another statement may ask for a list.
    if key_type(names[0]) is None or any(each.needs() for each in pair.asked):
        return False
    found = values_of(Query(names, pair.asked))
    return found.complete and not any(_both(pair, names, value) for value in found.values)


def _both(pair: _Pair, names: tuple[str, ...], value: Any) -> bool:
    context = {} if value is None else dict.fromkeys(names, value)
    return all(each.test(context) for each in pair.asked)
