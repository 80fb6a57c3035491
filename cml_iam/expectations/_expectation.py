"""Expectations, and whether a set of policies meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, get_args

from cml_iam.engine import Request
from cml_iam.restrict import Situation

Answer = Literal["allowed", "refused"]
Verdict = Literal["holds", "fails", "unchecked"]

SITUATIONS: Final[tuple[Situation, ...]] = get_args(Situation)
"""The columns of the permission table, in order."""


AS_SENT: Final = "-as-sent"
"""The suffix of the id of a launch with the tags that CML Cloud Manager sends."""


class Expectation(NamedTuple):
    """A call, its authorizations, and the required answer.

    *violates* names the restrictions of the site that refuse the call; a call that violates none
    must be allowed. *decisive* are the positions in *requests* of the authorizations that the
    restriction itself must refuse; a sound policy refuses each of these.
    """

    id: str
    permission: str
    situation: Situation
    description: str
    requests: tuple[Request, ...]
    expected: Answer
    violates: frozenset[str] = frozenset()
    decisive: tuple[int, ...] = ()

    @property
    def as_sent(self) -> bool:
        """Whether this is the launch with the tags that CML Cloud Manager sends."""
        return self.id.endswith(AS_SENT)


def expect(
    action: str,
    situation: Situation,
    name: str,
    description: str,
    requests: tuple[Request, ...],
    violates: tuple[str, ...] = (),
    decisive: tuple[int, ...] = (0,),
) -> Expectation:
    """Return one expectation: allowed, unless the site's restrictions refuse it."""
    return Expectation(
        id=f"{action.partition(':')[2]}/{situation.replace(' ', '-')}/{name}",
        permission=action,
        situation=situation,
        description=description,
        requests=requests,
        expected="allowed",
        violates=frozenset(violates),
        decisive=decisive,
    )


class Judgement(NamedTuple):
    """The result of an expectation.

    *answer* is the answer to the call: allowed if each of its authorizations is; None if one could
    not be decided and none was refused. *statements* are the statements that decided; *hint* names
    the statement that comes closest to allowing a missing permission.
    """

    expectation: Expectation
    answer: Answer | None
    statements: tuple[str, ...] = ()
    refused: tuple[Request, ...] = ()
    hint: str = ""

    @property
    def verdict(self) -> Verdict:
        """Whether the expectation is met, fails, or could not be checked."""
        if self.answer is None:
            return "unchecked"
        return "holds" if self.answer == self.expectation.expected else "fails"


class Ruling(NamedTuple):
    """The decision of one authorization, and the labels of the statements that decided."""

    allowed: bool | None
    statements: tuple[str, ...] = ()


def judge(
    expectations: Iterable[Expectation], decide: Callable[[Request], Ruling]
) -> tuple[Judgement, ...]:
    """Decide every authorization of *expectations* with *decide*, and judge the calls."""
    return tuple(_judge(expectation, decide) for expectation in expectations)


def _judge(expectation: Expectation, decide: Callable[[Request], Ruling]) -> Judgement:
    rulings = [(request, decide(request)) for request in expectation.requests]
    refused = tuple(request for request, ruling in rulings if ruling.allowed is False)
    answer: Answer | None = "allowed"
    if refused:
        answer = "refused"
    elif any(ruling.allowed is None for _, ruling in rulings):
        answer = None
    # Of a refused call only what refused it: the other authorizations may well be allowed.
    telling = [ruling for _, ruling in rulings if not (refused and ruling.allowed)]
    statements = dict.fromkeys(label for ruling in telling for label in ruling.statements)
    return Judgement(expectation, answer, tuple(statements), refused)
