"""The list of checks, and how they are asked.

A check asks one question and is answered with passed, findings, or not checked. To add one, add a
row to CHECKS and a function with its name to the row's module: see docs/contributing.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

from cml_iam.audit import Ask, AuditFinding, Group, Spot, audit_rules
from cml_iam.audit import Check as Result
from cml_iam.check.answer import Answer, Diagnosis, State, fingerprint
from cml_iam.errors import (
    AwsError,
    CmlIamError,
    CredentialsError,
    DeniedError,
    DocumentError,
    UnsupportedError,
)
from cml_iam.lint import Severity

_T = TypeVar("_T")
_READER: Final = (
    "grant the auditor the permissions in docs/audit.md, or use an administrator's credentials"
)


class Check(NamedTuple):
    """One question.

    *of* is its subject: files, an account, or a machine and its credential. It calls AWS with the
    credential of *role*; *calls* says in words how many calls it takes. A call that several checks
    need is made once, and counted for one of them. The function with the check's name in *module*
    of this package answers it. *finds* are the rules of its findings. The check is not made if a
    check that it *needs* has a finding. An *optional* check is made only on request.
    """

    id: str
    title: str
    group: Group
    of: Literal["files", "account", "bootstrap", "machine", "report"]
    module: str
    role: Literal["administrator", "manager", "anonymous"] | None = None
    calls: str = "none"
    finds: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    optional: bool = False

    def passed(self, asked: int, detail: str, account: str | None = None) -> Result:
        """Return the result without findings; *asked* counts the questions."""
        return Result(self.id, self.title, self.group, "passed", asked, detail, account=account)

    def answer(
        self,
        asked: int,
        detail: str,
        account: str | None = None,
        findings: Iterable[AuditFinding] = (),
        **parts: Any,
    ) -> Answer:
        """Return what was seen: passed unless there are *findings*; *parts* are the other parts."""
        result = self.passed(asked, detail, account)
        return Answer(checks=(result,), findings=tuple(findings), **parts)

    def not_checked(self, reason: str, remedy: str | None, account: str | None = None) -> Answer:
        """Return the result that the check could not be made, with the reason and a remedy."""
        return Answer(checks=(not_made(self.passed(0, "", account), reason, remedy),))

    def finding(
        self,
        rule: str,
        message: str,
        spot: Spot,
        *,
        about: str = "",
        remedy: str | None = None,
        severity: Severity | None = None,
        witness: Iterable[Ask] = (),
    ) -> AuditFinding:
        """Return a finding of the audit's own *rule*.

        *about* distinguishes findings of one rule at the same place, and must not change from day
        to day.
        """
        row = audit_rules()[rule]
        return AuditFinding(
            rule=rule,
            name=row.name,
            severity=severity or row.severity,
            message=message,
            spot=spot,
            check=self.id,
            fingerprint=fingerprint(rule, spot, about),
            remedy=remedy or row.remedy,
            page=row.page,
            witness=tuple(witness),
        )

    def diagnosis(
        self, subject: str, state: State, said: str, remedy: str | None = None
    ) -> Diagnosis:
        """Return the diagnosis of *subject*."""
        return Diagnosis(self.id, subject, state, said, remedy)

    def unknown(self, subject: str, error: CmlIamError, lead: str = "") -> Diagnosis:
        """Return the diagnosis that *subject* could not be checked because of *error*."""
        message = error.message
        if isinstance(error, DeniedError) and error.action:
            message = f"`{error.action}` is not permitted"
        detail = f"{lead}: {message}" if lead else message
        return Diagnosis(self.id, subject, State.UNCHECKED, detail, error.remedy)


_UNLIKE: Final = ("CML704", "CML705", "CML706")
"""The rules for documents with a different meaning from the rendered ones."""

_UNEXPECTED: Final = ("CML701", "CML702")
"""The rules for calls that are refused, or allowed, against an expectation."""

_KEPT: Final = "The site's promises hold for every possible request"
_BOTH: Final = ("identity", "principal")
_SHARED: Final = "no further calls"

_of_files = partial(Check, of="files", module="documents")
_of_account = partial(Check, of="account", role="administrator", needs=("identity",))
_of_principal = partial(
    _of_account, group="principal", needs=_BOTH, module="_meaning", calls=_SHARED
)
_of_permissions = partial(_of_account, group="permissions", needs=_BOTH, module="_permissions")
_of_surroundings = partial(_of_account, group="surroundings", module="bootstrap")
_of_bootstrap = partial(
    Check, of="bootstrap", group="principal", module="bootstrap", role="administrator"
)
_of_machine = partial(Check, of="machine", role="manager", group="surroundings", module="doctor")
_of_credential = partial(_of_machine, group="keys", module="_credentials")
_of_manager = partial(_of_machine, module="manager")

CHECKS: Final = (
    _of_files("lint", "The policies have the intended effect", "documents", finds=("CML715",)),
    _of_files(
        "file-drift",
        "Files named like the site's documents have the same meaning",
        "documents",
        finds=_UNLIKE,
    ),
    _of_files("secrets", "No file holds an access key", "documents", finds=("CML807",)),
    _of_files(
        "expectations",
        "Every permission of the site works, and no others do",
        "permissions",
        finds=_UNEXPECTED,
    ),
    _of_files("promises", _KEPT, "permissions", finds=("CML717",)),
    _of_account(
        "identity",
        "The credentials belong to the site's account",
        "principal",
        module="account",
        calls="1",
        finds=("CML716",),
        needs=(),
    ),
    _of_account(
        "principal",
        "The site's principal is in the account",
        "principal",
        module="account",
        calls=(
            "4 for a user, 3 for a role; plus 2 for each managed policy and each group, 1 for each "
            "inline policy"
        ),
        finds=("CML708",),
    ),
    _of_principal(
        "drift",
        "The policies in AWS have the same meaning as the rendered ones",
        finds=(*_UNLIKE, "CML707"),
    ),
    _of_principal(
        "attachments",
        "Nothing else gives the principal permissions",
        finds=("CML709", "CML710"),
    ),
    _of_principal(
        "boundary",
        "A boundary or guardrail limits it",
        calls="1 each for boundary and guardrail, if not attached",
        finds=("CML711", "CML712"),
    ),
    _of_principal("quarantine", "AWS has not quarantined the principal", finds=("CML713",)),
    _of_principal("proof", _KEPT, group="permissions", finds=("CML717",)),
    _of_permissions(
        "simulation",
        "AWS's simulator answers every expectation as required",
        calls="1 for each group of expectations with one context",
        finds=_UNEXPECTED,
    ),
    _of_permissions(
        "use",
        "The manager's own credentials can use every permission",
        role="manager",
        calls="1 for each permission and region",
        finds=("CML703",),
    ),
    _of_permissions(
        "last-accessed",
        "Every granted permission is used",
        module="_usage",
        calls="2, more while IAM is not ready",
        finds=("CML714",),
    ),
    _of_account(
        "keys",
        "The manager has one access key, which is in use and at most 90 days old",
        "keys",
        module="_usage",
        calls="1, plus 1 for each key",
        finds=("CML801", "CML802", "CML803", "CML804", "CML805", "CML806"),
    ),
    _of_surroundings(
        "trail", "CloudTrail records what the manager does", calls="1", finds=("CML821",)
    ),
    _of_surroundings(
        "alarms", "Alarms on the manager's activity can fire", calls="2", finds=("CML822",)
    ),
    _of_account(
        "who-else",
        "Nobody else may change the workers",
        "principal",
        module="others",
        calls="1 for each 1000 users, roles, groups and policies, including those of AWS",
        finds=("CML718",),
        optional=True,
    ),
    _of_bootstrap(
        "status",
        "The principal matches the site file, and the store holds its active key",
        calls="those of `bootstrap plan`, plus 1, and 1 for each key",
    ),
    _of_bootstrap(
        "differences",
        "Everything in the account agrees with the site file",
        calls="those of `bootstrap plan`, plus 2",
    ),
    _of_machine("endpoint", "AWS's endpoints answer", role="anonymous", calls="3"),
    _of_machine("clock", "The clock is correct", role="anonymous", calls=_SHARED),
    _of_credential("files", "Only their owner can read the credential files", calls=_SHARED),
    _of_credential(
        "credentials",
        "AWS accepts the credential, which is the manager's and not too old",
        calls="2",
    ),
    _of_machine("regions", "Every region of the site is enabled", calls="1"),
    _of_manager(
        "connection", "EC2 answers with the manager's credential", calls="1", optional=True
    ),
    _of_manager(
        "permissions",
        "The manager can use every permission, or the reason is known",
        group="permissions",
        calls="1 for each permission and region, more to explain a refusal",
    ),
    _of_manager(
        "metrics",
        "Every worker has metrics",
        calls="1 for each region, plus 2 for each worker",
    ),
    _of_machine("data", "The AWS service reference is recent", role=None),
)
"""Every check, in the order they run."""

WAIVERS: Final = Check(
    "waivers",
    "Every waiver has a finding, place, reason, owner and expiry date, and is needed",
    "waivers",
    of="report",
    module="report",
    finds=("CML901", "CML902", "CML903"),
)
"""The check of the whole report, made by `make_report`."""

AUDIT_FILES: Final = tuple(check for check in CHECKS if check.of == "files")
AUDIT_ACCOUNT: Final = tuple(check for check in CHECKS if check.of == "account")
DOCTOR: Final = tuple(check for check in CHECKS if check.of == "machine" and not check.optional)
SKIPPABLE: Final = tuple(
    check.id for check in (*AUDIT_FILES, *AUDIT_ACCOUNT) if check.id not in _BOTH
)
"""The ids of the checks that an audit can skip."""


def check_named(id_: str) -> Check:
    """Return the check with this id; raises KeyError if it is not in the list."""
    return {check.id: check for check in CHECKS}[id_]


class fact(Generic[_T]):  # noqa: N801 - a decorator, as `property` is
    """A property that is read once: its value, or the error that prevented reading it."""

    def __init__(self, read: Callable[[Any], _T]) -> None:
        self.read = read
        self.name = f"_{read.__name__}"
        self.__doc__ = read.__doc__

    def __get__(self, scene: Any, owner: type | None = None) -> _T:
        facts = vars(scene)
        if self.name not in facts:
            try:
                facts[self.name] = self.read(scene), None
            except CmlIamError as error:
                facts[self.name] = None, error
        value, failure = facts[self.name]
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


def _answer(check: Check, scene: Any, account: str | None, before: Answer) -> Answer:
    for finding in before.findings:
        if finding.check in check.needs:
            return check.not_checked(*_prevention(finding), account)
    try:
        return ask(check, scene, before)
    except CredentialsError:
        raise
    except (AwsError, DocumentError, UnsupportedError) as error:
        return check.not_checked(*reason_and_remedy(error), account)


def _prevention(finding: AuditFinding) -> tuple[str, str]:
    """Return why *finding* prevents the checks that need its check, and the remedy."""
    if finding.check == "identity":
        reason = f"the credentials belong to account {finding.spot.account}"
        return reason, "use credentials of the site's account"
    return "there is no such principal", "create it: `cml-iam bootstrap apply`"


def ask(check: Check, scene: Any, before: Answer | None = None) -> Answer:
    """Return the answer of *check* alone; raises the error if AWS does not answer.

    A check with a finding other than advice has failed.
    """
    module = import_module(f"cml_iam.check.{check.module}")
    answer = getattr(module, check.id.replace("-", "_"))(check, scene, before or Answer())
    if not isinstance(answer, Answer):
        return Answer(diagnoses=tuple(answer))
    failing = {finding.check for finding in answer.findings if finding.severity > Severity.INFO}
    results = (
        failed(result) if result.id in failing and result.state == "passed" else result
        for result in answer.checks
    )
    return replace(answer, checks=tuple(results))


def failed(result: Result) -> Result:
    """Return *result* as that of a check that found a fault."""
    return replace(result, state="failed")


def not_made(result: Result, reason: str, remedy: str | None) -> Result:
    """Return *result* as that of a check that could not be made, or not for everything."""
    return replace(result, state="not checked", reason=reason, remedy=remedy)


def reason_and_remedy(error: CmlIamError) -> tuple[str, str | None]:
    """Return on one line why AWS could not be called, and the remedy."""
    if isinstance(error, DeniedError):
        remedy = f"{_READER}: `{error.action}`" if error.action else _READER
        return f"{error.refused} to these credentials", remedy
    return " ".join(error.message.split()), error.remedy
