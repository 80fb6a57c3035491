"""Terminating needs MFA."""

from __future__ import annotations

from collections.abc import Iterator

from cml_iam.restrict._options import Contradiction, Restricted, flag
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

KEY = "aws:MultiFactorAuthPresent"
TERMINATE = "ec2:TerminateInstances"


def _contradictions(site: Restricted) -> Iterator[Contradiction]:
    if site.user:
        yield Contradiction(
            "a user's access key never has MFA, so nothing could be terminated",
            ("restrict", "mfa_to_terminate"),
            "use a `role`, or remove `mfa_to_terminate`",
            name=True,
        )


MFA_TO_TERMINATE = Restriction(
    name="mfa_to_terminate",
    options=(
        flag(
            "mfa_to_terminate",
            "Terminating needs a session with MFA. A user's access key alone never has one.",
        ),
    ),
    splits=False,
    title="nothing is terminated without MFA",
    rules=lambda _: (
        Rule("DenyTerminateWithoutMfa", (KeyTest(KEY, "true", "Bool"),), TERMINATE, type=""),
    ),
    cases=lambda _: (
        Case("without MFA", name="without-mfa", actions=(TERMINATE,), context={KEY: "false"}),
    ),
    contradictions=_contradictions,
)
