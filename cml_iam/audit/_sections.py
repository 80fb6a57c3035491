"""The audit report as a document: the head, then the sections, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.audit import GROUPS
from cml_iam.audit import _words as words
from cml_iam.audit._items import findings_alike, grids_of, items_of, request_of
from cml_iam.audit._words import date_text
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.report import (
    FAILED,
    NOTED,
    PASSED,
    UNKNOWN,
    WARNED,
    Bar,
    Cell,
    Column,
    Document,
    Section,
    capital,
    plural,
)

if TYPE_CHECKING:
    from cml_iam.audit import Check, KeyLine, Report, State
    from cml_iam.lint import Severity
    from cml_iam.report import Item, Level

Row = tuple[Cell, ...]

_OF_CONCLUSION: Final[dict[str, tuple[str, Level]]] = {
    "clean": (PASSED, "good"),
    "findings": (FAILED, "error"),
    "incomplete": (UNKNOWN, "unknown"),
}
_OF_STATE: Final[dict[State, tuple[str, Level]]] = {
    "passed": (PASSED, "good"),
    "failed": (FAILED, "error"),
    "not checked": (UNKNOWN, "unknown"),
}
_POLICY_FILES: Final = (".json", ".yaml", ".yml", ".template")
_HEADINGS: Final = {"error": "Errors", "warning": "Warnings", "info": "For information"}


def document_of(report: Report, fail_on: Severity) -> Document:
    """Return *report* as the document that every format for people prints."""
    conclusion, sentence = words.verdict(report, fail_on)
    symbol, level = _OF_CONCLUSION[conclusion]
    when = date_text(report.time)
    tools = ", ".join(f"{name} {report.tools[name]}" for name in sorted(report.tools))
    site = f", site {report.site}" if report.site else ""
    lines = (
        f"audit of {when}{site}; {tools}",
        words.since(report.since) if report.since else "",
        words.left_out(report),
    )
    return Document(
        product="cml-iam audit",
        title=f"{capital(conclusion)}: audit of {_whom(report)}, {when}",
        symbol=symbol,
        level=level,
        verdict=sentence,
        about=tuple(_about(report)),
        lines=tuple(filter(None, lines)),
        tiles=_tiles(report),
        sections=tuple(
            section
            for section in _sections(report)
            if section.rows or section.items or section.grids
        ),
        foot="Made by cml-iam from files and AWS's answers. This page loads and sends nothing.",
    )


def _about(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the subject of the report; several accounts have a section of their own."""
    names = [_named(account.id, account.name) for account in report.accounts]
    if not names and report.about:
        names = [report.about.account]
    if names:
        yield "account", names[0] if not names[1:] else plural(len(names), "account")
    principals = {account.principal for account in report.accounts if account.principal}
    if report.about and not principals:
        principals = {report.about.principal}
    if len(principals) == 1:
        yield "principal", principals.pop()
    if documents := _documents(report):
        yield "document", documents


def _documents(report: Report) -> str:
    """Return the subject: the files that may contain policies, or else the site's document."""
    over = {each.name for each in report.passed_over}
    names = [each.name for each in report.inputs if each.account is None and each.name not in over]
    files = [name for name in names if name.endswith(_POLICY_FILES)]
    if files:
        more = f" and {len(files) - 3} more" if files[3:] else ""
        return ", ".join(files[:3]) + more
    return f"{report.about.document} (from the site)" if report.about else ""


def _whom(report: Report) -> str:
    """Return the account, principal and document for a title."""
    said = dict(_about(report))
    principal = said.get("principal", "").rpartition("/")[2]
    parts = (said.get("account", ""), principal, said.get("document", ""))
    return ", ".join(filter(None, parts)) or "nothing"


def _tiles(report: Report) -> tuple[tuple[str, int, Level], ...]:
    number = words.counts(report)
    return (
        ("errors", number["error"], "error"),
        ("warnings", number["warning"], "warning"),
        ("for information", number["info"], "info"),
        ("waived", number["waived"], "plain"),
        ("checks passed", number["passed"], "good"),
        ("not checked", number["not_checked"] + number["accounts_not_checked"], "unknown"),
    )


