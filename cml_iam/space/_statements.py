"""Statements as tests: each test is the engine's own and depends on few keys of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Final, NamedTuple

from cml_iam.engine import OperatorName
from cml_iam.engine.parts import (
    FIELDS,
    Caller,
    CompiledStatement,
    Keys,
    MalformedVariableError,
    Naming,
    ResourcePattern,
    Token,
    Variable,
    Wildcard,
    field_test,
    has_variable,
    names_principals,
    naming,
    resolved,
    split_fields,
    tokens,
)
from cml_iam.facts import same_key
from cml_iam.policy import VERSION_2012, Condition, Statement
from cml_iam.space._globs import Glob, Symbol, Wild, beginning, glob, in_field

FIELD_KEYS: Final = ("arn", "arn:partition", "arn:service", "arn:region", "arn:account", "arn:id")
"""The field names of the resource's ARN, used like condition keys."""

CALLER: Final = "caller"

Choice = Mapping[str, Any]
"""A choice: values by condition key, by field of the resource's ARN, and the caller."""

ARN: Final = glob("arn:*:*:*:*:", inside=True).then(glob("*"))
_WILD: Final = {Wildcard.MANY: Wild.MANY, Wildcard.ONE: Wild.ONE}
TEXTS: Final = frozenset({"string", "arn", "bool", "binary", "null"})
_FAMILIES: Final = ("string", "numeric", "date", "bool", "binary", "arn", "null")


@dataclass(frozen=True, slots=True)
class KeyCondition:
    """A condition compiled by the engine; *variables* says whether its document may use some."""

    condition: Condition
    test: Callable[[Choice], bool] = field(compare=False)
    variables: bool

    @property
    def operator(self) -> OperatorName:
        """The parsed operator."""
        return _operator(self.condition.operator)

    @property
    def family(self) -> str:
        """What the operator compares, such as `string` or `numeric`."""
        return _family(self.operator.base)

    @property
    def has_ec2_key(self) -> bool:
        """Whether the key is written under EC2's own name."""
        return self.condition.key.lower().startswith("ec2:")

    @lru_cache(1 << 12)  # noqa: B019 - shared by equal conditions
    def parsed(self) -> tuple[tuple[Token, ...], ...]:
        """Return the parsed values, without those that can never match."""
        base, family = self.operator.base, self.family
        wild = family == "arn" or base in {"stringlike", "stringnotlike"}
        variables = self.variables and family in {"string", "arn", "bool"}
        parsed = []
        for value in self.condition.values:
            with suppress(MalformedVariableError):
                parsed.append(tokens(value, variables=variables, wildcards=wild, keys=Keys()))
        return tuple(parsed)

    @lru_cache(1 << 12)  # noqa: B019 - shared by equal conditions
    def needs(self) -> frozenset[str]:
        """Return the keys of the policy variables in the values, by `same_key`."""
        return variable_keys(part for parts in self.parsed() for part in parts)

    def globs(self, context: Choice) -> tuple[Glob, ...]:
        """Return the text patterns this distinguishes, with *context* for the variables."""
        return tuple(_globs(self, context)) if self.needs() else _plain_globs(self)


def all_plain(conditions: Iterable[KeyCondition]) -> bool:
    """Return whether *conditions* distinguish single texts only."""
    return all(glob.plain is not None for condition in conditions for glob in condition.globs({}))


_operator = lru_cache(1 << 8)(OperatorName.parse)


@lru_cache(1 << 8)
def _family(base: str) -> str:
    if base in {"ipaddress", "notipaddress"}:
        return "ip"
    return next((family for family in _FAMILIES if base.startswith(family)), "null")


def variable_keys(parts: Iterable[Token]) -> frozenset[str]:
    """Return the keys of the policy variables among *parts*, by `same_key`."""
    return frozenset(same_key(part.key) for part in parts if isinstance(part, Variable))


@lru_cache(1 << 12)
def _plain_globs(condition: KeyCondition) -> tuple[Glob, ...]:
    return tuple(_globs(condition, {}))


def _globs(condition: KeyCondition, context: Choice) -> Iterable[Glob]:
    family = condition.family
    fold = "ignorecase" in condition.operator.base or family == "bool"
    if family not in TEXTS or family == "null":
        return
    if family == "arn":
        yield ARN
    for parts in condition.parsed():
        literal = resolved(parts, context)
        if literal is None:
            continue
        if family != "arn":
            yield Glob(_symbols(literal), fold)
            continue
        fields = split_fields(literal)
        if len(fields) == FIELDS:
            whole = (_field_symbols(parts, n) for n, parts in enumerate(fields))
            yield Glob(tuple(symbol for symbols in whole for symbol in (":", *symbols))[1:])


