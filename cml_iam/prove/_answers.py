"""The answers that a proof can give, and how it reads what AWS documents in two ways or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.engine.parts import Keys, Scope, compile_condition
from cml_iam.facts import Assumption, same_key
from cml_iam.space import Goal, KeyCondition, Part, Side

if TYPE_CHECKING:
    from cml_iam.engine import Outcome, Request, StatementReason

Answer = Literal["holds", "broken", "undecided"]


class Answered(NamedTuple):
    """How one side decides a request, and the *statements* that decide it."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the decision as JSON values."""
        statements = [
            {
                "label": statement.label,
                "policy": statement.policy,
                "place": str(statement.place) if statement.place else None,
            }
            for statement in self.statements
        ]
        return {"outcome": self.outcome, "statements": statements}


def answered(side: Side, request: Request) -> tuple[Answered, tuple[StatementReason, ...]]:
    """Return how *side* decides *request*, and why each of its statements applies or not."""
    outcome = side.outcome(request)
    reasons = side.authorizer.explain(request).statements
    effect = {"allowed": "Allow", "explicitDeny": "Deny"}.get(outcome)
    deciding = tuple(r for r in reasons if r.matched and r.effect == effect)
    return Answered(outcome, deciding), reasons


@dataclass(frozen=True)
class Witness:
    """A request that disproves the claim; the engine decided it on all *sides*.

    *unlisted* marks an action that AWS's service reference does not list.
    """

    request: Request
    sides: tuple[Side, ...] = field(compare=False, repr=False)
    unlisted: bool = False

    @cached_property
    def candidate(self) -> Answered:
        """The decision of the first side."""
        return answered(self.sides[0], self.request)[0]

    @cached_property
    def reference(self) -> Answered | None:
        """The decision of the second side; None if the question has none."""
        return answered(self.sides[1], self.request)[0] if self.sides[1:] else None

    def as_json(self) -> dict[str, Any]:
        """Return the request, and how the sides decide it, as JSON values."""
        return {
            **self.request.as_json(),
            "unlisted": self.unlisted,
            "statements": self.candidate.as_json()["statements"],
            "reference": self.reference and self.reference.as_json(),
        }


class Verdict(NamedTuple):
    """The answer: a claim `holds` for all requests, is `broken` by *calls*, or `undecided`.

    There are several *calls*, in order, if only a sequence breaks the claim. *assumptions* are what
    the proof relies on besides the engine. *reason* says why the answer is undecided, and which
    limit was reached. *colon* is the answer if a `*` in the first five fields of an ARN also
    matches colons, when that answer differs: AWS's own texts disagree on this.
    """

    answer: Answer
    calls: tuple[Witness, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    colon: Answer | None = None

    @property
    def witness(self) -> Witness | None:
        """The first call; None if the claim is not broken."""
        return self.calls[0] if self.calls else None

    @property
    def holds(self) -> bool:
        """Whether the claim was proved."""
        return self.answer == "holds"

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        return {
            "answer": self.answer,
            "other_reading": self.colon,
            "witness": self.witness and self.witness.as_json(),
            "reason": self.reason or None,
            "assumptions": [assumption.as_json() for assumption in self.assumptions],
        }


def assumptions_of(*verdicts: Verdict) -> tuple[Assumption, ...]:
    """Return the assumptions of all *verdicts*, each once."""
    return tuple(dict.fromkeys(fact for verdict in verdicts for fact in verdict.assumptions))


NO_VALUE: Final = Assumption(
    "reading",
    "NotResource",
    "a statement, even a Deny, matches nothing if a policy variable in its NotResource has no "
    "value; AWS does not document this",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html",
)
EMPTY: Final = Assumption(
    "reading",
    "ForAllValues",
    "ForAllValues and ForAnyValue read an empty value as none, and Null beside them as one; AWS's "
    "page of examples has Null read it as none, too",
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
    "reference_policies_condition-single-vs-multi-valued-context-keys.html",
)


def readings(goal: Goal, request: Request | None = None) -> set[Assumption]:
    """Return the readings on which the answer for *request*, or for all of *goal*, depends."""
    against = {part for group in (goal.refused, *goal.or_not) for part in group}
    assumed = set()
    for part in goal.parts():
        unset = part.resolves() if part.statement.not_resource is not None else ()
        if any(request is None or not test.holds(request.context) for test in unset):
            assumed.add(NO_VALUE)
        for condition, holds in _of_empty(part):
            if _is_empty(request, condition) if request else holds is (part in against):
                assumed.add(EMPTY)
    return assumed


def _of_empty(part: Part) -> Iterator[tuple[KeyCondition, bool]]:
    """Yield the conditions that another reading of an empty value answers otherwise.

    With the engine's answer. The other reading takes the value for a text; Null beside it, which
    then prevents what an empty value meets, takes it for none.
    """
    listed = {same_key(test.condition.key) for test in part.asked if test.operator.qualifier}
    scope = Scope(variables=part.variables, keys=Keys())
    for compiled in part.asked:
        condition = compiled.condition
        if same_key(condition.key) not in listed or not compiled.operator.known:
            continue
        empty = {condition.key: ""}
        holds = compiled.test(empty)
        if compiled.family == "null":
            differs = not compiled.operator.qualifier
        else:
            plain = replace(condition, operator=condition.operator.rpartition(":")[2])
            differs = compile_condition(plain, scope).test(empty) is not holds
        if differs:
            yield compiled, holds


def _is_empty(request: Request, condition: KeyCondition) -> bool:
    """Return whether the key of *condition* is in *request*, without a text."""
    name = same_key(condition.condition.key)
    return any(same_key(key) == name and not any(value) for key, value in request.context.items())
