"""Values of a condition key: one for each way in which all conditions on it together can answer.

Conditions on a key divide its values into classes. Text patterns are run side by side
(`_globs`); numbers, dates and addresses are cut at every bound that a condition names; lists are
put together from single values until no new answer appears. The engine then answers for each
value, and of those with the same answers one is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import count, pairwise
from typing import Any, Final

from cml_iam.engine import OperatorName
from cml_iam.engine.parts import (
    FIELDS,
    NANOSECONDS,
    Keys,
    MalformedVariableError,
    Token,
    Variable,
    Wildcard,
    address,
    is_arn,
    moment,
    network,
    number,
    resolved,
    split_fields,
    tokens,
)
from cml_iam.policy import Condition
from cml_iam.prove._globs import INSIDE, Glob, Machine, Symbol, Wild, representatives
from cml_iam.reference import key_type, same_key

_ENDLESS: Final = ("1e999", "-1e999")
"""Numbers beyond all that can be written out."""

MAX_LISTS: Final = 600
"""Lists of one key that conditions tell apart; beyond them it is undecided."""

FEW: Final = 12

ARN: Final = Glob(
    (
        *("a", "r", "n", ":"),
        *(Wild.MANY_INSIDE, ":", Wild.MANY_INSIDE, ":", Wild.MANY_INSIDE, ":"),
        *(Wild.MANY_INSIDE, ":", Wild.MANY),
    )
)
_WILD: Final = {Wildcard.MANY: Wild.MANY, Wildcard.ONE: Wild.ONE}
_FAMILY_OF: Final = {"Numeric": "numeric", "Date": "date", "IPAddress": "ip"}
_MALFORMED: Final = ("something-else", "unlisted")
_TEXTS: Final = frozenset({"string", "arn", "bool", "binary", "null"})
_FAMILIES: Final = ("string", "numeric", "date", "bool", "binary", "arn", "null")

Context = Mapping[str, Any]
ConditionTest = Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class Asked:
    """A condition as the engine made it ready; *variables* is whether its document has any."""

    condition: Condition
    test: ConditionTest
    variables: bool

    @property
    def operator(self) -> OperatorName:
        """The operator taken apart."""
        return _operator(self.condition.operator)

    @property
    def family(self) -> str:
        """What the operator compares, such as `string` or `numeric`."""
        return _family(self.operator.base)

    def parsed(self) -> tuple[tuple[Token, ...], ...]:
        """Return the values taken apart; those that can never match are left out."""
        return _parsed(self.condition, self.variables)

    def needs(self) -> frozenset[str]:
        """Return the keys of the policy variables in the values, by `same_key`."""
        return _needs(self.condition, self.variables)

    def globs(self, context: Context) -> tuple[Glob, ...]:
        """Return the patterns of texts this tells apart, with *context* for the variables."""
        if not self.needs():
            return _plain_globs(self.condition, self.variables)
        return tuple(_globs(self, context))


_operator = lru_cache(1 << 8)(OperatorName.parse)


@lru_cache(1 << 8)
def _family(base: str) -> str:
    if base in {"ipaddress", "notipaddress"}:
        return "ip"
    return next((each for each in _FAMILIES if base.startswith(each)), "null")


@lru_cache(1 << 12)
def _parsed(condition: Condition, variables: bool) -> tuple[tuple[Token, ...], ...]:
    base = _operator(condition.operator).base
    family = _family(base)
    wild = family == "arn" or base in {"stringlike", "stringnotlike"}
    takes = variables and family in {"string", "arn", "bool"}
    found = []
    for value in condition.values:
        try:
            found.append(tokens(value, variables=takes, wildcards=wild, keys=Keys()))
        except MalformedVariableError:
            continue
    return tuple(found)


@lru_cache(1 << 12)
def _needs(condition: Condition, variables: bool) -> frozenset[str]:
    parsed = _parsed(condition, variables)
    return frozenset(same_key(p.key) for v in parsed for p in v if isinstance(p, Variable))


@lru_cache(1 << 12)
def _plain_globs(condition: Condition, variables: bool) -> tuple[Glob, ...]:
    return tuple(_globs(Asked(condition, lambda context: False, variables), {}))  # noqa: ARG005


def _globs(asked: Asked, context: Context) -> Iterable[Glob]:
    family = asked.family
    if family not in _TEXTS or family == "null":
        return
    fold = "ignorecase" in asked.operator.base or family == "bool"
    if family == "arn":
        yield ARN
    for parts in asked.parsed():
        literal = resolved(parts, context)
        if literal is None:
            continue
        if family == "arn":
            yield from _arn_glob(literal)
        else:
            yield Glob(tuple(symbols(literal)), fold)


def symbols(parts: Iterable[Token]) -> Iterable[Symbol]:
    """Yield the characters and wildcards of a pattern without variables."""
    for part in parts:
        if isinstance(part, Wildcard):
            yield _WILD[part]
        else:
            yield from str(part)


def field_symbols(parts: Iterable[Token], index: int) -> tuple[Symbol, ...]:
    """Return a field of an ARN; in all but the last no wildcard takes a colon."""
    made = symbols(parts)
    if index == FIELDS - 1:
        return tuple(made)
    return tuple(INSIDE.get(s, s) if isinstance(s, Wild) else s for s in made)


def _arn_glob(literal: tuple[Token, ...]) -> Iterable[Glob]:
    fields = split_fields(literal)
    if len(fields) == FIELDS:
        found: list[Symbol] = []
        for index, field in enumerate(fields):
            found.extend([":"] if index else [])
            found.extend(field_symbols(field, index))
        yield Glob(tuple(found))


@dataclass(frozen=True, slots=True)
class Values:
    """Values of a key; None is an absent one. *complete*: every class has one."""

    values: tuple[Any, ...]
    complete: bool
    reason: str = ""


def takes_list(key: str, asked: Iterable[Asked]) -> tuple[bool, bool]:
    """Say whether *key* comes as a single value, and whether as a list.

    By its type; where that is unknown, as a list too if a condition asks for one.
    """
    kind = key_type(key)
    if kind is not None:
        several = kind.startswith("ArrayOf")
        return not several, several
    return True, any(each.operator.qualifier for each in asked)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a key: *names* are its spellings, all of which have the same value.

    *variables* are the values that policy variables take. *extra* are patterns that must be told
    apart too, and *hints* texts to try first.
    """

    names: tuple[str, ...]
    asked: tuple[Asked, ...]
    variables: tuple[tuple[str, str], ...] = ()
    hints: tuple[str, ...] = ()
    extra: tuple[Glob, ...] = ()

    @property
    def key(self) -> str:
        """The key's first name."""
        return self.names[0]

    @property
    def context(self) -> Context:
        """The values of policy variables as the context of a request."""
        return dict(self.variables)

    def answer(self, value: Any) -> tuple[Any, ...]:
        """Return all that can be told of *value*."""
        context = {**dict(self.variables), **dict.fromkeys(self.names, value)}
        return (
            *(each.test(context) for each in self.asked),
            *(fits(each, value) for each in self.extra),
            well_formed(self.key, value),
            is_whole(value),
            value == [],
        )


