"""Compare a value of the request with a policy's values, by type.

A comparison returns True if one of the policy's values matches, False if none does, and None if the
result is undefined: a value is not the required number, date, address, boolean or ARN, or a
variable has no value. An undefined condition does not match, even if it is negated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine._literals import inside, moment, network, number
from cml_iam.engine._resource import (
    FIELDS,
    Fields,
    arn_patterns,
    is_arn,
    resolve_fields,
    split_fields,
)
from cml_iam.engine._text import (
    MalformedVariableError,
    Token,
    has_variable,
    patterns,
    resolved,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.engine._request import Keys

Context = Mapping[str, Any]
PlainTest = Callable[[str], "bool | None"]
VaryingTest = Callable[[str, Context], "bool | None"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The context of a document's values: whether it may have *variables*, and its *keys*."""

    variables: bool
    keys: Keys = field(compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A policy's prepared values: *plain* tests the request's value, *varying* also its context.

    Exactly one of them is set. *problems* lists values that can never match.
    """

    plain: PlainTest | None = None
    varying: VaryingTest | None = None
    problems: tuple[str, ...] = ()


Prepare = Callable[["Sequence[str]", Scope], Comparison]


def texts(*, wildcards: bool = False, any_case: bool = False, variables: bool = True) -> Prepare:
    """Compare as strings, with *wildcards* `*` and `?`, or in *any_case*."""

    def prepare(values: Sequence[str], scope: Scope) -> Comparison:
        parsed, problems = [], []
        for value in values:
            try:
                parts = tokens(
                    value,
                    variables=scope.variables and variables,
                    wildcards=wildcards,
                    keys=scope.keys,
                )
            except MalformedVariableError as error:
                problems.append(f"`{value}`: {error}")
            else:
                parsed.append(_lower(parts) if any_case else parts)
        return _text_comparison(parsed, tuple(problems), any_case=any_case)

    return prepare


def _text_comparison(
    parsed: Sequence[tuple[Token, ...]], problems: tuple[str, ...], *, any_case: bool
) -> Comparison:
    plain = patterns(parts for parts in parsed if not has_variable(parts)).test()
    varying = [parts for parts in parsed if has_variable(parts)]
    otherwise = None if problems else False
    if not varying and not problems:
        return Comparison(plain=(lambda text: plain(text.lower())) if any_case else plain)

    def test(text: str, context: Context) -> bool | None:
        wanted = text.lower() if any_case else text
        if plain(wanted):
            return True
        answer: bool | None = otherwise
        for parts in varying:
            literal = resolved(parts, context)
            if literal is None:
                answer = None
            elif patterns((_lower(literal) if any_case else literal,)).matches(wanted):
                return True
        return answer

    return Comparison(varying=test, problems=problems)


def _lower(parts: Iterable[Token]) -> tuple[Token, ...]:
    return tuple(part.lower() if isinstance(part, str) else part for part in parts)


def arns(values: Sequence[str], scope: Scope) -> Comparison:
    """Compare as ARNs, field by field; `ArnEquals` accepts wildcards as `ArnLike` does."""
    parsed, problems = [], []
    for value in values:
        fields = _arn_fields(value, scope)
        if fields is None:
            problems.append(f"`{value}` is not an ARN")
        else:
            parsed.append(fields)
    plain = arn_patterns(fields for fields in parsed if not _varies(fields)).test()
    varying = [fields for fields in parsed if _varies(fields)]
    otherwise = None if problems else False

    def simple(text: str) -> bool | None:
        return (plain(text) or otherwise) if is_arn(text) else None

    def test(text: str, context: Context) -> bool | None:
        answer = simple(text)
        if answer or not is_arn(text):
            return answer
        for fields in varying:
            literal = resolve_fields(fields, context)
            if literal is None:
                answer = None
            elif arn_patterns((literal,)).matches(text):
                return True
        return answer

    if varying:
        return Comparison(varying=test, problems=tuple(problems))
    return Comparison(plain=simple, problems=tuple(problems))


def _arn_fields(value: str, scope: Scope) -> Fields | None:
    try:
        parts = tokens(value, variables=scope.variables, wildcards=True, keys=scope.keys)
    except MalformedVariableError:
        return None
    fields = split_fields(parts)
    if len(fields) != FIELDS or has_variable(fields[0]):
        return None
    return fields if patterns(fields[:1]).matches("arn") else None


def _varies(fields: Fields) -> bool:
    return any(has_variable(field) for field in fields)


def booleans(values: Sequence[str], scope: Scope) -> Comparison:
    """Compare the values true and false, ignoring case."""
    inner = texts(any_case=True)(values, scope)
    if inner.varying is not None:
        return Comparison(varying=_boolean_varying(values, scope), problems=inner.problems)
    wanted = {value.lower() for value in values}
    odd = tuple(f"`{value}` is neither true nor false" for value in values if not _boolean(value))
    answers = {text: text in wanted or (None if odd else False) for text in _BOOLEANS}
    return Comparison(plain=lambda text: answers.get(text.lower()), problems=odd)


def _boolean_varying(values: Sequence[str], scope: Scope) -> VaryingTest:
    parsed = []
    for value in values:
        try:
            parsed.append(tokens(value, variables=True, wildcards=False, keys=scope.keys))
        except MalformedVariableError:
            parsed.append(("",))  # no boolean either

    def test(text: str, context: Context) -> bool | None:
        if not _boolean(text):
            return None
        answer: bool | None = False
        for parts in parsed:
            literal = resolved(parts, context)
            value = "".join(map(str, literal or ()))
            if not _boolean(value):
                answer = None
            elif value.lower() == text.lower():
                return True
        return answer

    return test


_BOOLEANS: Final = ("true", "false")


def _boolean(text: str) -> bool:
    return text.lower() in _BOOLEANS


def _ordered(read: Callable[[str], Any], compare: Callable[[Any, Any], bool], what: str) -> Prepare:
    """Compare the results of *read* for both sides; it returns None for unreadable text."""

    def prepare(values: Sequence[str], scope: Scope) -> Comparison:  # noqa: ARG001 - no variables here
        wanted = [(value, read(value)) for value in values]
        odd = tuple(f"`{value}` is not {what}" for value, found in wanted if found is None)
        readable = tuple(found for _, found in wanted if found is not None)
        otherwise = None if odd else False

        def test(text: str) -> bool | None:
            found = read(text)
            if found is None:
                return None
            for value in readable:
                if compare(found, value):
                    return True
            return otherwise

        return Comparison(plain=test, problems=odd)

    return prepare


def numbers(compare: Callable[[Any, Any], bool]) -> Prepare:
    """Compare as numbers."""
    return _ordered(number, compare, "a number")


def dates(compare: Callable[[Any, Any], bool]) -> Prepare:
    """Compare as points in time."""
    return _ordered(moment, compare, "a date")


def addresses(values: Sequence[str], scope: Scope) -> Comparison:  # noqa: ARG001 - no variables here
    """Compare an address with ranges; an IPv6 address is in no IPv4 range, and vice versa."""
    ranges = [(value, network(value)) for value in values]
    odd = tuple(
        f"`{value}` is not an IP address or range" for value, found in ranges if found is None
    )
    networks = tuple(found for _, found in ranges if found is not None)

    def test(text: str) -> bool | None:
        found = inside(text, networks)
        return None if odd and not found else found

    return Comparison(plain=test, problems=odd)
