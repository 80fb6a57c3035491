"""Write corrections that are proved to be safe, and say of the others why they are not written.

Each correction is tried by itself and judged again: one after which something is found that was
not found before is given up too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.errors import DocumentError
from cml_iam.lint._edits import apply_edits
from cml_iam.lint._kind import recognized_kind
from cml_iam.lint._lint import is_complete, lint_text
from cml_iam.lint._safe import objection
from cml_iam.policy import PolicyDocument, parse_policy

if TYPE_CHECKING:
    from cml_iam.lint._edits import Correction
    from cml_iam.lint._finding import Finding, Kind

NO_BETTER: Final = "the corrected document would have other findings"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A *finding* whose correction was not written, and why not."""

    finding: Finding
    why: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """The fixed *text*, what was *applied*, in this order, and the findings *left* in it.

    *suggested* are those of *left* that have a correction which was not proved to be safe.
    """

    text: str
    applied: tuple[Finding, ...]
    left: tuple[Finding, ...]
    suggested: tuple[Suggestion, ...] = ()


def fix_text(text: str, name: str = "<policy>", *, kind: Kind | None = None) -> Fixed:
    """Apply every correction of the policy *text* that is proved safe; never raises for any text.

    What is left is a part of what was found before; only where the text broke the grammar, so
    that most rules could not judge it, they may find something once it is fixed.
    """
    applied: list[Finding] = []
    suggested: list[Suggestion] = []
    findings = lint_text(text, name, kind=kind)
    pending = _correctable(findings)
    while pending:
        finding, correction = pending.pop(0)
        changed = apply_edits(text, correction.edits)
        before = _parsed(text)
        why = objection(before, _parsed(changed), kind or _kind_of(before), correction.claim)
        after = findings if why else lint_text(changed, name, kind=kind)
        if why or not _is_better(findings, after, name):
            suggested.append(Suggestion(finding, why or NO_BETTER))
            continue
        text, findings = changed, after
        applied.append(finding)
        pending, suggested = _correctable(findings), []
    return Fixed(text, tuple(applied), findings, tuple(suggested))


def _kind_of(document: PolicyDocument | None) -> Kind:
    return recognized_kind(document.located.value if document and document.located else {})


def _correctable(findings: Sequence[Finding]) -> list[tuple[Finding, Correction]]:
    return [(each, each.correction) for each in findings if each.correction is not None]


def _parsed(text: str) -> PolicyDocument | None:
    try:
        return parse_policy(text)
    except DocumentError:
        return None


def _is_better(before: Sequence[Finding], after: Sequence[Finding], name: str) -> bool:
    old, new = _counted(before), _counted(after)
    if not is_complete(before, name) and is_complete(after, name):
        return True
    return new < old


def _counted(findings: Sequence[Finding]) -> Counter[tuple[str, str | None]]:
    return Counter((each.rule, each.statement) for each in findings)
