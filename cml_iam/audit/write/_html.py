"""The report as one HTML file: no request, no script, readable on paper and by keyboard.

The page is `templates/audit/report.html.j2`. Its policy (CSP) allows the one style sheet inside by
its hash and nothing else, so a page whose text were markup after all could still do nothing.
https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cml_iam.audit._report import GROUPS
from cml_iam.audit.write import _words as words
from cml_iam.audit.write._alike import findings_alike, in_accounts, matrices_alike, unused_rows
from cml_iam.audit.write._codec import date_text
from cml_iam.audit.write._escape import page_link, shown
from cml_iam.audit.write._path import path_of
from cml_iam.credentials import MAX_KEY_AGE
from cml_iam.shipped import shipped_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jinja2 import Template
    from markupsafe import Markup

    from cml_iam.audit._report import Ask, AuditFinding, Cell, Check, KeyLine, Matrix, Report, State
    from cml_iam.lint import Severity

_SPAN: Final = 1000
"""Width of the key-age timeline in its own units."""

_LEVELS: Final[dict[State, str]] = {"passed": "good", "failed": "error", "not checked": "unknown"}


def html_report(report: Report, fail_on: Severity) -> str:
    """Return *report* as one HTML page."""
    conclusion, sentence = words.verdict(report, fail_on)
    from markupsafe import Markup

    style = _style()
    new = frozenset(report.since.new) if report.since else frozenset()
    groups = matrices_alike(report.matrices)
    values: dict[str, Any] = {
        "report": report,
        "conclusion": conclusion,
        "sentence": sentence,
        "mark": words.OF_CONCLUSION[conclusion],
        "style": Markup(style),  # noqa: S704 - our own file
        "style_hash": b64encode(sha256(style.encode()).digest()).decode(),
        "new": new,
        "fresh": findings_alike((e for e in report.findings if e.fingerprint in new), new),
        "gone": findings_alike(report.since.gone, ()) if report.since else [],
        "open": [
            group
            for _, findings in words.by_severity(report.open)
            for group in findings_alike(findings, new)
        ],
        "waived": findings_alike((each for each in report.findings if each.waiver), new),
        "lost": list(_lost(report)),
        "matrices": [_matrix(number, each) for number, each in enumerate(groups)],
        "unused": list(unused_rows(report)),
        "checks": list(_checks(report)),
        "tiles": _tiles(report),
        "limit": MAX_KEY_AGE.days,
        **_keys(report.keys),
    }
    page = _template().render(**values, sections=list(_sections(report, values)))
    return re.sub(r"\n{2,}", "\n", page) + "\n"


@cache
def _style() -> str:
    """Return the style sheet without its comments and indentation."""
    text = re.sub(r"/\*.*?\*/", "", shipped_text("templates", "audit/report.css"), flags=re.DOTALL)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # What cannot be seen is written out; what the template itself says is left as it is.
        finalize=lambda value: (
            shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    made.filters["prose"] = _prose
    made.filters["lines"] = _lines
    made.filters["breakable"] = _breakable
    made.filters["capital"] = lambda text: text[:1].upper() + text[1:]
    made.globals.update(
        common_context=_common_context,
        context_of=_context_of,
        decided=words.decided,
        elsewhere=words.elsewhere,
        last_use=words.last_use,
        left_out=words.left_out,
        link=page_link,
        path_of=path_of,
        request=words.request,
        since_words=words.since,
        symbol=_symbol,
        waived_words=words.waived_words,
        when=date_text,
    )
    return made.from_string(shipped_text("templates", "audit/report.html.j2"))


def _prose(text: str) -> Markup:
    """Return foreign *text* escaped, what stands in backticks as code."""
    from markupsafe import Markup, escape

    # Of a plain text: Markup would escape what is put in.
    safe = str(escape(shown(text)))
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", safe))  # noqa: S704 - escaped above


def _breakable(text: str) -> Markup:
    """Return foreign *text* escaped, with places where an action's name may go on below."""
    from markupsafe import Markup, escape

    safe = str(escape(shown(text)))
    return Markup(re.sub("(?<=[a-z:])(?=[A-Z])", "<wbr>", safe))  # noqa: S704 - escaped above


def _lines(texts: Iterable[str]) -> Markup:
    """Return foreign *texts* escaped, each on a line of its own."""
    from markupsafe import Markup

    return Markup("\n").join(shown(each) for each in texts)


def _common_context(asks: Iterable[Ask]) -> list[str]:
    """Return the lines of context that all of *asks* have; of a single one none is common."""
    lines = [_context_of(each, ()) for each in asks]
    if len(lines) < 2:
        return []
    return [each for each in lines[0] if all(each in other for other in lines[1:])]


def _context_of(ask: Ask, common: Iterable[str]) -> list[str]:
    """Return the context of *ask*, a line for each key, without what is *common*."""
    lines = (f"{key} = {words.values(ask.context[key])}" for key in sorted(ask.context))
    return [each for each in lines if each not in common]


def _symbol(finding: AuditFinding) -> str:
    return words.WAIVED if finding.waiver else words.SYMBOL[finding.severity]


