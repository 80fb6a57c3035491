"""The audit report: the checks, their findings, and what could not be checked.

It consists of plain values in a fixed order, so that it can be written, read back and compared.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, get_args

from cml_iam.errors import Place
from cml_iam.files import shipped_text
from cml_iam.lint import Severity
from cml_iam.report import Excerpt

ADDED: Final = MappingProxyType({"added": True})
"""Marks a field that older reports lack, which are read as if it were empty."""

State = Literal["passed", "failed", "not checked"]
"""The result of a check. A check that could not be made is `not checked`, never passed."""

Conclusion = Literal["clean", "findings", "incomplete"]

CellAnswer = Literal["allowed", "refused", "unknown"]
Standing = Literal["yes", "depends", "by steps", "undecided", "no"]

Group = Literal["documents", "permissions", "principal", "keys", "surroundings", "waivers"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""The subjects of checks, in the order of the report."""


@dataclass(frozen=True, slots=True)
class Spot:
    """The location of a finding: a place in a file, or an ARN (or id) in an account.

    *line* and *column* count from 1; *statement* is the label of the statement.
    """

    file: str | None = None
    line: int | None = None
    column: int | None = None
    resource: str | None = None
    statement: str | None = None
    account: str | None = None

    @classmethod
    def at(cls, place: Place | None, file: str, statement: str | None = None) -> Spot:
        """Return the spot of *place*, or of *file* if the place is unknown."""
        if place is None:
            return cls(file, statement=statement)
        return cls(place.file, place.line or None, place.column or None, statement=statement)

    @property
    def position(self) -> str:
        """`file:line:column`, or the ARN or id in the account."""
        numbers = [str(number) for number in (self.line, self.column) if number is not None]
        if not self.file:
            return self.resource or self.account or ""
        where = ":".join([self.file, *numbers])
        return f"{where}: {self.resource}" if self.resource else where

    @property
    def place(self) -> str:
        """The position as printed: followed by the statement in brackets."""
        return f"{self.position} [{self.statement}]".lstrip() if self.statement else self.position


