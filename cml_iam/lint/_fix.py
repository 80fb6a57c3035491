"""Write corrections that are proved safe, and explain why others are not written.

A correction must allow nothing new, take nothing from grants that the finding is not about, and
leave no statement that matches nothing. This is proved for every request. Each correction is tried
alone and linted again, and dropped if it causes a new finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DocumentError
from cml_iam.lint._finding import apply_edits, recognized_kind
from cml_iam.lint._lint import is_complete, lint_text
from cml_iam.lint._subject import as_attached
from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, Shape, never, within

if TYPE_CHECKING:
    from cml_iam.lint._finding import Claim, Finding, Kind
    from cml_iam.policy import PolicyDocument, Statement
    from cml_iam.prove import Verdict


GUESS: Final = "this is the nearest spelling, which may not be the intended one"


def _objections(
    before: PolicyDocument | None, after: PolicyDocument | None, kind: Kind, claim: Claim
) -> Iterator[str]:
    """Yield why *after* must not replace *before*; nothing if the correction is proved safe.

    Either document is None if IAM refuses to store the text: it allows nothing, so nothing can be
    lost. *claim* is what the correction claims to be.
    """
    if claim == "guess":
        yield GUESS
    elif before and after is None:
        yield "IAM would refuse to store the corrected document"
    elif before and after:
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
        yield f"it is not proved that it changes nothing else: {verdict.reason}"


def _voided(before: PolicyDocument, after: PolicyDocument, index: int) -> Iterator[str]:
    """Yield an objection for each action that statement number *index* no longer matches."""
    statement = after.statements[index]
    for element in statement.action or (None,):
        if _matches(after, statement, element):
            continue
        old = before.statements[index] if index < len(before.statements) else None
        if old is None or _matches(before, old, element):
            scope = f" for {element}" if element else ""
            yield f"the statement `{statement.label}` would no longer match anything{scope}"


def _matches(document: PolicyDocument, statement: Statement, element: str | None) -> bool:
    """Return whether *statement* provably matches a request for its action *element*."""
    alone = replace(as_attached(statement), effect="Allow")
    if element is not None:
        alone = replace(alone, action=(element,))
    policies = Policies((replace(document, statements=(alone,)),))
    return never(policies, Shape()).answer == "broken"


def _changed(before: PolicyDocument, after: PolicyDocument) -> frozenset[int]:
    """Return the numbers of the statements of *after* that are not in *before*."""
    reads_variables = before.version != after.version
    return frozenset(
        number
        for number, statement in enumerate(after.statements)
        if before.statements[number : number + 1] != (statement,)
        or (reads_variables and "${" in repr(statement))
    )


def _without_allows(document: PolicyDocument, indexes: frozenset[int]) -> PolicyDocument:
    kept = (
        statement
        for number, statement in enumerate(document.statements)
        if statement.effect == "Deny" or number not in indexes
    )
    return replace(document, statements=tuple(kept))


def _policies(document: PolicyDocument, kind: Kind) -> Policies:
    if kind in {"resource", "trust"}:
        return Policies(resource=document)
    return Policies((replace(document, statements=tuple(map(as_attached, document.statements))),))


NO_BETTER: Final = "the corrected document would have other findings"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A *finding* whose correction was not written, and why not."""

    finding: Finding
    why: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The fixed *text*, the findings *applied* in order, and all that are *left*.

    *suggested* are those of *left* whose correction is not proved safe.
    """

    text: str
    applied: tuple[Finding, ...]
    left: tuple[Finding, ...]
    suggested: tuple[Suggestion, ...] = ()


def fix_text(text: str, name: str = "<policy>", *, kind: Kind | None = None) -> Fixed:
    """Apply every correction of the policy *text* that is proved safe; never raises.

    No remaining finding is new, unless the text broke the grammar: most rules could not judge it
    then, and may report something once it is fixed.
    """
    applied: list[Finding] = []
    suggested: list[Suggestion] = []
    findings = lint_text(text, name, kind=kind)
    pending = list(findings)
    while pending:
        finding = pending.pop(0)
        if finding.correction is None:
            continue
        changed = apply_edits(text, finding.correction.edits)
        before = _parsed(text)
        own = kind or recognized_kind(before.located.value if before and before.located else {})
        claim = finding.correction.claim
        why = next(_objections(before, _parsed(changed), own, claim), None)
        after = findings if why else lint_text(changed, name, kind=kind)
        completes = not is_complete(findings, name) and is_complete(after, name)
        if why or not (completes or _counted(after) < _counted(findings)):
            suggested.append(Suggestion(finding, why or NO_BETTER))
            continue
        text, findings = changed, after
        applied.append(finding)
        pending, suggested = list(findings), []
    return Fixed(text, tuple(applied), findings, tuple(suggested))


def _parsed(text: str) -> PolicyDocument | None:
    try:
        return parse_policy(text)
    except DocumentError:
        return None


def _counted(findings: Sequence[Finding]) -> Counter[tuple[str, str | None]]:
    return Counter((finding.rule, finding.statement) for finding in findings)
