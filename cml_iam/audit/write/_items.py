"""Findings grouped into items: those that differ only in the account are one item."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cml_iam.audit.write import _words as words
from cml_iam.lint import Severity
from cml_iam.report import FAILED, NOTED, PASSED, WAIVED, WARNED, Item, Request, Station

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from cml_iam.audit._report import Ask, AuditFinding, Matrix
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

    In an organization the same documents exist in every account, and so do their faults.
    """
    return _alike(
        findings,
        lambda finding: finding.spot.account,
        lambda finding: f"{finding.fingerprint in new} {replace(finding, fingerprint='')!r}",
    )


def matrices_alike(matrices: Iterable[Matrix]) -> list[list[Matrix]]:
    """Group *matrices* that differ only in the account."""
    return _alike(matrices, lambda matrix: matrix.account, repr)


def request_of(ask: Ask) -> Request:
    """Return *ask* as shown in the report."""
    context = tuple(f"{key} = {words.values(ask.context[key])}" for key in sorted(ask.context))
    return Request(ask.says, ask.action, ask.resource, words.decided(ask), context)


def path_of(finding: AuditFinding) -> tuple[Station, ...]:
    """Return the steps of a witness that is a sequence: each call, and the tag that links two.

    The last call is always an outcome to prevent, whatever its decision is called.
    """
    stations: list[Station] = []
    for first, second in pairwise(finding.witness):
        if first.outcome == "allowed":
            stations.append(Station(first.action, first.says, f"{NOTED} allowed", "info"))
        else:
            stations.append(Station(first.action, first.says, f"{PASSED} refused", "good"))
        if tag := _tag(first, second):
            text = "the tag that the condition asks for"
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
    """Return the tag, as `key=value`, that *first* sets and *second* requires, or an empty text."""
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