@lru_cache(1 << 9)
def values_of(query: Query) -> Values:
    """Return values of a key, one at least for each way that its conditions can answer."""
    singles, complete, reason = _singles(query)
    single, several = takes_list(query.key, query.asked)
    found: list[Any] = list(singles) if single else []
    if several:
        lists, all_there = _lists(query, singles)
        found += lists
        complete = complete and all_there
        reason = reason or ("" if all_there else f"lists of {query.key}")
    told: dict[tuple[Any, ...], Any] = {}
    for value in found:
        told.setdefault(query.answer(value), value)
    return Values((*told.values(), None), complete, reason)


def fits(pattern: Glob, value: Any) -> bool:
    """Say whether a text, or one of a list, is one that *pattern* stands for."""
    if isinstance(value, list):
        return any(fits(pattern, each) for each in value)
    machine = _machine(pattern)
    return isinstance(value, str) and machine.accepts(machine.run(value)) != 0


@lru_cache(1 << 10)
def _machine(pattern: Glob) -> Machine:
    return Machine([pattern])


def _lists(query: Query, singles: list[str]) -> tuple[list[Any], bool]:
    """Return lists of *singles*, one for each answer that conditions on lists can give."""
    answer = query.answer
    known: dict[tuple[Any, ...], list[str]] = {}
    for text in singles:
        known.setdefault(answer([text]), [text])
    pending = list(known.values())
    elements = [each[0] for each in pending]
    while pending and len(known) <= MAX_LISTS:
        here = pending.pop(0)
        for text in elements:
            if text not in here:
                made = [*here, text]
                told = answer(made)
                if told not in known:
                    known[told] = made
                    pending.append(made)
    return [*known.values(), []], not pending