def _symbols(parts: Iterable[Token]) -> tuple[Symbol, ...]:
    texts = ((_WILD[part],) if isinstance(part, Wildcard) else str(part) for part in parts)
    return tuple(symbol for symbols in texts for symbol in symbols)


def _field_symbols(parts: Iterable[Token], index: int) -> tuple[Symbol, ...]:
    """Return the symbols of an ARN field; only in the last can a wildcard match a colon."""
    symbols = _symbols(parts)
    return symbols if index == FIELDS - 1 else tuple(map(in_field, symbols))


class Test(NamedTuple):
    """Part of a statement; its result depends only on *keys* (as `same_key`)."""

    keys: frozenset[str]
    holds: Callable[[Choice], bool]


@dataclass(frozen=True, slots=True)
class FieldPattern:
    """One field of an element of Resource or NotResource."""

    index: int
    parts: tuple[Token, ...]

    @property
    def key(self) -> str:
        """The name of the field."""
        return FIELD_KEYS[self.index]

    @property
    def needs(self) -> frozenset[str]:
        """The keys of the policy variables in the pattern."""
        return variable_keys(self.parts)

    def glob(self, context: Choice) -> Glob | None:
        """Return the pattern of the field's text; None if a variable has no value."""
        literal = self._literal(context)
        return None if literal is None else _literal_glob(literal, self.index)

    @lru_cache(1 << 12)  # noqa: B019 - shared by equal patterns
    def test(self) -> Test:
        """Return the engine's test for this field alone."""
        keys = self.needs | {self.key}
        if self.needs:
            return Test(keys, self._holds)
        plain, key = _literal_test(self.parts, self.index), self.key
        return Test(keys, lambda choice: plain(choice[key]))

    def _holds(self, choice: Choice) -> bool:
        literal = self._literal(choice)
        return literal is not None and _literal_test(literal, self.index)(choice[self.key])

    def _literal(self, context: Choice) -> tuple[Token, ...] | None:
        """Return the pattern with values for variables; None if it can match nothing."""
        if not has_variable(self.parts):
            return self.parts
        literal = resolved(self.parts, context)
        if literal is None or self.index == FIELDS - 1:
            return literal
        colon = any(isinstance(part, str) and ":" in part for part in literal)
        return None if colon else literal


_literal_test = lru_cache(1 << 12)(field_test)


@lru_cache(1 << 12)
def _literal_glob(literal: tuple[Token, ...], index: int) -> Glob:
    return Glob(_field_symbols(literal, index))


