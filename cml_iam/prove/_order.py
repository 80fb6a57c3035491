"""What the calls of a sequence have in common, and that none is earlier than the one before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from cml_iam.engine import Request
from cml_iam.engine.parts import moment
from cml_iam.policy import Statement
from cml_iam.prove._answers import Witness
from cml_iam.prove._instances import EC2_RESOURCE
from cml_iam.prove._question import answered
from cml_iam.prove._tagging import REQUEST, RESOURCE
from cml_iam.space import Policies, moments, side_of

_LASTING: Final = ("aws:principal", "aws:userid", "aws:username", "ec2:")
"""Beginnings of keys whose values a sequence cannot change: the caller's and the instance's."""

_PASSING: Final = frozenset({"ec2:createaction", "ec2:region"})

_TIMES: Final = frozenset({"aws:currenttime", "aws:epochtime"})


def changing_key(requests: Sequence[Request]) -> str | None:
    """Return a key that *requests* of one caller about one instance cannot differ in, but do."""
    for key in sorted({key for each in requests for key in each.context}):
        name = key.lower()
        if name.startswith((EC2_RESOURCE, RESOURCE.lower(), REQUEST.lower())) or name in _PASSING:
            continue
        if not name.startswith(_LASTING):
            continue
        values = {_value(each, key) for each in requests if key in each.context}
        if len(values) > 1:
            return key
    return None


def _value(request: Request, key: str) -> object:
    value = request.context[key]
    return tuple(value) if isinstance(value, list) else value


def in_time(
    policies: Policies, statements: Sequence[Statement], calls: Sequence[Witness]
) -> tuple[Witness, ...] | None:
    """Return *calls* at times that do not run backwards, each as early as it is allowed.

    *statements* are all that say which times differ. None if there are no such times.
    """
    last: dict[str, int] = {}
    found = []
    for call in calls:
        request = call.request
        for key in (key for key in call.request.context if key.lower() in _TIMES):
            times = _times(statements, request, key)
            later = (_at(request, key, text) for at, text in times if at >= last.get(key, at))
            earliest = next((each for each in later if _allows(policies, each)), None)
            if earliest is None:
                return None
            request = earliest
            last[key] = moment(str(request.context[key])) or 0
        side = side_of(policies)
        found.append(replace(call, request=request, candidate=answered(side, request)[0]))
    return tuple(found)


def _times(
    statements: Sequence[Statement], request: Request, key: str
) -> Iterator[tuple[int, str]]:
    """Yield the moments that *statements* distinguish by *key*, in order."""
    named = [
        value
        for statement in statements
        for condition in statement.conditions
        if condition.key.lower() == key.lower()
        for value in condition.values
    ]
    for text in moments([*named, str(request.context[key])]):
        at = moment(text)
        if at is not None:
            yield at, text


def _at(request: Request, key: str, text: str) -> Request:
    return request._replace(context={**request.context, key: text})


def _allows(policies: Policies, request: Request) -> bool:
    return side_of(policies).authorizer.decide(request).allowed
