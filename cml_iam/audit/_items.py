"""Findings as items and matrices as grids: those that differ only in the account are one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cml_iam.audit import Ask, AuditFinding, Matrix
    from cml_iam.audit import Cell as MatrixCell
    from cml_iam.report import Level

SYMBOL: Final = {Severity.ERROR: FAILED, Severity.WARNING: WARNED, Severity.INFO: NOTED}

_SET: Final = "aws:requesttag/"
_HAS: Final = ("ec2:resourcetag/", "aws:resourcetag/")
_T = TypeVar("_T")


def items_of(findings: Iterable[AuditFinding], new: Collection[str]) -> tuple[Item, ...]:
    """Group *findings* into items; fingerprints in *new* are marked and grouped separately."""
    return tuple(item_of(group, new) for group in findings_alike(findings, new))


def item_of(group: Sequence[AuditFinding], new: Collection[str] = ()) -> Item:
    """Return *group*, findings that differ only in the account, as one item."""
    finding = group[0]
    level: Level = "waived" if finding.waiver else finding.severity.word  # type: ignore[assignment] # the severities are levels
    item = Item(
        symbol=WAIVED if finding.waiver else SYMBOL[finding.severity],
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
        findings,
        lambda finding: finding.spot.account,
        lambda finding: f"{finding.fingerprint in new} {replace(finding, fingerprint='')!r}",
    )


def request_of(ask: Ask) -> Request:
    """Return *ask* as shown in the report."""
    context = tuple(f"{key} = {words.values(ask.context[key])}" for key in sorted(ask.context))
    return Request(ask.says, ask.action, ask.resource, words.decided(ask), context)


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
        if tag := _tag(first, second):
            text = "the tag that the condition requires"
            stations.append(Station(tag, text, f"{NOTED} matches", "info"))
    last = finding.witness[-1]
    word = "allowed" if last.outcome == "allowed" else "refused"
    return (*stations, Station(last.action, last.says, f"{FAILED} {word}", "error"))


def _alike(
    things: Iterable[_T], account_of: Callable[[_T], str | None], said: Callable[[_T], str]
) -> list[list[_T]]:
    groups: dict[str, list[_T]] = {}
    for thing in things:
        account = account_of(thing)
        # Without an account nothing is taken out, and only what is the same twice is alike.
        key = said(thing).replace(account, "*") if account else said(thing)
        groups.setdefault(key, []).append(thing)
    return list(groups.values())


def _tag(first: Ask, second: Ask) -> str:
    """Return the tag, as `key=value`, that *first* sets and *second* requires, or ""."""
    asked = dict(_resource_tags(second))
    for key in sorted(first.context):
        name = key[len(_SET) :]
        if key.lower().startswith(_SET) and asked.get(name.lower()) == first.context[key]:
            return f"{name}={first.context[key]}"
    return ""


def _resource_tags(ask: Ask) -> Iterator[tuple[str, Any]]:
    for key, value in ask.context.items():
        for has in _HAS:
            if key.lower().startswith(has):
                yield key.lower()[len(has) :], value


_STANDINGS: Final = (
    Place(FAILED, "yes", "wrong", "every request is allowed"),
    Place(WARNED, "depends", "partly", "some requests are allowed, under the listed conditions"),
    Place(WARNED, "by steps", "partly", "through other principals, or after changing itself"),
    Place(UNKNOWN, "undecided", "unknown-cell", "it could not be read or decided"),
    Place("", "no", "none", "no request is allowed, and no path leads to one"),
)
"""The words of the matrix of other principals."""


def grids_of(matrices: Iterable[Matrix]) -> Iterator[Grid]:
    """Yield one grid for equal matrices; every grid after the first shows only unexpected cells."""
    for number, alike in enumerate(_alike(matrices, lambda matrix: matrix.account, repr)):
        matrix = alike[0]
        accounts = tuple(each.account for each in alike if each.account)
        met = sum(cell.met is True for cell in matrix.cells) == len(matrix.cells)
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        inside = f" in {where}" if where else ""
        title = {
            "offline": f"Permissions{inside} (computed)",
            "live": f"Permissions{inside} (checked in AWS)",
            "others": f"What others may do{inside}",
        }[matrix.how]
        cells = {(each.permission, each.situation): each for each in matrix.cells}
        others = matrix.how == "others"
        yield Grid(
            f"{title}: {words.as_expected(matrix)}",
            PASSED if met else FAILED,
            matrix.situations,
            ()
            if met and number
            else tuple(
                (
                    name,
                    tuple(_place(cells.get((name, situation))) for situation in matrix.situations),
                )
                for name in matrix.permissions
            ),
            accounts,
            of="principal" if others else "permission",
            absent="no" if others else "",
            legend=_STANDINGS if others else (),
        )


def _place(cell: MatrixCell | None) -> Place | None:
    """Return one cell of the grid: the answer and, if it is wrong, the expected one."""
    if cell is None:
        return None
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
    if cell.met:
        detail = f"The site file expects it. {known.detail.capitalize()}."
        return Place(PASSED, known.word, "allowed", detail, requests)
    return known._replace(detail=f"{known.detail.capitalize()}.", requests=requests)