def _sections(report: Report) -> Iterator[Section]:
    new = frozenset(report.since.new) if report.since else frozenset()
    yield Section("since", "What changed", _columns("state", "what"), tuple(_since(report)))
    yield Section(
        "unchecked",
        "Not checked",
        (Column("what"), Column("why", ": "), Column("what to do", "\n    do: ")),
        tuple(_lost(report)),
        lead="The account or files may have faults that this report does not show.",
    )
    for severity, findings in words.by_severity(report.open):
        heading = _HEADINGS[severity.word]
        yield _found(heading, items_of(findings, new), len(findings))
    waived = [finding for finding in report.findings if finding.waiver]
    lead = "Findings that were accepted deliberately."
    yield _found("Waived", items_of(waived, new), len(waived), lead)
    grids = tuple(grids_of(report.matrices))
    yield Section("permissions", "Permissions", grids=grids, lead=_MATRIX)
    yield Section(
        "changes",
        "Changed decisions",
        (
            Column("document"),
            Column("change", ": "),
            Column("request", "\n      "),
            Column("rendered", "\n      rendered: "),
            Column("found", "\n      found: "),
        ),
        tuple(_changes(report)),
        lead="Requests that a document and the rendered one decide differently.",
    )
    yield from _of_account(report)
    yield from _of_files(report)


def _of_account(report: Report) -> Iterator[Section]:
    limit = MAX_KEY_AGE.days
    span = max([limit + 30, *(key.age for key in report.keys)])
    yield Section(
        "keys",
        "Access keys",
        _columns("key", "status", "age", "last used", "of"),
        tuple(_key(key, span) for key in report.keys),
        lead=f"A key should be rotated when it is {limit} days old.",
        note=f"Bar: the key's age. Dashed line: {limit} days. Mark on the bar: its last use.",
        lines=False,
    )
    yield Section(
        "unused",
        "Granted but not used",
        (
            Column("permission"),
            Column("in", " in "),
            Column("use", ": "),
            Column("used by", "; used by "),
        ),
        tuple(_unused(report)),
        short="Not used",
    )
    yield Section(
        "checks",
        "Checks",
        (Column("state"), Column("check"), Column("what was seen", ": ")),
        tuple(_checks(report)),
    )
    yield Section(
        "accounts",
        "Accounts",
        (
            Column("state"),
            Column("account"),
            Column("principal", ": "),
            Column("asked as", " as "),
            Column("calls", ", "),
        ),
        tuple(
            (
                _state(account.state, "good" if account.state == "audited" else "unknown"),
                Cell(_named(account.id, account.name)),
                Cell(account.principal or "", code=True),
                Cell(account.caller or "", code=True),
                Cell(plural(account.calls, "call") if account.calls else ""),
            )
            for account in report.accounts
        ),
    )


def _of_files(report: Report) -> Iterator[Section]:
    yield Section(
        "inputs",
        "Read",
        (Column("kind"), Column("name"), Column("SHA-256", " sha256:")),
        tuple(
            (
                Cell(each.kind, NOTED),
                Cell(each.name, code=True),
                Cell(each.sha256, code=True, brief=each.sha256[:12]),
            )
            for each in report.inputs
        ),
    )
    yield Section(
        "passed-over",
        "Not judged as policies",
        (Column("file"), Column("why", ": ")),
        tuple(
            (Cell(each.name, NOTED, code=True), Cell(each.reason)) for each in report.passed_over
        ),
        short="Not judged",
    )


_MATRIX: Final = (
    "What the principal can do in each situation, and whether the site file requires it. Each cell "
    "links to the deciding statement and to a request that shows it."
)


def _columns(*names: str) -> tuple[Column, ...]:
    return tuple(map(Column, names))


def _found(heading: str, items: tuple[Item, ...], count: int, lead: str = "") -> Section:
    id_ = heading.lower().rpartition(" ")[2]
    return Section(id_, f"{heading} ({count})", items=items, short=heading, lead=lead)


def _state(word: str, level: Level, times: str = "") -> Cell:
    symbol = {"good": PASSED, "error": FAILED, "unknown": UNKNOWN}[level]
    return Cell(f"{word}{times}", symbol, level=level)


def _named(id_: str, name: str | None) -> str:
    return f"{id_} ({name})" if name else id_


def _in(account: str | None) -> str:
    return f" in {account}" if account else ""


