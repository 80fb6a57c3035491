"""Statements that a pair of conditions keeps apart: what one asks of a key, the other refuses.

Most statements of a policy are out of the question because of one condition each. That is told
without an axis for every key, and remembered: policies say the same things over and over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cml_iam.facts import key_type
from cml_iam.space._conditions import Asked
from cml_iam.space._values import Query, values_of

if TYPE_CHECKING:
    from cml_iam.space._statements import Part


def apart(one: Part, other: Part) -> bool:
    """Say whether no request can match both, as a pair of their conditions on one key tells.

    False where it takes more than one pair to tell, or facts about AWS: a key of EC2 is another
    name of a global one in requests to EC2 only.
    """
    theirs: dict[str, list[Asked]] = {}
    for each in other.asked:
        theirs.setdefault(each.condition.key.lower(), []).append(each)
    return any(
        _contradict(_Pair.of(mine, each))
        for mine in one.asked
        for each in theirs.get(mine.condition.key.lower(), ())
    )


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
