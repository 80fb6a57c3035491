"""The audit report as a document: the head, then the sections, the most important first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from cml_iam.audit import GROUPS, AuditFinding, Check, KeyLine, Report, Since, Unused
from cml_iam.audit import _words as words
from cml_iam.audit._words import date_text, findings_alike, grids_of, items_of, request_of
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.lint import Severity
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
    Level,
    Section,
    capital,
    listed,
    plural,
)

Row = tuple[Cell, ...]

_LEVELS: Final[dict[str, tuple[str, Level]]] = {
    "clean": (PASSED, "good"),
    "findings": (FAILED, "error"),
    "incomplete": (UNKNOWN, "unknown"),
    "audited": (PASSED, "good"),
    "passed": (PASSED, "good"),
    "failed": (FAILED, "error"),
    "not checked": (UNKNOWN, "unknown"),
}
"""The symbol and level of each conclusion, and of each state of a check or an account."""

_POLICY_FILES: Final = (".json", ".yaml", ".yml", ".template")
_HEADINGS: Final = {
    "error": "Errors",
    "warning": "Warnings",
    "info": "For information",
    "waived": "Waived",
}
_WAIVED: Final = "Findings that were accepted deliberately."
_MATRIX: Final = (
    "What the principal can do in each situation, and whether the site file requires it. Each cell "
    "links to the deciding statement and to a request that shows it."
)


def document_of(report: Report, fail_on: Severity) -> Document:
    """Return *report* as the document that every format for people prints."""
    conclusion, sentence = words.verdict(report, fail_on)
    symbol, level = _LEVELS[conclusion]
    when = date_text(report.time)
    tools = ", ".join(f"{name} {report.tools[name]}" for name in sorted(report.tools))
    site = f", site {report.site}" if report.site else ""
    about = dict(_about(report))
    principal = about.get("principal", "").rpartition("/")[2]
    subjects = (about.get("account", ""), principal, about.get("document", ""))
    lines = (
        f"audit of {when}{site}; {tools}",
        _since_line(report.since) if report.since else "",
        f"skipped on request: {listed(report.skipped)}" if report.skipped else "",
    )
    sections = (*_findings(report), *_of_account(report), *_of_files(report))
    return Document(
        product="cml-iam audit",
        title=f"{capital(conclusion)}: audit of {_joined(*subjects) or 'nothing'}, {when}",
        symbol=symbol,
        level=level,
        verdict=sentence,
        about=tuple(about.items()),
        lines=tuple(filter(None, lines)),
        tiles=_tiles(report),
        sections=tuple(
            section for section in sections if section.rows or section.items or section.grids
        ),
        foot="Made by cml-iam from files and AWS's answers. This page loads and sends nothing.",
    )


def _joined(*texts: str, by: str = ", ") -> str:
    return by.join(filter(None, texts))


def _about(report: Report) -> Iterator[tuple[str, str]]:
    """Yield the subject of the report; several accounts have a section of their own."""
    names = [words.name_of(account) for account in report.accounts]
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
    over = {file.name for file in report.passed_over}
    names = [file.name for file in report.inputs if file.account is None and file.name not in over]
    files = [name for name in names if name.endswith(_POLICY_FILES)]
    if files:
        rest = f" and {len(files) - 3} more" if files[3:] else ""
        return ", ".join(files[:3]) + rest
    return f"{report.about.document} (from the site)" if report.about else ""


def _since_line(change: Since) -> str:
    new, gone = len(change.new), len(change.gone)
    checks = f"{plural(len(change.checks), 'check')} with a different result"
    return f"since {date_text(change.time)}: {new} new, {gone} gone and {checks}"


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


def _columns(*columns: str | tuple[str, str]) -> tuple[Column, ...]:
    return tuple(
        Column(column) if isinstance(column, str) else Column(*column) for column in columns
    )


def _findings(report: Report) -> Iterator[Section]:
    new = frozenset(report.since.new) if report.since else frozenset()
    yield Section("since", "What changed", _columns("state", "what"), tuple(_since(report)))
    yield Section(
        "unchecked",
        "Not checked",
        _columns("what", ("why", ": "), ("what to do", "\n    do: ")),
        tuple(_unchecked(report)),
        lead="The account or files may have faults that this report does not show.",
    )
    groups: dict[str, list[AuditFinding]] = {word: [] for word in _HEADINGS}
    for finding in report.findings:
        groups["waived" if finding.waiver else finding.severity.word].append(finding)
    for word, findings in groups.items():
        heading, items = _HEADINGS[word], items_of(findings, new)
        id_, lead = heading.lower().rpartition(" ")[2], _WAIVED if word == "waived" else ""
        title = f"{heading} ({len(findings)})"
        yield Section(id_, title, items=items, short=heading, lead=lead)
    grids = tuple(grids_of(report.matrices))
    yield Section("permissions", "Permissions", grids=grids, lead=_MATRIX)
    yield Section(
        "changes",
        "Changed decisions",
        _columns(
            "document",
            ("change", ": "),
            ("request", "\n      "),
            ("rendered", "\n      rendered: "),
            ("found", "\n      found: "),
        ),
        tuple(_changes(report)),
        lead="Requests that a document and the rendered one decide differently.",
    )


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
        _columns("permission", ("in", " in "), ("use", ": "), ("used by", "; used by ")),
        tuple(_unused(report)),
        short="Not used",
    )
    yield Section(
        "checks",
        "Checks",
        _columns("state", "check", ("what was seen", ": ")),
        tuple(_checks(report)),
    )
    yield Section(
        "accounts",
        "Accounts",
        _columns("state", "account", ("principal", ": "), ("asked as", " as "), ("calls", ", ")),
        tuple(
            (
                _state(account.state),
                Cell(words.name_of(account)),
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
        _columns("kind", "name", ("SHA-256", " sha256:")),
        tuple(
            (
                Cell(source.kind, NOTED),
                Cell(source.name, code=True),
                Cell(source.sha256, code=True, brief=source.sha256[:12]),
            )
            for source in report.inputs
        ),
    )
    yield Section(
        "passed-over",
        "Not judged as policies",
        _columns("file", ("why", ": ")),
        tuple(
            (Cell(file.name, NOTED, code=True), Cell(file.reason)) for file in report.passed_over
        ),
        short="Not judged",
    )


def _state(word: str, times: str = "") -> Cell:
    symbol, level = _LEVELS[word]
    return Cell(f"{word}{times}", symbol, level=level)


def _in(account: str | None) -> str:
    return f" in {account}" if account else ""


def _since(report: Report) -> Iterator[Row]:
    if report.since is None:
        return
    new = frozenset(report.since.new)
    fresh = [finding for finding in report.findings if finding.fingerprint in new]
    groups = [(Cell("new", WARNED, level="info"), group) for group in findings_alike(fresh, new)]
    gone = findings_alike(report.since.gone, ())
    groups += [(Cell("gone", PASSED, level="good"), group) for group in gone]
    for cell, group in groups:
        finding, others = group[0], len(group) - 1
        elsewhere = f" and in {plural(others, 'more account')}" if others else ""
        where = words.elsewhere(finding.spot)
        at = f" at {where}" if where else ""
        yield cell, Cell(f"{finding.severity.word} {finding.rule} {finding.name}{at}{elsewhere}")
    for id_, account, before, now in report.since.checks:
        yield Cell("check", NOTED, level="plain"), Cell(f"{id_}{_in(account)}: {before} → {now}")


def _unchecked(report: Report) -> Iterator[Row]:
    for account in words.lost_accounts(report):
        name, reason = f"account {words.name_of(account)}", words.reason_of(account)
        yield Cell(name, UNKNOWN), Cell(reason), Cell(account.remedy or "")
    for check in report.unchecked:
        title, reason = words.title_of(check), words.reason_of(check)
        yield Cell(title, UNKNOWN), Cell(reason), Cell(check.remedy or "")


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
    mark, last_use = None, "no use known"
    if key.last_used:
        mark = min((key.last_used - key.created).days, key.age)
        day = date_text(key.last_used)[:10]
        last_use = _joined(day, key.service or "", key.region or "", by=" ")
    bar = Bar(key.age, span, f"{key.age} days old, due at {limit}", mark, limit)
    age = plural(key.age, "day") + (f", due {key.age - limit} days ago" if late else "")
    return (
        Cell(key.id, WARNED if late else NOTED, code=True),
        Cell(key.status),
        Cell(age, level="error" if late else None, bar=bar),
        Cell(last_use),
        Cell(_joined(key.user or "", key.account or "", by=" ")),
    )


def _unused(report: Report) -> Iterator[Row]:
    """Yield a row for each permission: name, account (or how many), last use, methods."""
    groups: dict[tuple[str, tuple[str, ...]], list[Unused]] = {}
    for unused in report.unused:
        groups.setdefault((unused.permission, unused.methods), []).append(unused)
    for (permission, methods), group in groups.items():
        accounts = [unused.account for unused in group if unused.account]
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        yield (
            Cell(permission, NOTED, code=True),
            Cell(where),
            Cell(_uses(group)),
            Cell(", ".join(methods)),
        )


def _uses(group: Sequence[Unused]) -> str:
    times = [unused.last_used for unused in group if unused.last_used]
    unknown = len(group) - len(times)
    if not times:
        return "no use known"
    last = f"last used {date_text(max(times))}" + (" (the latest)" if times[1:] else "")
    return f"{last}; no use known in {unknown} of them" if unknown else last


def _checks(report: Report) -> Iterator[Row]:
    """Yield a row for each check and state; with several accounts, with the number of accounts."""
    checks: dict[tuple[str, str, str], list[Check]] = {}
    for check in sorted(report.checks, key=lambda check: GROUPS.index(check.group)):
        checks.setdefault((check.group, check.id, check.title), []).append(check)
    for (_, _, title), group in checks.items():
        number = Counter(check.state for check in group)
        if len(group) == 1:
            only = group[0]
            yield _state(only.state), Cell(words.title_of(only)), Cell(words.seen(only))
            continue
        for state in ("passed", "failed", "not checked"):
            if number[state]:
                times = f" in {number[state]} of {len(group)}"
                yield _state(state, times), Cell(title), Cell()
