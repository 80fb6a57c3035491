"""Asking for one check: what it finds, or why it could not be made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cml_iam.audit._part import Part
from cml_iam.audit._report import Check
from cml_iam.errors import (
    AwsError,
    CmlIamError,
    CredentialsError,
    DeniedError,
    DocumentError,
    UnsupportedError,
)
from cml_iam.lint import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.audit._report import Group

READER = "give who audits the permissions of docs/audit.md, or ask as an administrator"


@dataclass(frozen=True, slots=True)
class Question:
    """A check that can be made of an account."""

    id: str
    title: str
    group: Group

    def passed(self, account: str, asked: int, detail: str) -> Check:
        """Return the check as it is where nothing was found."""
        return Check(self.id, self.title, self.group, "passed", asked, detail, account=account)

    def unchecked(self, account: str, reason: str, remedy: str | None) -> Part:
        """Return the check that could not be made."""
        check = Check(
            self.id,
            self.title,
            self.group,
            "not checked",
            reason=reason,
            remedy=remedy,
            account=account,
        )
        return Part(checks=(check,))


def ask(question: Question, account: str, make: Callable[[], Part]) -> Part:
    """Return what *make* finds, or the check as not made where AWS does not answer.

    Raises CredentialsError: then there is nobody to ask as.
    """
    try:
        part = make()
    except CredentialsError:
        raise
    except (AwsError, DocumentError, UnsupportedError) as error:
        return question.unchecked(account, reason_of(error), remedy_of(error))
    return with_states(part)


def reason_of(error: CmlIamError) -> str:
    """Return in a line why AWS could not be asked."""
    if isinstance(error, DeniedError):
        return f"{error.refused} to these credentials"
    return " ".join(error.message.split())


def remedy_of(error: CmlIamError) -> str | None:
    """Return what would let it be asked."""
    if isinstance(error, DeniedError):
        return f"{READER}: `{error.action}`" if error.action else READER
    return error.remedy


def with_states(part: Part) -> Part:
    """Return *part* with the checks failed that found more than advice."""
    failed = {each.check for each in part.findings if each.severity > Severity.INFO}
    checks = tuple(
        replace(each, state="failed") if each.id in failed and each.state == "passed" else each
        for each in part.checks
    )
    return replace(part, checks=checks)
