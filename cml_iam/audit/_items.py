"""Findings as items and matrices as grids: those that differ only in the account are one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

from cml_iam.audit import _words as words
from cml_iam.lint import Severity
from cml_iam.report import (
    FAILED,
    NOTED,
    PASSED,
    UNKNOWN,
    WAIVED,
    WARNED,
    Grid,
    Item,
    Place,
    Request,
    Station,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cml_iam.audit import Ask, AuditFinding, Matrix
    from cml_iam.audit import Cell as MatrixCell
    from cml_iam.report import Level

_SYMBOL: Final = {Severity.ERROR: FAILED, Severity.WARNING: WARNED, Severity.INFO: NOTED}
_SETS_TAG: Final = "aws:requesttag/"
_HAS_TAG: Final = ("ec2:resourcetag/", "aws:resourcetag/")
_T = TypeVar("_T")


def items_of(findings: Iterable[AuditFinding], new: Collection[str]) -> tuple[Item, ...]:
    """Group *findings* into items; fingerprints in *new* are marked and grouped separately."""
    return tuple(item_of(group, new) for group in findings_alike(findings, new))


def item_of(group: Sequence[AuditFinding], new: Collection[str] = ()) -> Item:
    """Return *group*, findings that differ only in the account, as one item."""
    finding = group[0]
    level: Level = "waived" if finding.waiver else finding.severity.word  # type: ignore[assignment] # the severities are levels
    item = Item(
        symbol=WAIVED if finding.waiver else _SYMBOL[finding.severity],
        level=level,
        word=finding.severity.word,
        rule=finding.rule,
        name=finding.name,
        place=words.elsewhere(finding.spot),
        message=finding.message,
        state="waived" if finding.waiver else "",
        tags=("new",) if finding.fingerprint in new else (),
        file=finding.spot.file or finding.spot.resource or finding.spot.account or "",
        accounts=tuple(each.spot.account for each in group if each.spot.account),
        requests=tuple(map(request_of, finding.witness)),
        notes=(words.waived_words(finding),) if finding.waiver else (),
        excerpt=finding.excerpt,
        remedy=finding.remedy,
        page=finding.page,
    )
    return item._replace(path=path_of(finding)) if item.is_sequence else item


def findings_alike(
    findings: Iterable[AuditFinding], new: Collection[str]
) -> list[list[AuditFinding]]:
    """Group *findings* that differ only in the account; new and known ones stay separate.

    In an organization, every account often has the same documents, with the same faults.
    """
    return _alike(
        (finding, finding.spot.account, f"{finding.fingerprint in new}{_but_fingerprint(finding)}")
        for finding in findings
    )


def _but_fingerprint(finding: AuditFinding) -> str:
    return repr(replace(finding, fingerprint=""))


def _alike(things: Iterable[tuple[_T, str | None, str]]) -> list[list[_T]]:
    """Group things with their account and text: those whose texts differ only in the account."""
    groups: dict[str, list[_T]] = {}
    for thing, account, text in things:
        key = text.replace(account, "*") if account else text
        groups.setdefault(key, []).append(thing)
    return list(groups.values())


def request_of(ask: Ask) -> Request:
    """Return *ask* as shown in the report."""
    context = tuple(f"{key} = {_values(ask.context[key])}" for key in sorted(ask.context))
    return Request(ask.says, ask.action, ask.resource, words.decided(ask), context)


def _values(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else " | ".join(value)


def path_of(finding: AuditFinding) -> tuple[Station, ...]:
    """Return the steps of a sequence: each call, and the tag that links two calls.

    The last call is always the one to prevent, whatever its decision.
    """
    stations: list[Station] = []
    for first, second in pairwise(finding.witness):
        if first.outcome == "allowed":
            stations.append(Station(first.action, first.says, f"{NOTED} allowed", "info"))
        else:
            stations.append(Station(first.action, first.says, f"{PASSED} refused", "good"))
        if tag := _linking_tag(first, second):
            text = "the tag that the condition requires"
            stations.append(Station(tag, text, f"{NOTED} matches", "info"))
    last = finding.witness[-1]
    word = "allowed" if last.outcome == "allowed" else "refused"
    return (*stations, Station(last.action, last.says, f"{FAILED} {word}", "error"))


def _linking_tag(first: Ask, second: Ask) -> str:
    """Return the tag, as `key=value`, that *first* sets and *second* requires, or ""."""
    required = {
        key.lower().partition("/")[2]: value
        for key, value in second.context.items()
        if key.lower().startswith(_HAS_TAG)
    }
    for key, value in sorted(first.context.items()):
        name = key[len(_SETS_TAG) :]
        if key.lower().startswith(_SETS_TAG) and required.get(name.lower()) == value:
            return f"{name}={value}"
    return ""


_STANDINGS: Final = (
    Place(FAILED, "yes", "wrong", "every request is allowed"),
    Place(WARNED, "depends", "partly", "some requests are allowed, under the listed conditions"),
    Place(WARNED, "by steps", "partly", "through other principals, or after changing itself"),
    Place(UNKNOWN, "undecided", "unknown-cell", "it could not be read or decided"),
    Place("", "no", "none", "no request is allowed, and no path leads to one"),
)
"""The words of the matrix of other principals."""

_TITLES: Final = {
    "offline": "Permissions{} (computed)",
    "live": "Permissions{} (checked in AWS)",
    "others": "What others may do{}",
}


def grids_of(matrices: Iterable[Matrix]) -> Iterator[Grid]:
    """Yield one grid for equal matrices; every grid after the first shows only unexpected cells."""
    groups = _alike((matrix, matrix.account, repr(matrix)) for matrix in matrices)
    for number, group in enumerate(groups):
        matrix = group[0]
        accounts = tuple(each.account for each in group if each.account)
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        title = _TITLES[matrix.how].format(f" in {where}" if where else "")
        met = all(cell.met for cell in matrix.cells)
        others = matrix.how == "others"
        yield Grid(
            f"{title}: {_as_expected(matrix)}",
            PASSED if met else FAILED,
            matrix.situations,
            () if met and number else tuple(_rows(matrix)),
            accounts,
            of="principal" if others else "permission",
            absent="no" if others else "",
            legend=_STANDINGS if others else (),
        )


def _as_expected(matrix: Matrix) -> str:
    """Say how many cells are as expected; with many accounts, only unexpected ones are kept."""
    states = Counter(cell.met for cell in matrix.cells)
    if states[True] or not matrix.cells:
        return f"{states[True]} of {len(matrix.cells)} as expected"
    counts = {"not as expected": states[False], "not checked": states[None]}
    return listed(f"{number} {state}" for state, number in counts.items() if number)


def _rows(matrix: Matrix) -> Iterator[tuple[str, tuple[Place | None, ...]]]:
    cells = {(cell.permission, cell.situation): _place(cell) for cell in matrix.cells}
    for name in matrix.permissions:
        yield name, tuple(cells.get((name, situation)) for situation in matrix.situations)


def _place(cell: MatrixCell) -> Place:
    """Return one cell of the grid: the answer and, if it is wrong, the expected one."""
    requests = tuple(map(request_of, cell.asks))
    if cell.standing is not None:
        return _standing_place(cell, requests)
    if cell.met is None or cell.answer == "unknown":
        detail = f"Must be {cell.expected}; it could not be checked."
        return Place(UNKNOWN, "not checked", "unknown-cell", detail, requests)
    if cell.met:
        return Place(PASSED, cell.answer, cell.answer, "", requests)
    detail = f"Must be {cell.expected}, but is {cell.answer}."
    return Place(FAILED, cell.answer.upper(), "wrong", detail, requests)


def _standing_place(cell: MatrixCell, requests: tuple[Request, ...]) -> Place:
    """Return the cell of another principal; not marked if the site file expects it."""
    (known,) = (standing for standing in _STANDINGS if standing.word == cell.standing)
    detail = f"{known.detail.capitalize()}."
    if cell.met:
        return Place(PASSED, known.word, "allowed", f"The site file expects it. {detail}", requests)
    return known._replace(detail=detail, requests=requests)
