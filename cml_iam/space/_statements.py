"""Statements as tests: each test is the engine's own and depends on few keys of a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final

from cml_iam.engine import Authorizer, Outcome, PolicyType, Request, compile_policies
from cml_iam.engine.parts import (
    FIELDS,
    Caller,
    CompiledStatement,
    Naming,
    ResourcePattern,
    Token,
    Variable,
    Wildcard,
    applies,
    field_test,
    has_variable,
    names_principals,
    naming,
    resolved,
)
from cml_iam.facts import same_key
from cml_iam.policy import VERSION_2012, Statement
from cml_iam.space._conditions import KeyCondition, field_symbols
from cml_iam.space._globs import Glob
from cml_iam.space._policies import Policies, once

FIELD_KEYS: Final = ("arn", "arn:partition", "arn:service", "arn:region", "arn:account", "arn:id")
"""The field names of the resource's ARN, used like condition keys."""

CALLER: Final = "caller"

Choice = Mapping[str, Any]
"""A choice: values by condition key, by field of the resource's ARN, and the caller."""


@dataclass(frozen=True, slots=True, eq=False)
class Test:
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
        return frozenset(same_key(p.key) for p in self.parts if isinstance(p, Variable))

    def glob(self, context: Choice) -> Glob | None:
        """Return the pattern of the field's text; None if a variable has no value."""
        literal = self._literal(context)
        return None if literal is None else _literal_glob(literal, self.index)

    def test(self) -> Test:
        """Return the engine's test for this field alone."""
        key, needs = self.key, self.needs
        if needs:
            return Test(frozenset({key}) | needs, self._holds)
        plain = _literal_test(self.parts, self.index)
        return Test(frozenset({key}), lambda given: plain(given[key]))

    def _holds(self, given: Choice) -> bool:
        literal = self._literal(given)
        return literal is not None and _literal_test(literal, self.index)(given[self.key])

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
    return Glob(field_symbols(literal, index))


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
        return tuple(
            KeyCondition(condition.condition, condition.test, self.variables)
            for condition in self.compiled.conditions
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
    def names_ec2_keys(self) -> bool:
        """Whether a policy variable may be one of EC2's own keys."""
        said = self.statement
        texts = (said.resource or (), said.not_resource or (), *(c.values for c in said.conditions))
        return any("${" in text and "ec2:" in text.lower() for group in texts for text in group)

    @property
    def asks_other_names(self) -> bool:
        """Whether the statement may test a key under EC2's own name for it."""
        return self.names_ec2_keys or any(
            condition.condition.key.lower().startswith("ec2:") for condition in self.asked
        )

    @property
    def needs(self) -> frozenset[str]:
        """The keys of the policy variables in the resources."""
        return frozenset(k for pattern in self.patterns for field in pattern for k in field.needs)

    @cached_property
    def named_in_variables(self) -> tuple[str, ...]:
        """The keys of all policy variables in the statement."""
        asked = (key for condition in self.asked for key in sorted(condition.needs()))
        return tuple(dict.fromkeys((*asked, *sorted(self.needs))))

    @cached_property
    def named_in_fields(self) -> frozenset[str]:
        """The keys of the policy variables in fields of ARNs before the last."""
        fields = (field for pattern in self.patterns for field in pattern)
        arns = (condition.needs() for condition in self.asked if condition.family == "arn")
        inner = (each.needs for each in fields if each.index < FIELDS - 1)
        return frozenset().union(*arns, *inner)

    @cached_property
    def conditions(self) -> tuple[Test, ...]:
        """The tests of its conditions."""
        return tuple(
            Test(frozenset({same_key(condition.condition.key)}) | condition.needs(), condition.test)
            for condition in self.asked
        )

    def almost(self) -> Iterator[Part]:
        """Yield the statement without each of its conditions in turn, and for any resource."""
        said, tests = self.compiled, self.conditions
        for n in range(len(tests)):
            left = replace(said, conditions=(*said.conditions[:n], *said.conditions[n + 1 :]))
            yield self._with(left, (*tests[:n], *tests[n + 1 :]))
        if said.resource is not None:
            yield self._with(replace(said, resource=None, resources=()), tests)

    def _with(self, compiled: CompiledStatement, tests: tuple[Test, ...]) -> Part:
        made = Part(compiled)
        # The tests are the same, so what they answer at a place need not be asked again.
        vars(made).update(conditions=tests, _principal=self._principal)
        return made

    def principal(self) -> Test | None:
        """Return the test of the caller; None for policies whose statements have no principal."""
        return self._principal

    @cached_property
    def _principal(self) -> Test | None:
        if not names_principals(self.compiled.kind):
            return None
        statement = self.statement
        return Test(
            frozenset({CALLER}),
            lambda given: _named(statement, given[CALLER]),
        )

    def said_to(self, caller: Caller, *, bounded: bool) -> Part | None:
        """Return the statement without its Principal, or None if that does not name *caller*."""
        if naming(self.statement, caller, bounded=bounded) is Naming.NOT:
            return None
        said = Part(self.compiled)
        vars(said)["_principal"] = None
        return said

    def on_nothing(self) -> Test:
        """Return the test of the resource `*`."""
        resource = self.compiled.resource
        return Test(self.needs, lambda given: resource is None or resource("*", given))

    def resolves(self) -> Iterator[Test]:
        """Yield for each element of NotResource whether its variables have values."""
        for resource in self.compiled.resources:
            if resource.fields is not None and any(map(has_variable, resource.fields)):
                needs = frozenset(
                    same_key(p.key) for f in resource.fields for p in f if isinstance(p, Variable)
                )
                yield Test(needs, _resolves(resource))

    @property
    def spoilt(self) -> bool:
        """Whether an element of NotResource prevents the statement from matching anything."""
        return any(resource.everything or resource.spoils for resource in self.compiled.resources)

    @cached_property
    def matches_always(self) -> bool:
        """Whether the statement matches every request for its actions."""
        everything = any(resource.everything for resource in self.compiled.resources)
        negated = self.statement.not_resource is not None or self.principal() is not None
        return everything and not negated and not self.asked

    @cached_property
    def meaning(self) -> tuple[Any, ...]:
        """A value that is the same for all statements that differ only in order."""
        said = self.statement
        texts = (said.resource, said.not_resource, *(c.values for c in said.conditions))
        varies = any("${" in text for group in texts for text in group or ())
        return (
            said.effect,
            _lower(said.action),
            _lower(said.not_action),
            _set(said.resource),
            _set(said.not_resource),
            said.principal,
            said.not_principal,
            frozenset(
                (c.operator.lower(), c.key.lower(), frozenset(c.values)) for c in said.conditions
            ),
            self.variables and varies,
            names_principals(self.compiled.kind),
        )


def _named(statement: Statement, caller: str | None) -> bool:
    return naming(statement, Caller.parse(caller), bounded=False) is not Naming.NOT


def _resolves(pattern: ResourcePattern) -> Callable[[Choice], bool]:
    return lambda given: pattern.matches("arn:x:x:x:x:x", given) is not None


def _set(texts: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(texts)


def _lower(texts: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if texts is None else frozenset(text.lower() for text in texts)


@dataclass(frozen=True)
class Side:
    """One side of a question: the engine for its policies, and their statements by role.

    A statement of each of *gates* must match to allow a request, and none of *denies* may match.
    """

    policies: Policies
    authorizer: Authorizer
    gates: tuple[tuple[Part, ...], ...]
    denies: tuple[Part, ...]

    @property
    def of_resource(self) -> bool:
        """Whether the side is the policy of a resource."""
        return self.policies.of_resource

    @cached_property
    def lists(self) -> frozenset[str]:
        """The keys that its conditions treat as a list, by `same_key`."""
        parts = (*self.denies, *(part for gate in self.gates for part in gate))
        return frozenset(
            same_key(condition.condition.key)
            for part in parts
            for condition in part.asked
            if condition.operator.qualifier
        )

    def outcome(self, request: Request) -> Outcome:
        """Decide *request*; a resource's policy decides by what it grants the caller."""
        if not self.of_resource:
            return self.authorizer.decide(request).outcome
        effects = {each.statement.effect for _, each in self.authorizer.matched(request)}
        if "Deny" in effects:
            return "explicitDeny"
        return "allowed" if effects else "implicitDeny"


@once
def side_of(policies: Policies) -> Side:
    """Compile *policies*."""
    if policies.of_resource:
        authorizer = compile_policies(resource=policies.resource)
    else:
        authorizer = compile_policies(
            policies.identity,
            boundary=policies.boundary,
            session=policies.session,
            scps=policies.scps,
            resource=policies.resource,
        )
    caller = Caller.parse(policies.caller)
    allows: list[tuple[PolicyType, tuple[Part, ...]]] = []
    denies: list[Part] = []
    for gate in authorizer.gates:
        if policies.of_resource and gate.kind == "identity":
            continue
        if not applies(gate.kind, caller, of_resource=policies.of_resource):
            continue
        parts = [Part(statement) for statement in gate.statements]
        if gate.kind == "resource" and not policies.of_resource:
            bounded = policies.boundary is not None
            said = (part.said_to(caller, bounded=bounded) for part in parts)
            parts = [each for each in said if each is not None]
        allows.append((gate.kind, tuple(e for e in parts if e.statement.effect == "Allow")))
        denies += [part for part in parts if part.statement.effect == "Deny"]
    if policies.resource is None or policies.of_resource:
        gates = tuple(parts for _, parts in allows)
    else:
        gates = tuple(_beside_resource(allows, caller, policies.counts))
    return Side(policies, authorizer, gates, tuple(denies))


def _beside_resource(
    allows: Sequence[tuple[PolicyType, tuple[Part, ...]]], caller: Caller, counts: str
) -> Iterator[tuple[Part, ...]]:
    """Yield the gates for *caller* with a resource's policy, in the engine's order.

    If the policy names the caller itself, only the organization's policies must allow too. If it
    names the caller's role, the boundary and the session policies must as well. Naming only the
    account grants nothing. Statements that name the caller are therefore added to the gates that
    they make unnecessary.
    """
    *others, (_, said) = allows
    alone = () if counts == "both" else said
    direct = tuple(p for p in alone if _directness(p, caller) is Naming.DIRECTLY)
    own = tuple(p for p in alone if _directness(p, caller) is Naming.IDENTITY)
    for kind, parts in others:
        if kind == "identity":
            yield (*parts, *direct, *own)
        else:
            yield (*parts, *direct) if kind in {"boundary", "session"} else parts
    if counts != "grants":
        yield said


def _directness(part: Part, caller: Caller) -> Naming:
    return naming(part.statement, caller, bounded=False)
