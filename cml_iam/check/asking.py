"""A check: one question with the answer passed, findings, or not checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

from cml_iam.audit import Check as CheckResult
from cml_iam.check.answer import Answer, Diagnosis, State, finding
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
    from cml_iam.audit import AuditFinding, Group, Spot
    from cml_iam.audit import State as ResultState

_T = TypeVar("_T")
READER: Final = (
    "grant the auditor the permissions in docs/audit.md, or use an administrator's credentials"
)


class Check(NamedTuple):
    """One question.

    *of* is its subject: files, an account, or a machine and its credential. It calls AWS with the
    credential of *role*; *calls* says in words how many calls it takes. The function with the
    check's name in *module* of this package answers it. *finds* are the rules of its findings. The
    check is not made if a check that it *needs* has a finding. An *optional* check is made only on
    request.
    """

    id: str
    title: str
    group: Group
    of: Literal["files", "account", "bootstrap", "machine", "report"]
    module: str
    role: Literal["administrator", "manager"] | None = None
    calls: str = "none"
    finds: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    optional: bool = False

    def passed(self, asked: int, detail: str, account: str | None = None) -> CheckResult:
        """Return the result without findings; *asked* counts the questions."""
        return CheckResult(
            self.id, self.title, self.group, "passed", asked, detail, None, None, account
        )

    def answer(
        self,
        asked: int,
        detail: str,
        account: str | None = None,
        findings: Iterable[AuditFinding] = (),
        **more: Any,
    ) -> Answer:
        """Return what was seen: passed unless there are *findings*; *more* are other parts."""
        result = self.passed(asked, detail, account)
        return Answer(checks=(result,), findings=tuple(findings), **more)

    def not_checked(self, reason: str, remedy: str | None, account: str | None = None) -> Answer:
        """Return the result that the check could not be made, with the reason and a remedy."""
        return Answer(
            checks=(
                CheckResult(
                    self.id,
                    self.title,
                    self.group,
                    "not checked",
                    reason=reason,
                    remedy=remedy,
                    account=account,
                ),
            )
        )

    def finding(self, rule: str, message: str, spot: Spot, **more: Any) -> AuditFinding:
        """Return a finding of this check; *more* goes to `finding`."""
        return finding(rule, message, spot, self.id, **more)

    def diagnosis(
        self, subject: str, state: State, said: str, remedy: str | None = None
    ) -> Diagnosis:
        """Return the diagnosis of *subject*."""
        return Diagnosis(self.id, subject, state, said, remedy)

    def unknown(self, subject: str, error: CmlIamError, said: str = "") -> Diagnosis:
        """Return the diagnosis that *subject* could not be checked because of *error*."""
        message = error.message
        if isinstance(error, DeniedError) and error.action:
            message = f"`{error.action}` is not permitted"
        detail = f"{said}: {message}" if said else message
        return Diagnosis(self.id, subject, State.UNCHECKED, detail, error.remedy)

    def known(self, subject: str, look: Callable[[], Iterable[Diagnosis]]) -> tuple[Diagnosis, ...]:
        """Return the result of *look*, or "could not check" if AWS does not answer."""
        try:
            return tuple(look())
        except AwsError as error:
            return (self.unknown(subject, error),)


class fact(Generic[_T]):  # noqa: N801 - a decorator, as `property` is
    """A property that is read once: its value, or the error that prevented reading it."""

    def __init__(self, read: Callable[[Any], _T]) -> None:
        self.read = read
        self.name = f"_{read.__name__}"
        self.__doc__ = read.__doc__

    def __get__(self, scene: Any, owner: type | None = None) -> _T:
        known = vars(scene)
        if self.name not in known:
            try:
                known[self.name] = self.read(scene), None
            except CmlIamError as error:
                known[self.name] = None, error
        value, failure = known[self.name]
        if failure is not None:
            raise failure
        return cast("_T", value)


def answers(
    checks: Iterable[Check], scene: Any, account: str | None = None, before: Answer | None = None
) -> Answer:
    """Return the combined answers of *checks*, made on *scene* one after another.

    Each check sees the answers *before* it, so that no fault is reported twice. A check is not made
    if AWS does not answer or its subject cannot be read. Raises CredentialsError, because no check
    can be made without credentials.
    """
    whole = before or Answer()
    for check in checks:
        whole += _answer(check, scene, account, whole)
    return whole


def ask(check: Check, scene: Any, before: Answer | None = None) -> Answer:
    """Return the answer of *check* alone; raises the error if AWS does not answer."""
    return with_states(_function(check)(check, scene, before or Answer()))


def _answer(check: Check, scene: Any, account: str | None, before: Answer) -> Answer:
    for found in before.findings:
        if found.check in check.needs:
            return check.not_checked(*NOTHING_TO_ASK[found.check](found), account)
    try:
        return ask(check, scene, before)
    except CredentialsError:
        raise
    except (AwsError, DocumentError, UnsupportedError) as error:
        return check.not_checked(reason_of(error), remedy_of(error), account)


NOTHING_TO_ASK: Final[dict[str, Callable[[AuditFinding], tuple[str, str]]]] = {
    "identity": lambda found: (
        f"the credentials belong to account {found.spot.account}",
        "use credentials of the site's account",
    ),
    "principal": lambda _: ("there is no such principal", "create it: `cml-iam bootstrap apply`"),
}
"""By check id: why its finding prevents the checks that need it, and the remedy."""


def _function(check: Check) -> Callable[[Check, Any, Answer], Answer]:
    module = import_module(f"cml_iam.check.{check.module}")
    function: Callable[[Check, Any, Answer], Answer] = getattr(module, check.id.replace("-", "_"))
    return function


def reason_of(error: CmlIamError) -> str:
    """Return on one line why AWS could not be called."""
    if isinstance(error, DeniedError):
        return f"{error.refused} to these credentials"
    return " ".join(error.message.split())


def remedy_of(error: CmlIamError) -> str | None:
    """Return the remedy for the failed call."""
    if isinstance(error, DeniedError):
        return f"{READER}: `{error.action}`" if error.action else READER
    return error.remedy


def with_states(answer: Answer) -> Answer:
    """Return *answer* with every check marked as failed that has a finding other than advice."""
    failed = {each.check for each in answer.findings if each.severity > Severity.INFO}
    checks = tuple(
        with_state(check, "failed") if check.id in failed and check.state == "passed" else check
        for check in answer.checks
    )
    return replace(answer, checks=checks)


def with_state(
    result: CheckResult, state: ResultState, reason: str | None = None, remedy: str | None = None
) -> CheckResult:
    """Return *result* in another *state*, with the reason and remedy if it was not made."""
    return replace(result, state=state, reason=reason, remedy=remedy)
