"""What was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from cml_iam.engine._authorizer import Authorizer
    from cml_iam.engine._explanation import Explanation, StatementReason
    from cml_iam.engine._request import Request

Outcome = Literal["allowed", "explicitDeny", "implicitDeny"]
"""In the words of the Simulate* API."""

ALLOWED: Final = "allowed"
EXPLICIT_DENY: Final = "explicitDeny"
IMPLICIT_DENY: Final = "implicitDeny"


class Decision(NamedTuple):
    """The answer to *request*: its *outcome*. What explains it is worked out when asked for.

    A named tuple because millions of them are made.
    """

    outcome: Outcome
    request: Request
    authorizer: Authorizer

    @property
    def allowed(self) -> bool:
        """Say whether the request may go on."""
        return self.outcome == ALLOWED

    @property
    def explanation(self) -> Explanation:
        """Every statement of every policy, and why it did or did not apply."""
        return self.authorizer.explain(self.request)

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
