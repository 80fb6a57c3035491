"""Mend what has one certain correction, and nothing else.

Each correction is tried by itself and judged again: one after which something is found that was
not found before is given up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cml_iam.lint._edits import apply_edits
from cml_iam.lint._lint import is_complete, lint_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.lint._finding import Finding, Kind


@dataclass(frozen=True, slots=True)
class Fixed:
    """The mended *text*, what was *applied*, in this order, and the findings *left* in it."""

    text: str
    applied: tuple[Finding, ...]
    left: tuple[Finding, ...]


def fix_text(text: str, name: str = "<policy>", *, kind: Kind = "identity") -> Fixed:
    """Apply every certain correction to the policy *text*; never raises for whatever text.

    What is left is a part of what was found before; only where the text broke the grammar, so
    that most rules could not judge it, they may find something once it is mended.
    """
    findings = lint_text(text, name, kind=kind)
    applied: list[Finding] = []
    given_up: set[object] = set()
    while True:
        found = _next(text, name, kind, findings, given_up)
        if found is None:
            return Fixed(text, tuple(applied), findings)
        finding, text, findings = found
        applied.append(finding)


def _next(
    text: str, name: str, kind: Kind, findings: tuple[Finding, ...], given_up: set[object]
) -> tuple[Finding, str, tuple[Finding, ...]] | None:
    """Return the first finding whose correction helps, the text after it, and what is left."""
    for finding in findings:
        key = (finding.rule, finding.statement, finding.message)
        if finding.correction is None or key in given_up:
            continue
        changed = apply_edits(text, finding.correction.edits)
        after = lint_text(changed, name, kind=kind)
        if _is_better(findings, after, name):
            return finding, changed, after
        given_up.add(key)
    return None


def _is_better(before: Sequence[Finding], after: Sequence[Finding], name: str) -> bool:
    old, new = _counted(before), _counted(after)
    if not is_complete(before, name) and is_complete(after, name):
        return True
    return new < old


def _counted(findings: Sequence[Finding]) -> Counter[tuple[str, str | None]]:
    return Counter((each.rule, each.statement) for each in findings)