@dataclass(frozen=True, slots=True)
class Ask:
    """One request with its decision, and a sentence on what it shows.

    *statements* are the labels of the statements that decided.
    """

    says: str
    action: str
    resource: str
    outcome: str
    context: Mapping[str, str | tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    statements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiver:
    """A deliberately accepted finding: why, by whom and until when.

    *finding* is the rule's id. *place* is a pattern with wildcards that must match the printed
    place of the finding.
    """

    finding: str
    place: str
    reason: str
    owner: str
    expires: date


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """A fault that the audit found.

    *rule* is the id, whose meaning never changes; *fingerprint* identifies the finding even when it
    moves to another line. *excerpt* holds the lines of the document it is about.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    spot: Spot
    check: str
    fingerprint: str
    remedy: str | None = None
    page: str | None = None
    witness: tuple[Ask, ...] = ()
    waiver: Waiver | None = None
    excerpt: Excerpt | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the audit: its *state*, and for `not checked` the *reason* and *remedy*.

    *asked* counts the items that were checked (expectations, documents, keys). *detail* summarizes
    the result in a few words. *account* is None for files.
    """

    id: str
    title: str
    group: Group
    state: State
    asked: int = 0
    detail: str = ""
    reason: str | None = None
    remedy: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the permission matrix: a permission in a situation, and its requests.

    *met* says whether the answer is the *expected* one; None if unknown. *asks* has at least one
    request. *standing* says how another principal may do it; None for the manager.
    """

    permission: str
    situation: str
    expected: CellAnswer
    answer: CellAnswer
    met: bool | None
    asks: tuple[Ask, ...]
    standing: Standing | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Permissions (rows) by situations (columns); *how* says how they were decided.

    Cells may be absent. With `others`, the rows are principals and the columns are what they may
    do; then an absent cell means no.
    """

    how: Literal["offline", "live", "others"]
    permissions: tuple[str, ...]
    situations: tuple[str, ...]
    cells: tuple[Cell, ...]
    account: str | None = None


@dataclass(frozen=True, slots=True)
class KeyLine:
    """An access key without its secret. Ages are in days at the time of the report.

    *last_used* is None if AWS recorded no use; *service* and *region* belong to the last use.
    """

    id: str
    status: str
    created: datetime
    age: int
    last_used: datetime | None = None
    service: str | None = None
    region: str | None = None
    user: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A difference by meaning between the rendered and the live document (see `policy diff`)."""

    document: str
    change: str
    actions: tuple[str, ...]
    before: Ask
    after: Ask
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Unused:
    """A permission of the policy, when it was last used, and the methods that use it.

    *last_used* is None if AWS recorded no use within its tracking period.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
    """

    permission: str
    methods: tuple[str, ...]
    last_used: datetime | None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the audit: a file with its *sha256*, or a live document by its ARN."""

    name: str
    kind: str
    sha256: str
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or part of a file, that was not judged as a policy, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """An account that was audited live: the identity and the number of calls, or why not.

    *state* is `audited`, or `not checked` with the *reason*.
    """

    id: str
    name: str | None = None
    caller: str | None = None
    principal: str | None = None
    calls: int = 0
    state: Literal["audited", "not checked"] = "audited"
    reason: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Since:
    """The changes since an earlier report: findings by fingerprint, and checks in another state.

    *checks* are (id, account, state before, state now).
    """

    time: datetime
    new: tuple[str, ...]
    gone: tuple[AuditFinding, ...]
    checks: tuple[tuple[str, str | None, State, State], ...]


@dataclass(frozen=True, slots=True)
class About:
    """The account and principal from the site file, and the site *document* that is in force."""

    account: str
    principal: str
    document: str


@dataclass(frozen=True, slots=True)
class Report:
    """The whole result of an audit. *time* is when it was made, in UTC, to the second.

    *tools* are the versions used (cml-iam, the service reference). *site* is the name of the site
    file. *skipped* are the ids of the checks skipped on request (`--skip`), which are not among
    *checks*. *passed_over* are the given files that were not judged as policies. *about* is None
    without a site file.
    """

    time: datetime
    tools: Mapping[str, str]
    site: str | None = None
    inputs: tuple[Input, ...] = ()
    accounts: tuple[Account, ...] = ()
    checks: tuple[Check, ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    keys: tuple[KeyLine, ...] = ()
    changes: tuple[Changed, ...] = ()
    unused: tuple[Unused, ...] = ()
    since: Since | None = None
    skipped: tuple[str, ...] = ()
    passed_over: tuple[Skipped, ...] = field(default=(), metadata=ADDED)
    about: About | None = field(default=None, metadata=ADDED)

    @property
    def open(self) -> tuple[AuditFinding, ...]:
        """The findings that no waiver covers."""
        return tuple(finding for finding in self.findings if finding.waiver is None)

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """The checks that could not be made."""
        return tuple(check for check in self.checks if check.state == "not checked")

    @property
    def complete(self) -> bool:
        """Whether there was at least one check, and every check could be made in every account."""
        lost = self.unchecked or any(account.state == "not checked" for account in self.accounts)
        return bool(self.checks) and not lost

    def conclusion(self, fail_on: Severity = Severity.WARNING) -> Conclusion:
        """Return the verdict; findings take precedence over checks that could not be made."""
        if any(finding.severity >= fail_on for finding in self.open):
            return "findings"
        return "clean" if self.complete else "incomplete"


@dataclass(frozen=True, slots=True)
class AuditRule:
    """One rule of the audit; *remedy* applies to findings without their own."""

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        """Return the rule as JSON values."""
        return {**asdict(self), "severity": self.severity.word}


@cache
def audit_rules() -> Mapping[str, AuditRule]:
    """Return every rule of the audit, by id."""
    raw = tomllib.loads(shipped_text("policies", "audit-rules.toml"))["rule"]
    rules = (AuditRule(**row | {"severity": Severity[row["severity"].upper()]}) for row in raw)
    return MappingProxyType({rule.id: rule for rule in rules})
