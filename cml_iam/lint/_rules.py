"""The rules: each a row of `rules.json`, which names its function.

An id never changes its meaning and is never given to another rule. Its first digit is the kind of
fault: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs, 5 escalation and
strangers, 6 advice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cml_iam.lint._finding import KINDS, Finding, Found, Kind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cml_iam.lint._subject import Subject


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; *check* names the function that yields its findings, such as `_values.ids`.

    The function gets *each* part of the subject, and is imported when there is one. *check* is
    empty for rules about the text itself, or for what other rules do not report. A rule that
    *compares* relates each statement to the others, or needs a proof about it; it is not applied to
    more than `COMPARED` statements. It applies to documents of its *kinds*.

    Rules with the same *cause* report the same problem in different words: that one statement
    allows too much (`statement`), or that one condition does not do what it seems to (`place`).
    """

    id: str
    name: str
    severity: Severity
    title: str
    page: str
    description: str
    check: str = ""
    each: Literal["subject", "statement", "condition", "principal"] = "subject"
    compares: bool = False
    kinds: tuple[Kind, ...] = KINDS
    cause: Literal["statement", "place"] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what the rule is about as JSON values."""
        return {
            "id": self.id,
            "name": self.name,
            "severity": self.severity.word,
            "title": self.title,
            "page": self.page,
        }

    @property
    def label(self) -> str:
        """The id and the name together, as in the folder names of the test cases."""
        return f"{self.id}-{self.name}"

    def finding(self, found: Found) -> Finding:
        """Return the finding of the rule's function, completed with the rule's properties."""
        return Finding(
            self.id,
            self.name,
            self.severity,
            found.message,
            found.place,
            self.page,
            found.remedy,
            found.statement,
            found.witness,
            found.correction,
        )

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """Yield what the rule finds in *subject*."""
        parts: Mapping[str, Iterable[Any]] = {
            "subject": (subject,),
            "statement": subject.items,
            "condition": subject.asked,
            "principal": subject.principals,
        }
        for part in parts[self.each]:
            yield from map(self.finding, _function(self.check)(part))


@cache
def _function(name: str) -> Any:
    module, _, function = name.partition(".")
    return getattr(import_module(f"cml_iam.lint.{module}"), function)


@cache
def lint_rules() -> tuple[Rule, ...]:
    """Return the rules of `rules.json`, in its order."""
    rows = json.loads((Path(__file__).parent / "rules.json").read_text("utf-8"))
    for row in rows.values():
        row["severity"] = Severity[row["severity"].upper()]
        row["kinds"] = tuple(row.get("kinds", KINDS))
    return tuple(Rule(name, **row) for name, row in rows.items())


def rule_named(name: str) -> Rule:
    """Return the rule with the id *name*, which must exist."""
    return next(rule for rule in lint_rules() if rule.id == name)
