"""What is asked, and what a proof answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cml_iam.engine import Outcome, Request, StatementReason
from cml_iam.policy import PolicyDocument
from cml_iam.prove._known import Assumption

Answer = Literal["holds", "broken", "undecided"]


@dataclass(frozen=True, slots=True)
class Policies:
    """One side of a question: what is attached to a principal, or the policy of a resource.

    *identity* are all policies attached beside each other; with a *boundary* both must allow.
    *resource* is a policy that names principals, and then the only one.
    """

    identity: tuple[PolicyDocument, ...] = ()
    boundary: tuple[PolicyDocument, ...] | None = None
    resource: PolicyDocument | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """Requests of a kind: one of *actions* on one of *resources*, and all of *conditions* hold.

    *conditions* are those of a statement: `{"StringEquals": {"aws:RequestedRegion": "…"}}`.
    *not_actions* and *not_resources* are what a statement's NotAction and NotResource are.
    """

    actions: Sequence[str] = ("*",)
    resources: Sequence[str] = ("*",)
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    not_actions: Sequence[str] | None = None
    not_resources: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """How one side decides a request, and the *statements* that do."""

    outcome: Outcome
    statements: tuple[StatementReason, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """A request that breaks what was to be proved, decided by the engine on both sides.

    *unlisted* marks one for an action that AWS's service reference does not know. *reference* is
    None where the question has no second side.
    """

    request: Request
    candidate: Answered
    reference: Answered | None = None
    unlisted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: it `holds` for all requests; or is `broken`, with a *witness*; or `undecided`.

    *assumptions* are what a proof rests on besides the engine; *reason* says what kept it from
    being decided, and which bound was hit. *slices* counts the parts the question was cut into.
    *colon* is the answer where a `*` of an ARN's first five fields takes colons too, if that is
    another one: AWS's own texts differ on it.
    """

    answer: Answer
    witness: Witness | None = None
    assumptions: tuple[Assumption, ...] = ()
    reason: str = ""
    slices: int = 0
    colon: Answer | None = None

    @property
    def holds(self) -> bool:
        """Whether it was proved."""
        return self.answer == "holds"


def documents(source: Policies) -> Iterator[PolicyDocument]:
    """Yield all documents of one side."""
    yield from source.identity
    yield from source.boundary or ()
    if source.resource is not None:
        yield source.resource
