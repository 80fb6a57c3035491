"""Compiled policies, and the decision: the fast path of the engine.

`decide` tests only the statements about the action, cached in a bucket as tuples of functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.engine._compile import (
    ActionIndex,
    CompiledStatement,
    Document,
    Rule,
    compile_statements,
)
from cml_iam.engine._order import (
    ALLOWED,
    ALWAYS_ALLOWED,
    EXPLICIT_DENY,
    IMPLICIT_DENY,
    Gate,
    Outcome,
    applies,
    is_allowed,
)
from cml_iam.engine._request import (
    Caller,
    Keys,
    Naming,
    PolicyType,
    Request,
    names_principals,
    naming,
)
from cml_iam.errors import Problem
from cml_iam.policy import PolicyDocument, load_policy

if TYPE_CHECKING:
    from cml_iam.engine._explanation import Explanation, StatementReason


_decision: Final = tuple.__new__
"""Creates a named tuple in half the time that calling its class takes."""

MAX_BUCKETS: Final = 4096
"""The maximum number of cached actions, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The statements *about* one action, by gate.

    *denies* are the rules of every Deny, *gates* those of each gate's Allows.
    """

    denies: tuple[Rule, ...]
    gates: tuple[tuple[Rule, ...], ...]
    about: tuple[tuple[CompiledStatement, ...], ...]

    @classmethod
    def about_action(cls, gates: Sequence[Gate], action: str) -> Bucket:
        """Return the bucket of *action*."""
        about = tuple(gate.index.about(action) for gate in gates)
        if action.lower() in ALWAYS_ALLOWED:
            return cls((), (), about)
        denies, allows = (
            [
                tuple(s.rule for s in statements if s.statement.effect == effect)
                for statements in about
            ]
            for effect in ("Deny", "Allow")
        )
        return cls(tuple(chain.from_iterable(denies)), tuple(allows), about)


class Decision(NamedTuple):
    """The answer to *request*: its *outcome* under the policies in *gates*.

    The explanation is computed only when it is read.
    """

    outcome: Outcome
    request: Request
    gates: tuple[Gate, ...]

    @property
    def allowed(self) -> bool:
        """Whether the request is allowed."""
        return self.outcome == ALLOWED

    @property
    def explanation(self) -> Explanation:
        """Every statement of every policy, and why it did or did not apply."""
        from cml_iam.engine._explanation import explain

        return explain(self.request, self.outcome, self.gates)

    @property
    def statements(self) -> tuple[StatementReason, ...]:
        """The statements that decided: all that deny or, without these, all that allow."""
        return self.explanation.deciding

    @property
    def reasons(self) -> tuple[StatementReason, ...]:
        """Every statement that did not match, and why."""
        return tuple(reason for reason in self.explanation.statements if not reason.matched)

    def __repr__(self) -> str:
        return f"Decision({self.outcome!r}, {self.request!r})"


class Authorizer:
    """A set of compiled policies that decides requests; safe to share between threads.

    *problems* lists elements that can never match, with their places; *gates* has the policies.
    """

    __slots__ = ("_buckets", "_kinds", "_ordered", "_organized", "gates", "problems")

    def __init__(self, gates: tuple[Gate, ...]) -> None:
        self.gates = gates
        self._buckets: dict[str, Bucket] = {}
        self._kinds = {gate.kind for gate in gates}
        self._ordered = any(map(names_principals, self._kinds))
        self._organized = "scp" in self._kinds
        self.problems: tuple[Problem, ...] = tuple(
            problem
            for gate in gates
            for statement in gate.statements
            for problem in statement.problems()
        )

    def decide(self, request: Request) -> Decision:
        """Decide *request*."""
        action, resource, principal, context, account = request
        gates, bucket = self.gates, self._buckets.get(action) or self._bucket(action)
        if (
            self._ordered
            or account is not None
            or (self._organized and not applies("scp", Caller.parse(principal), of_resource=False))
        ):
            return _decision(Decision, (self._decide_in_order(request, bucket), request, gates))
        if bucket.denies and _one_matches(bucket.denies, resource, context):
            return _decision(Decision, (EXPLICIT_DENY, request, gates))
        for rules in bucket.gates:
            if not _one_matches(rules, resource, context):
                return _decision(Decision, (IMPLICIT_DENY, request, gates))
        return _decision(Decision, (ALLOWED, request, gates))

    def explain(self, request: Request) -> Explanation:
        """Decide *request*, and explain for every statement why it did or did not apply."""
        return self.decide(request).explanation

    def matched(self, request: Request) -> tuple[tuple[Gate, CompiledStatement], ...]:
        """Return the statements that apply to *request*, whatever their effect."""
        bucket = self._buckets.get(request.action) or self._bucket(request.action)
        caller = Caller.parse(request.principal)
        return tuple(
            (gate, statement)
            for gate, statements in zip(self.gates, bucket.about, strict=True)
            if applies(gate.kind, caller, of_resource="resource" in self._kinds)
            for statement in statements
            if _named(statement, caller, bounded="boundary" in self._kinds)
            and _one_matches((statement.rule,), request.resource, request.context)
        )

    def deciding(self, decision: Decision) -> tuple[str, ...]:
        """Return the labels of the statements that made *decision*, without a full explanation."""
        effect = {ALLOWED: "Allow", EXPLICIT_DENY: "Deny"}.get(decision.outcome)
        statements = (compiled.statement for _, compiled in self.matched(decision.request))
        return tuple(dict.fromkeys(s.label for s in statements if s.effect == effect))

    def _bucket(self, action: str) -> Bucket:
        bucket = Bucket.about_action(self.gates, action)
        if len(self._buckets) < MAX_BUCKETS:
            self._buckets[action] = bucket
        return bucket

    def _decide_in_order(self, request: Request, bucket: Bucket) -> Outcome:
        if request.action.lower() in ALWAYS_ALLOWED:
            return ALLOWED
        caller = Caller.parse(request.principal)
        allows: dict[PolicyType, list[Naming]] = {}
        for gate, statements in zip(self.gates, bucket.about, strict=True):
            if applies(gate.kind, caller, of_resource="resource" in self._kinds):
                bounded = "boundary" in self._kinds
                naming = _allow_or_deny(statements, request, caller, bounded=bounded)
                if naming is None:
                    return EXPLICIT_DENY
                allows.setdefault(gate.kind, []).append(naming)
        return ALLOWED if is_allowed(request, caller, allows) else IMPLICIT_DENY


def compile_policies(
    identity: Iterable[Document] = (),
    *,
    boundary: Document | Sequence[Document] | None = None,
    session: Sequence[Document] | None = None,
    resource: Document | None = None,
    scps: Sequence[Sequence[Document]] = (),
    rcps: Sequence[Sequence[Document]] = (),
    endpoint: Document | Sequence[Document] | None = None,
) -> Authorizer:
    """Compile the policies that apply to a principal and a resource.

    *identity* are all policies of the user and its groups, or of the role. *boundary*, *session*
    (the session policies), *resource* (the policy of a bucket or key, a role's trust policy …) and
    *endpoint* (the policy of the VPC endpoint) are None if there is none, which is different from
    an empty list. *scps* and *rcps* list the policies of each level, from the root to the account.
    Raises DocumentError for a document that is not a policy.
    """
    keys = Keys()

    def gate(kind: PolicyType, sources: Iterable[Document], level: int | None = None) -> Gate:
        documents = [
            load_policy(source, f"{kind} policy {n}") for n, source in enumerate(sources, start=1)
        ]
        statements = tuple(
            statement
            for document in documents
            for statement in compile_statements(document, kind, keys)
        )
        return Gate(kind, statements, ActionIndex(statements), level)

    gates = [gate("identity", identity)]
    if boundary is not None:
        gates.append(gate("boundary", _listed(boundary)))
    if session is not None:
        gates.append(gate("session", session))
    gates += [gate("scp", level, number) for number, level in enumerate(scps, start=1)]
    gates += [gate("rcp", level, number) for number, level in enumerate(rcps, start=1)]
    if endpoint is not None:
        gates.append(gate("endpoint", _listed(endpoint)))
    if resource is not None:
        gates.append(gate("resource", _listed(resource)))
    return Authorizer(tuple(gates))


def _listed(source: Document | Sequence[Document]) -> Sequence[Document]:
    return (source,) if isinstance(source, PolicyDocument | str | Mapping) else source


def _one_matches(rules: tuple[Rule, ...], resource: str, context: Mapping[str, Any]) -> bool:
    for test, conditions in rules:
        if test is None or test(resource, context):
            for condition in conditions:
                if not condition(context):
                    break
            else:
                return True
    return False


def _allow_or_deny(
    statements: tuple[CompiledStatement, ...], request: Request, caller: Caller, *, bounded: bool
) -> Naming | None:
    """Return how directly one of *statements* allows the caller; None if one denies."""
    allowed = Naming.NOT
    for statement in statements:
        named = _named(statement, caller, bounded=bounded)
        if named and _one_matches((statement.rule,), request.resource, request.context):
            if statement.statement.effect == "Deny":
                return None
            allowed = max(allowed, named)
    return allowed


def _named(compiled: CompiledStatement, caller: Caller, *, bounded: bool) -> Naming:
    """Return how a statement names the caller; a policy attached to it needs no name."""
    if names_principals(compiled.kind):
        return naming(compiled.statement, caller, bounded=bounded)
    return Naming.DIRECTLY