@dataclass(frozen=True, eq=False)
class Part:
    """A statement of one side, compiled by the engine."""

    compiled: CompiledStatement

    @property
    def statement(self) -> Statement:
        """The statement as written."""
        return self.compiled.statement

    @property
    def variables(self) -> bool:
        """Whether the document has policy variables."""
        return self.compiled.document.version == VERSION_2012

    @cached_property
    def asked(self) -> tuple[KeyCondition, ...]:
        """Its conditions."""
        conditions, variables = self.compiled.conditions, self.variables
        return tuple(
            KeyCondition(condition.condition, condition.test, variables) for condition in conditions
        )

    @cached_property
    def patterns(self) -> tuple[tuple[FieldPattern, ...], ...]:
        """The elements of Resource or NotResource that can match: the fields that restrict."""
        return tuple(
            tuple(
                FieldPattern(index, parts)
                for index, parts in enumerate(resource.fields or ())
                if index and parts != (Wildcard.MANY,)
            )
            for resource in self.compiled.resources
            if resource.everything or resource.fields is not None
        )

    @cached_property
    def fields(self) -> tuple[FieldPattern, ...]:
        """The fields of all `patterns`."""
        return tuple(field for pattern in self.patterns for field in pattern)

    @cached_property
    def starts(self) -> tuple[tuple[tuple[int, str], ...], ...]:
        """For each of `patterns`, the number of each field and the text that it begins with."""
        return tuple(
            tuple((field.index, beginning(field.parts)) for field in pattern)
            for pattern in self.patterns
        )

    @cached_property
    def principal_ids(self) -> tuple[tuple[str, str], ...]:
        """The ids in Principal and NotPrincipal, each with its kind."""
        elements = (self.statement.principal, self.statement.not_principal)
        ids = (pair for element in elements for pair in (element.ids if element else ()))
        return tuple((kind, text) for kind, texts in ids for text in texts)

    def _texts_with_variables(self) -> Iterator[str]:
        statement = self.statement
        texts = [*(statement.resource or ()), *(statement.not_resource or ())]
        texts += (value for condition in statement.conditions for value in condition.values)
        return (text for text in texts if "${" in text)

    @cached_property
    def names_ec2_keys(self) -> bool:
        """Whether a policy variable may be one of EC2's own keys."""
        return any("ec2:" in text.lower() for text in self._texts_with_variables())

    @property
    def asks_other_names(self) -> bool:
        """Whether the statement may test a key under EC2's own name for it."""
        return self.names_ec2_keys or any(condition.has_ec2_key for condition in self.asked)

    @property
    def needs(self) -> frozenset[str]:
        """The keys of the policy variables in the resources."""
        return frozenset().union(*(field.needs for field in self.fields))

    @cached_property
    def named_in_variables(self) -> tuple[str, ...]:
        """The keys of all policy variables in the statement."""
        keys = (key for condition in self.asked for key in sorted(condition.needs()))
        return tuple(dict.fromkeys((*keys, *sorted(self.needs))))

    @cached_property
    def named_in_fields(self) -> frozenset[str]:
        """The keys of the policy variables in fields of ARNs before the last."""
        arns = (condition.needs() for condition in self.asked if condition.family == "arn")
        return frozenset().union(*arns, *(f.needs for f in self.fields if f.index < FIELDS - 1))

    @cached_property
    def conditions(self) -> tuple[Test, ...]:
        """The tests of its conditions."""
        return tuple(
            Test(condition.needs() | {same_key(condition.condition.key)}, condition.test)
            for condition in self.asked
        )

    def almost(self) -> Iterator[Part]:
        """Yield the statement without each of its conditions in turn, and for any resource."""
        compiled, tests = self.compiled, self.conditions
        for n in range(len(tests)):
            left = (*compiled.conditions[:n], *compiled.conditions[n + 1 :])
            yield self._with(replace(compiled, conditions=left), (*tests[:n], *tests[n + 1 :]))
        if compiled.resource is not None:
            yield self._with(replace(compiled, resource=None, resources=()), tests)

    def _with(self, compiled: CompiledStatement, tests: tuple[Test, ...]) -> Part:
        part = Part(compiled)
        # The tests are the same, so what they answer at a place need not be asked again.
        vars(part).update(conditions=tests, principal=self.principal)
        return part

    @cached_property
    def principal(self) -> Test | None:
        """The test of the caller; None for policies whose statements have no principal."""
        if not names_principals(self.compiled.kind):
            return None
        return Test(
            frozenset({CALLER}),
            lambda choice: self.naming(Caller.parse(choice[CALLER])) is not Naming.NOT,
        )

    def naming(self, caller: Caller, *, bounded: bool = False) -> Naming:
        """Return how the statement names *caller*; *bounded* if the caller has a boundary."""
        return naming(self.statement, caller, bounded=bounded)

    def for_named(self) -> Part:
        """Return the statement without its Principal."""
        part = Part(self.compiled)
        vars(part)["principal"] = None
        return part

    def on_nothing(self) -> Test:
        """Return the test of the resource `*`."""
        resource = self.compiled.resource
        return Test(self.needs, lambda choice: resource is None or resource("*", choice))

    def resolves(self) -> Iterator[Test]:
        """Yield for each element of NotResource whether its variables have values."""
        for resource in self.compiled.resources:
            if resource.fields is not None and any(map(has_variable, resource.fields)):
                needs = variable_keys(part for field in resource.fields for part in field)
                yield Test(needs, partial(_has_values, resource))

    @property
    def spoilt(self) -> bool:
        """Whether an element of NotResource prevents the statement from matching anything."""
        return any(resource.everything or resource.spoils for resource in self.compiled.resources)

    @cached_property
    def matches_always(self) -> bool:
        """Whether the statement matches every request for its actions."""
        everything = any(resource.everything for resource in self.compiled.resources)
        negated = self.statement.not_resource is not None or self.principal is not None
        return everything and not negated and not self.asked

    @cached_property
    def meaning(self) -> tuple[Any, ...]:
        """A value that is the same for all statements that differ only in order."""
        statement = self.statement
        return (
            statement.effect,
            _set(statement.action, str.lower),
            _set(statement.not_action, str.lower),
            _set(statement.resource),
            _set(statement.not_resource),
            statement.principal,
            statement.not_principal,
            frozenset(
                (condition.operator.lower(), condition.key.lower(), frozenset(condition.values))
                for condition in statement.conditions
            ),
            self.variables and any(self._texts_with_variables()),
            names_principals(self.compiled.kind),
        )


def _has_values(pattern: ResourcePattern, choice: Choice) -> bool:
    return pattern.matches("arn:x:x:x:x:x", choice) is not None


def _set(texts: tuple[str, ...] | None, spell: Callable[[str], str] = str) -> frozenset[str] | None:
    return None if texts is None else frozenset(map(spell, texts))