def _tiles(report: Report) -> list[tuple[str, int, str]]:
    number = words.counts(report)
    return [
        ("errors", number["error"], "error"),
        ("warnings", number["warning"], "warning"),
        ("for information", number["info"], "info"),
        ("waived", number["waived"], "info"),
        ("checks passed", number["passed"], "good"),
        ("not checked", number["not checked"] + number["accounts not checked"], "unknown"),
    ]


def _sections(report: Report, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the id and the name of every section that has something to say."""
    for there, id_, name in (
        (report.since, "since", "What changed"),
        (values["lost"], "unchecked", "Not checked"),
        (report.open, "findings", "Findings"),
        (values["waived"], "waived", "Waived"),
        (report.matrices, "permissions", "Permissions"),
        (report.changes, "changes", "Decided otherwise"),
        (report.keys, "keys", "Access keys"),
        (report.unused, "unused", "Not used"),
        (report.checks, "checks", "Checks"),
        (report.accounts, "accounts", "Accounts"),
        (report.inputs, "inputs", "What was read"),
        (report.passed_over, "passed-over", "Not judged"),
    ):
        if there:
            yield id_, name


def _lost(report: Report) -> Iterator[tuple[str, str, str | None]]:
    for each in words.lost_accounts(report):
        name = f"account {each.id}" + (f" ({each.name})" if each.name else "")
        yield name, each.reason or "no reason given", each.remedy
    for check in report.unchecked:
        where = f" in {check.account}" if check.account else ""
        yield check.title + where, words.seen(check), check.remedy


def _matrix(number: int, alike: Sequence[Matrix]) -> dict[str, Any]:
    """Return what the page shows of matrices that are alike; after the first, only what is wrong.

    A matrix after the first that is as expected has no rows.
    """
    matrix, accounts = alike[0], in_accounts(alike)
    met = sum(each.met is True for each in matrix.cells)
    where = (
        f" in {f'{len(accounts)} accounts' if accounts[1:] else accounts[0]}" if accounts else ""
    )
    how = {"offline": "Computed from the documents", "live": "Asked of AWS"}[matrix.how]
    brief = met == len(matrix.cells) and number > 0
    cells = {(each.permission, each.situation): each for each in matrix.cells}
    ids = {place: f"{number}-{index}" for index, place in enumerate(cells)}
    return {
        "title": f"{how}{where}: {words.as_expected(matrix)}",
        "accounts": accounts,
        "situations": matrix.situations,
        "common": _common_context(ask for each in matrix.cells for ask in each.asks),
        "rows": []
        if brief
        else [
            {
                "permission": permission,
                "cells": [
                    _cell(cells[permission, each], ids[permission, each])
                    if (permission, each) in cells
                    else None
                    for each in matrix.situations
                ],
            }
            for permission in matrix.permissions
        ],
    }


def _cell(cell: Cell, id_: str) -> dict[str, Any]:
    symbol, word = words.cell(cell)
    kind = {words.PASSED: cell.answer, words.FAILED: "wrong"}.get(symbol, "unknown-cell")
    return {
        "id": id_,
        "kind": kind,
        "symbol": symbol,
        "word": word,
        "situation": cell.situation,
        "expected": cell.expected,
        "answer": cell.answer,
        "asks": cell.asks,
    }


def _checks(report: Report) -> Iterator[dict[str, Any]]:
    """Yield a row for each check; asked of several accounts, one with how often it came out how."""
    for group in GROUPS:
        asked: dict[tuple[str, str], list[Check]] = {}
        for each in report.checks:
            if each.group == group:
                asked.setdefault((each.id, each.title), []).append(each)
        for (_, title), checks in asked.items():
            yield {
                "title": title,
                "states": list(_states(checks)),
                "seen": words.seen(checks[0]) if len(checks) == 1 else "",
            }


def _states(checks: Sequence[Check]) -> Iterator[tuple[str, str, str]]:
    number = Counter(each.state for each in checks)
    for state, level in _LEVELS.items():
        if number[state]:
            times = f" in {number[state]} of {len(checks)}" if len(checks) > 1 else ""
            yield state, level, f"{words.OF_STATE[state]} {state}{times}"


def _keys(keys: Sequence[KeyLine]) -> dict[str, Any]:
    """Return the timeline: bars of age on one scale that the 90-day line always stands on."""
    span = max([MAX_KEY_AGE.days + 30, *(each.age for each in keys)])
    return {
        "span": span,
        "due": _on(MAX_KEY_AGE.days, span),
        "keys": [
            {
                "key": each,
                "of": " ".join(filter(None, (each.user, each.account))),
                "late": each.age > MAX_KEY_AGE.days,
                "width": _on(each.age, span),
                "used": _used(each, span),
            }
            for each in keys
        ],
    }


def _used(key: KeyLine, span: int) -> int | None:
    """Return where on the bar the last use stands; 4 units are the mark's own width."""
    if key.last_used is None:
        return None
    return max(0, min(_on((key.last_used - key.created).days, span), _on(key.age, span)) - 4)


def _on(days: int, span: int) -> int:
    return round(days * _SPAN / span)