def _since(report: Report) -> Iterator[Row]:
    if report.since is None:
        return
    new = frozenset(report.since.new)
    fresh = [finding for finding in report.findings if finding.fingerprint in new]
    groups = [(Cell("new", WARNED, level="info"), each) for each in findings_alike(fresh, new)]
    gone = findings_alike(report.since.gone, ())
    groups += [(Cell("gone", PASSED, level="good"), each) for each in gone]
    for cell, group in groups:
        finding, others = group[0], len(group) - 1
        more = f" and in {plural(others, 'more account')}" if others else ""
        where = words.elsewhere(finding.spot)
        at = f" at {where}" if where else ""
        yield cell, Cell(f"{finding.severity.word} {finding.rule} {finding.name}{at}{more}")
    for id_, account, before, now in report.since.checks:
        yield Cell("check", NOTED, level="plain"), Cell(f"{id_}{_in(account)}: {before} → {now}")


def _lost(report: Report) -> Iterator[Row]:
    for account in words.lost_accounts(report):
        name = f"account {_named(account.id, account.name)}"
        reason = account.reason or "no reason given"
        yield Cell(name, UNKNOWN), Cell(reason), Cell(account.remedy or "")
    for check in report.unchecked:
        yield (
            Cell(f"{check.title}{_in(check.account)}", UNKNOWN),
            Cell(words.seen(check)),
            Cell(check.remedy or ""),
        )


def _changes(report: Report) -> Iterator[Row]:
    for change in report.changes:
        yield (
            Cell(f"{change.document}{_in(change.account)}", WARNED),
            Cell(f"{change.change}: {', '.join(change.actions)}"),
            Cell(request_of(change.after).line, code=True),
            Cell(words.decided(change.before)),
            Cell(words.decided(change.after)),
        )


def _key(key: KeyLine, span: int) -> Row:
    """Return a row with a bar for the key's age; all bars have one scale that includes 90 days."""
    limit = MAX_KEY_AGE.days
    late = key.age > limit
    mark = min((key.last_used - key.created).days, key.age) if key.last_used else None
    bar = Bar(key.age, span, f"{key.age} days old, due at {limit}", mark, limit)
    return (
        Cell(key.id, WARNED if late else NOTED, code=True),
        Cell(key.status),
        Cell(
            plural(key.age, "day") + (f", due {key.age - limit} days ago" if late else ""),
            level="error" if late else None,
            bar=bar,
        ),
        Cell(words.last_use(key)),
        Cell(" ".join(filter(None, (key.user, key.account)))),
    )


def _unused(report: Report) -> Iterator[Row]:
    """Yield a row for each permission: name, account (or how many), last use, methods."""
    groups: dict[tuple[str, tuple[str, ...]], list[str | None]] = {}
    for each in report.unused:
        groups.setdefault((each.permission, each.methods), []).append(each.account)
    for (permission, methods), ids in groups.items():
        accounts = [each for each in ids if each]
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        uses = [
            each.last_used
            for each in report.unused
            if (each.permission, each.methods) == (permission, methods) and each.last_used
        ]
        said = [f"last used {date_text(max(uses))}"] if uses else []
        if uses[1:]:
            said = [f"{said[0]} (the latest)"]
        if len(uses) < len(ids):
            lost = f" in {len(ids) - len(uses)} of them" if uses else ""
            said.append(f"no use known{lost}")
        yield (
            Cell(permission, NOTED, code=True),
            Cell(where),
            Cell("; ".join(said)),
            Cell(", ".join(methods)),
        )


def _checks(report: Report) -> Iterator[Row]:
    """Yield a row for each check and state; with several accounts, with the number of accounts."""
    for group in GROUPS:
        asked: dict[tuple[str, str], list[Check]] = {}
        for check in report.checks:
            if check.group == group:
                asked.setdefault((check.id, check.title), []).append(check)
        for (_, title), checks in asked.items():
            yield from _check(title, checks)


def _check(title: str, checks: Sequence[Check]) -> Iterator[Row]:
    number = Counter(check.state for check in checks)
    for state, (_, level) in _OF_STATE.items():
        if number[state] and len(checks) > 1:
            times = f" in {number[state]} of {len(checks)}"
            yield _state(state, level, times), Cell(title), Cell()
        elif number[state]:
            only = checks[0]
            title += _in(only.account)
            yield _state(state, level), Cell(title), Cell(words.seen(only))