def well_formed(key: str, value: Any) -> bool:
    """Say whether *value* is of the type of *key*; one of unknown type always is."""
    kind = base_type(key)
    check = _FORMED.get(kind)
    if check is None or value is None:
        return True
    return all(map(check, value)) if isinstance(value, list) else check(value)


def is_whole(value: Any) -> bool:
    """Say whether *value* is no number with a fraction."""
    found = number(value) if isinstance(value, str) else None
    return found is None or not _finite(found) or Fraction(found).denominator == 1


_FORMED: Final[Mapping[str, Callable[[str], bool]]] = {
    "Numeric": lambda text: number(text) is not None,
    "Date": lambda text: moment(text) is not None,
    "Bool": lambda text: text.lower() in {"true", "false"},
    "IPAddress": lambda text: address(text) is not None,
    "ARN": is_arn,
}


def _singles(query: Query) -> tuple[list[str], bool, str]:
    key = query.key
    families = {each.family for each in query.asked}
    globs = [*(g for each in query.asked for g in each.globs(query.context)), *query.extra]
    plain = [t for each in globs if (t := each.plain) is not None]
    wild = any(each.plain is None for each in globs)
    kind = base_type(key)
    hints = [*query.hints, *hints_for(key, globs)]
    texts, complete = representatives([*globs, *formed_globs(kind)], hints)
    ordered = [each for each in _MAKE if each in families]
    by_type = _FAMILY_OF.get(kind)
    found = [*plain]
    for family in dict.fromkeys((*ordered, *([by_type] if by_type else []))):
        named = [v for each in query.asked if each.family == family for v in each.condition.values]
        found += _MAKE[family]([*named, *plain], plain)
    if ordered:
        found += [each for each in _MALFORMED if each not in plain]
    found += texts
    if len(ordered) > 1 or (ordered and wild) or ("ip" in ordered and _all_written(plain)):
        return _unique(found), False, f"{key} is compared as {ordered[0]} and in another way"
    return _unique(found), complete, "" if complete else f"the patterns of {key}"


def can_be_typed(key: str, asked: Iterable[Asked]) -> bool:
    """Say whether the values made for *key* tell those of its type from others.

    With patterns of texts on a number, a date or an address they do not.
    """
    if base_type(key) not in _FAMILY_OF:
        return base_type(key) in _FORMED
    return all(g.plain is not None for each in asked for g in each.globs({}))


def compares_texts(key: str, asked: Iterable[Asked]) -> bool:
    """Say whether *key* is a text, or a list of them, and compared with nothing else."""
    return base_type(key) not in _FAMILY_OF and all(each.family in _TEXTS for each in asked)


def base_type(key: str) -> str:
    """Return the type of *key*, or of its values if it has several; empty if unknown."""
    return (key_type(key) or "").removeprefix("ArrayOf")


def formed_globs(kind: str) -> Iterable[Glob]:
    """Yield what tells well-formed texts of the type *kind* from others."""
    if kind == "ARN":
        yield ARN
    if kind == "Bool":
        yield Glob(tuple("true"), fold=True)
        yield Glob(tuple("false"), fold=True)


