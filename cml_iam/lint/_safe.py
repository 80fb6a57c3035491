"""Whether a correction is safe to write: it is proved for every request, or it is not written.

A fix that breaks a policy is noticed when a worker cannot be launched, or never. So a correction
may open nothing, may take nothing from grants that the finding is not about, and may leave no
statement that matches nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cml_iam.lint._subject import as_attached
from cml_iam.prove import Policies, Shape, never, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._edits import Claim
    from cml_iam.lint._finding import Kind
    from cml_iam.policy import PolicyDocument, Statement
    from cml_iam.prove import Verdict

GUESS: Final = "this is the nearest spelling, which may not be what was meant"


def objection(
    before: PolicyDocument | None, after: PolicyDocument | None, kind: Kind, claim: Claim
) -> str | None:
    """Return why *after* may not replace *before*; None if it is proved that it may.

    Each is None for a text that IAM refuses to store: before a correction it allows nothing, so
    that nothing can be lost. *claim* is what the correction claims to be.
    """
    if claim == "guess":
        return GUESS
    if before is None:
        return None
    if after is None:
        return "IAM would refuse to store the corrected document"
    return next(_objections(before, after, kind, claim), None)


def _objections(
    before: PolicyDocument, after: PolicyDocument, kind: Kind, claim: Claim
) -> Iterator[str]:
    changed = _changed(before, after)
    granting = _without_allows(after, changed) if claim == "grant" else after
    wider = within(_policies(granting, kind), _policies(before, kind))
    yield from _unless_holds(wider, "it would allow {}, which is not allowed now")
    kept = before if claim == "same" else _without_allows(before, changed)
    narrower = within(_policies(kept, kind), _policies(after, kind))
    yield from _unless_holds(narrower, "it would no longer allow {}")
    for index in sorted(changed):
        yield from _voided(before, after, index)


def _unless_holds(verdict: Verdict, says: str) -> Iterator[str]:
    witness = verdict.witness
    if witness is not None:
        yield says.format(f"{witness.request.action} on {witness.request.resource}")
    elif not verdict.holds or verdict.colon is not None:
        yield f"it could not be proved that it changes nothing else: {verdict.reason}"


def _voided(before: PolicyDocument, after: PolicyDocument, index: int) -> Iterator[str]:
    """Yield what the statement number *index* matched before and matches no longer."""
    statement = after.statements[index]
    for element in statement.action or (None,):
        if _matches(after, statement, element):
            continue
        old = before.statements[index] if index < len(before.statements) else None
        if old is None or _matches(before, old, element):
            what = f" for {element}" if element else ""
            yield f"the statement `{statement.label}` could never match{what} any more"


def _matches(document: PolicyDocument, statement: Statement, element: str | None) -> bool:
    """Say whether a request is proved to match *statement*, for the action *element* of it."""
    alone = replace(as_attached(statement), effect="Allow")
    if element is not None:
        alone = replace(alone, action=(element,))
    policies = Policies((replace(document, statements=(alone,)),))
    return never(policies, Shape()).answer == "broken"


def _changed(before: PolicyDocument, after: PolicyDocument) -> frozenset[int]:
    """Return the numbers of the statements of *after* that *before* does not have as they are."""
    reads_variables = before.version != after.version
    return frozenset(
        number
        for number, each in enumerate(after.statements)
        if before.statements[number : number + 1] != (each,)
        or (reads_variables and "${" in repr(each))
    )


def _without_allows(document: PolicyDocument, indexes: frozenset[int]) -> PolicyDocument:
    kept = (
        each
        for number, each in enumerate(document.statements)
        if each.effect == "Deny" or number not in indexes
    )
    return replace(document, statements=tuple(kept))


def _policies(document: PolicyDocument, kind: Kind) -> Policies:
    """Return *document* as one side of a question."""
    if kind in {"resource", "trust"}:
        return Policies(resource=document)
    return Policies((replace(document, statements=tuple(map(as_attached, document.statements))),))
