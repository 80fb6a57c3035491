"""What came out alike in several accounts, to be told once.

In an organization the same documents lie everywhere, and the same fault is found in each account;
two hundred pictures of one matrix tell nobody more than one and the accounts it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from cml_iam.audit.write._codec import date_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from cml_iam.audit._report import AuditFinding, Matrix, Report


class _Placed(Protocol):
    @property
    def account(self) -> str | None: ...


_T = TypeVar("_T")


def findings_alike(
    findings: Iterable[AuditFinding], new: Collection[str]
) -> list[list[AuditFinding]]:
    """Return *findings* in groups that differ in the account alone; new and known ones apart."""
    return _grouped(
        findings,
        lambda each: each.spot.account,
        lambda each: f"{each.fingerprint in new} {replace(each, fingerprint='')!r}",
    )


def matrices_alike(matrices: Iterable[Matrix]) -> list[list[Matrix]]:
    """Return *matrices* in groups that differ in the account alone."""
    return _grouped(matrices, lambda each: each.account, repr)


def in_accounts(group: Iterable[_Placed]) -> list[str]:
    """Return the accounts of what came out alike."""
    return [each.account for each in group if each.account]


def unused_rows(report: Report) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Yield a row for each permission: its name, the account or how many, last use, methods."""
    rows = defaultdict(list)
    for each in report.unused:
        rows[each.permission, each.methods].append(each)
    for (permission, methods), group in rows.items():
        accounts = in_accounts(group)
        where = f"{len(accounts)} accounts" if accounts[1:] else "".join(accounts)
        uses = [each.last_used for each in group if each.last_used]
        said = [date_text(max(uses))] if uses else []
        if uses[1:]:
            said = [f"{said[0]} (the latest)"]
        if len(uses) < len(group):
            lost = f" in {len(group) - len(uses)} of them" if uses else ""
            said.append(f"no use known{lost}")
        yield permission, where, "; ".join(said), methods


def _grouped(
    things: Iterable[_T], account_of: Callable[[_T], str | None], said: Callable[[_T], str]
) -> list[list[_T]]:
    groups: dict[str, list[_T]] = {}
    for each in things:
        account = account_of(each)
        # Without an account nothing is taken out, and only what is the same twice is alike.
        key = said(each).replace(account, "*") if account else said(each)
        groups.setdefault(key, []).append(each)
    return list(groups.values())