def hints_for(key: str, globs: Iterable[Glob]) -> list[str]:
    """Return texts that read well as values of *key*."""
    name = same_key(key)
    kind = base_type(key)
    filled = [text for each in globs if each.plain is None for text in _filled(each, name)]
    return [*_HINTS.get(name, ()), *_BY_TYPE.get(kind, ()), *filled, *_OTHER]


def _filled(pattern: Glob, name: str) -> Iterable[str]:
    """Yield *pattern* with something readable for its wildcards."""
    many = "large" if name == "ec2:instancetype" else "example"
    for filler in (many, "", "1"):
        chars = []
        for symbol in pattern.symbols:
            if isinstance(symbol, Wild):
                chars.append(filler if symbol in {Wild.MANY, Wild.MANY_INSIDE} else "2")
            else:
                chars.append(symbol)
        yield "".join(chars)
        if pattern.fold:
            yield "".join(chars).swapcase()


_OTHER: Final = ("something-else", "other", "unlisted", "example")
_HINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ec2:instancetype": (
        "x2iedn.32xlarge", "c5.large", "c5.metal", "m5.large", "m5zn.metal", "c8i.2xlarge",
        "c8i.metal-96xl", "t3.micro", "u-24tb1.metal", "m5.24xlarge", "p5.48xlarge",
    ),
    "aws:requestedregion": (
        "us-east-1", "sa-east-1", "us-west-2", "eu-central-1", "us-east-2", "us-west-1",
        "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "eu-south-1", "ap-northeast-1",
        "ap-southeast-1", "ap-southeast-2", "ap-south-1", "ca-central-1", "me-central-1",
        "cn-north-1", "us-gov-west-1",
    ),
    "aws:principalaccount": ("999999999999", "111122223333"),
    "aws:resourceaccount": ("999999999999", "111122223333"),
    "aws:username": ("example", "admin"),
    "ec2:imageid": ("ami-0foreign000000001",),
    "ec2:owner": ("999999999999", "amazon"),
    "ec2:createaction": ("RunInstances", "CreateVolume"),
    "aws:tagkeys": ("Owner", "Name"),
}  # fmt: skip
_BY_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "Bool": ("true", "false"),
    "ARN": (
        "arn:aws:iam::111122223333:role/other",
        "arn:aws:iam::999999999999:role/other",
        "arn:aws:iam::999999999999:user/other",
    ),
    "Numeric": ("10",),
    "Date": ("2026-01-01T12:00:00Z",),
    "IPAddress": ("198.51.100.99", "2001:db8::99"),
}


def _unlike(spellings: Iterable[str], plain: Sequence[str]) -> Iterable[str]:
    """Yield two of *spellings*, and go on until one is none of *plain*: texts tell them apart."""
    unlike = False
    for made, text in enumerate(spellings):
        if unlike and made > 1:
            return
        yield text
        unlike = unlike or text not in plain


