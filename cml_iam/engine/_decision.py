"""What was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cml_iam.engine._gate import ALLOWED, Gate, Outcome

if TYPE_CHECKING:
    from cml_iam.engine._explanation import Explanation, StatementReason
    from cml_iam.engine._request import Request


class Decision(NamedTuple):
    """The answer to *request*: its *outcome*, by the policies of *gates*.

    The explanation is computed only when it is asked for.

    A named tuple because millions of them are made.
    """

    outcome: Outcome
    request: Request
    gates: tuple[Gate, ...]

    @property
    def allowed(self) -> bool:
        """Say whether the request may go on."""
        return self.outcome == ALLOWED

    @property
    def explanation(self) -> Explanation:
        """Every statement of every policy, and why it did or did not apply."""
        from cml_iam.engine._explanation import explain

        return explain(self.request, self.outcome, self.gates)

    @property
    def statements(self) -> tuple[StatementReason, ...]:
        """The statements that decided: all that deny, or else all that allow; may be none."""
        return self.explanation.deciding

    @property
    def reasons(self) -> tuple[StatementReason, ...]:
        """Every statement that did not match, and why."""
        return tuple(each for each in self.explanation.statements if not each.matched)

    def __repr__(self) -> str:
        return f"Decision({self.outcome!r}, {self.request!r})"
