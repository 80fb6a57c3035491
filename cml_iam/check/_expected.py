"""The expectations of a site as a matrix, and the failures that are findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from cml_iam.audit import Ask, AuditFinding, Cell, CellAnswer, Matrix, Spot
from cml_iam.check.answer import ask_of
from cml_iam.check.checks import Check
from cml_iam.check.verify import Verification, verify_offline
from cml_iam.engine import Request, compile_policies
from cml_iam.expectations import SITUATIONS, Judgement, derive_expectations
from cml_iam.policy import PolicyDocument
from cml_iam.report import plural
from cml_iam.site import Site

MOST_WITNESSES: Final = 5
"""The maximum number of requests shown for a finding; the message counts the others."""


Asker = Callable[[Judgement], tuple[Ask, ...]]
"""Returns the requests of a judgement."""


def matrix_of(done: Verification, asker: Asker, account: str | None = None) -> Matrix:
    """Return the judgements of *done* as a matrix."""
    cells = done.cells
    situations = {situation for _, situation in cells}
    return Matrix(
        how=done.how,
        permissions=tuple(dict.fromkeys(row for row, _ in cells)),
        situations=tuple(situation for situation in SITUATIONS if situation in situations),
        cells=tuple(_cell(place, group, asker) for place, group in cells.items()),
        account=account,
    )


def decided_here(
    site: Site, documents: Sequence[PolicyDocument], boundary: PolicyDocument | None = None
) -> tuple[Verification, Asker]:
    """Return the site's expectations as our engine judges them, and the *asker* for `matrix_of`."""
    done = verify_offline(derive_expectations(site), documents, boundary)
    authorizer = compile_policies(identity=documents, boundary=boundary)

    def asks(judgement: Judgement) -> tuple[Ask, ...]:
        says = judgement.expectation.description
        decisions = map(authorizer.decide, telling_requests(judgement))
        return tuple(
            ask_of(decision.request, decision.outcome, authorizer.deciding(decision), says=says)
            for decision in decisions
        )

    return done, asks


def asks_live(judgement: Judgement) -> tuple[Ask, ...]:
    """Return the requests of a judgement by AWS's simulator."""
    outcome, says = judgement.answer or "unknown", judgement.expectation.description
    return tuple(
        ask_of(request, outcome, judgement.statements, says=says)
        for request in telling_requests(judgement)
    )


def telling_requests(judgement: Judgement) -> tuple[Request, ...]:
    """Return the requests that decide the call: the first refused one or, if it is allowed, all.

    If an allowed call should be refused, return the first request that should be.
    """
    expectation = judgement.expectation
    if judgement.refused:
        return judgement.refused[:1]
    if expectation.expected == "refused" and expectation.decisive:
        return tuple(expectation.requests[index] for index in expectation.decisive)[:1]
    return expectation.requests


def expectation_findings(
    check: Check, failed: Sequence[Judgement], asker: Asker, spot: Spot
) -> tuple[AuditFinding, ...]:
    """Return findings for the failures that nothing else explains.

    One finding covers all refused calls; each set of statements that allow too much has its own
    finding.
    """
    refused = [judgement for judgement in failed if judgement.answer == "refused"]
    allowed: dict[tuple[str, ...], list[Judgement]] = defaultdict(list)
    for judgement in failed:
        if judgement.answer == "allowed":
            allowed[judgement.statements].append(judgement)
    findings = []
    if refused:
        hints = tuple(dict.fromkeys(judgement.hint for judgement in refused if judgement.hint))
        why = f": {hints[0]}" if hints else ""
        message = f"{_calls(refused, 'allowed')}{why}"
        findings.append(check.finding("CML701", message, spot, witness=_witness(refused, asker)))
    for statements, group in allowed.items():
        by = f" by {', '.join(statements)}" if statements else ""
        message = f"{_calls(group, 'refused')}{by}"
        witness = _witness(group, asker)
        about = ",".join(statements)
        findings.append(check.finding("CML702", message, spot, about=about, witness=witness))
    return tuple(findings)


def _witness(group: Sequence[Judgement], asker: Asker) -> tuple[Ask, ...]:
    """Return one request for each situation first, then further requests, up to a limit."""
    first = {judgement.expectation.situation: judgement for judgement in reversed(group)}
    firsts = {id(judgement) for judgement in first.values()}
    chosen = sorted(group, key=lambda judgement: id(judgement) not in firsts)
    return tuple(ask for judgement in chosen[:MOST_WITNESSES] for ask in asker(judgement)[:1])


def _calls(group: Sequence[Judgement], expected: str) -> str:
    """Return which calls do not get the *expected* answer."""
    permissions = list(dict.fromkeys(judgement.expectation.permission for judgement in group))
    named = ", ".join(f"`{permission}`" for permission in permissions[:4])
    rest = f" and {len(permissions) - 4} more" if permissions[4:] else ""
    verb = "are" if group[1:] else "is"
    calls = f"{plural(len(group), 'call')} ({named}{rest})"
    return f"{calls} that must be {expected} {verb} {group[0].answer}"


def _cell(place: tuple[str, str], judgements: Sequence[Judgement], asker: Asker) -> Cell:
    """Return a cell; the first wrong call decides, otherwise the first unknown one."""
    by_verdict = sorted(judgements, key=lambda judgement: list(_MET).index(judgement.verdict))
    telling = by_verdict[0]
    answer: CellAnswer = telling.answer or "unknown"
    asks = tuple(ask for judgement in by_verdict for ask in asker(judgement)[:1])
    return Cell(*place, telling.expectation.expected, answer, _MET[telling.verdict], asks)


_MET: Final = {"fails": False, "unchecked": None, "holds": True}