def _numbers(named: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return every number of *named*, one between each two, and one beyond either end."""
    exact = sorted({Fraction(n) for v in named if (n := number(v)) is not None and _finite(n)})
    found: list[str] = []
    for low, high in pairwise(exact):
        found += _between(low, high)
    if exact:
        found += [_decimal(Fraction(exact[0].__floor__() - 1))]
        found += [_decimal(Fraction(exact[-1].__ceil__() + 1)), *_ENDLESS]
    endless = [v for v in named if (n := number(v)) is not None and not _finite(n)]
    spelt = (text for each in exact for text in _unlike(_spelt(each), plain))
    return [*spelt, *found, *endless, "10"]


def _finite(found: float) -> bool:
    return abs(found) != float("inf")


def _between(low: Fraction, high: Fraction) -> list[str]:
    whole = Fraction(low.__floor__() + 1)
    if low < whole < high:
        return [_decimal(whole)]
    text = _decimal((low + high) / 2)
    read = number(text)
    return [text] if read is not None and low < Fraction(read) < high else []


def _spelt(value: Fraction) -> Iterator[str]:
    """Yield spellings of a number, without end."""
    text = _decimal(value)
    yield text
    yield f"{text}.0" if value.denominator == 1 else f"{text}0"
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    yield from (f"{sign}{'0' * zeros}{digits}" for zeros in count(1))


def _decimal(value: Fraction) -> str:
    """Return the shortest spelling that the engine reads as just this number."""
    if value.denominator == 1:
        return str(value.numerator)
    return repr(float(value)) if Fraction(float(value)) == value else str(float(value))


def _dates(named: Iterable[str], plain: Sequence[str]) -> list[str]:
    """Return every moment of *named*, one between each two, and one beyond either end."""
    exact = sorted({n for v in named if (n := moment(v)) is not None})
    found = [text for each in exact for text in _moment_texts(each, plain)]
    for low, high in pairwise(exact):
        second = (low // NANOSECONDS + 1) * NANOSECONDS
        middle = second if second < high else (low + high) // 2
        if low < middle < high:
            found += _moment_texts(middle, plain)
    if exact:
        before, after = exact[0] // NANOSECONDS - 1, exact[-1] // NANOSECONDS + 1
        for each in (before * NANOSECONDS, after * NANOSECONDS, exact[0] - 1, exact[-1] + 1):
            found += _moment_texts(each, plain)
    return [*found, "2026-01-01T12:00:00Z"]


def _moment_texts(nanoseconds: int, plain: Sequence[str]) -> list[str]:
    made = list(_unlike(_moment_spelt(nanoseconds), plain))
    return [each for each in made if moment(each) == nanoseconds]


def _moment_spelt(nanoseconds: int) -> Iterator[str]:
    """Yield spellings of a moment, without end: as a date, beyond its years as seconds."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    end = "Z"
    try:
        date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        whole = date.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    except OverflowError:
        seconds, rest = divmod(abs(nanoseconds), NANOSECONDS)
        whole, end = f"{'-' if nanoseconds < 0 else ''}{seconds}", ""
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    yield f"{whole}{fraction}{end}"
    yield from (f"{whole}{fraction or '.'}{'0' * zeros}{end}" for zeros in count(2))


def _addresses(named: Sequence[str], plain: Sequence[str]) -> list[str]:
    """Return an address of every range that *named* networks leave, and its ends if few."""
    found = ["198.51.100.99", "2001:db8::99"]
    found += [text for each in plain if _is_long(each) for text in _written(each)]
    for size, make in ((4, IPv4Address), (16, IPv6Address)):
        starts = {0}
        for value in named:
            read = network(value)
            if read is not None and read.size == size:
                starts |= {read.base, read.base + _width(read.mask, size)}
        top = 1 << (size * 8)
        bounds = [*sorted(each for each in starts if each < top), top]
        for low, high in pairwise(bounds):
            several = (low, min(low + 1, high - 1), high - 1) if len(bounds) < FEW else (low,)
            found += [str(make(each)) for each in dict.fromkeys(several)]
    return found


def _is_long(text: str) -> bool:
    return ":" in text and address(text) is not None


def _written(text: str) -> list[str]:
    """Return spellings of an IPv6 address; one of IPv4 has a single one."""
    groups = IPv6Address(address(text) or b"").exploded.split(":")
    short = [f"{int(each, 16):x}" for each in groups]
    made = [":".join((*groups[:n], *short[n:])) for n in range(len(groups) + 1)]
    return _unique([*made, *(each.upper() for each in made)])


def _all_written(plain: Sequence[str]) -> bool:
    """Say whether *plain* may leave no spelling of an address."""
    return any(set(_written(each)) <= set(plain) for each in plain if _is_long(each))


def _width(mask: int, size: int) -> int:
    return (1 << (size * 8)) - mask


_MAKE: Final[Mapping[str, Callable[[Sequence[str], Sequence[str]], list[str]]]] = {
    "numeric": _numbers,
    "date": _dates,
    "ip": _addresses,
}


def _unique(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
