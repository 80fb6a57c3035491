"""The rules: each a row of `rules.json`, which names its function, and their explanations.

An id never changes its meaning and is never given to another rule. Its first digit is the kind of
fault: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs, 5 escalation and
strangers, 6 advice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from cml_iam.errors import InputError
from cml_iam.files import shipped_templates, shipped_text
from cml_iam.lint._finding import KINDS, Fault, Finding, Kind, Severity
from cml_iam.policy import did_you_mean

if TYPE_CHECKING:
    from cml_iam.lint._subject import Subject


FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; *check* names the function that yields its findings, such as `_values.ids`.

    The function is called for each *part* of the subject, and is imported when there is one.
    *check* is empty for rules about the text itself, or for what other rules do not report. A rule
    that *compares* relates each statement to the others, or needs a proof about it; it is not
    applied to more than `COMPARED` statements. It applies to documents of its *kinds*.

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
    part: Literal["subject", "statement", "condition", "principal"] = "subject"
    compares: bool = False
    kinds: tuple[Kind, ...] = KINDS
    cause: Literal["statement", "place"] | None = None

    def as_json(self) -> dict[str, Any]:
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

    def finding(self, fault: Fault) -> Finding:
        """Return the finding of the rule's function, completed with the rule's properties."""
        return Finding(
            rule=self.id,
            name=self.name,
            severity=self.severity,
            page=self.page,
            **fault._asdict(),
        )

    def findings(self, subject: Subject) -> Iterator[Finding]:
        if parts := subject.parts[self.part]:
            module, _, function = self.check.partition(".")
            check = getattr(import_module(f"cml_iam.lint.{module}"), function)
            yield from (self.finding(fault) for part in parts for fault in check(part))


@cache
def lint_rules() -> tuple[Rule, ...]:
    """Return the rules of `rules.json`, in its order."""
    rows = json.loads((FOLDER / "rules.json").read_text("utf-8"))
    for row in rows.values():
        row["severity"] = Severity[row["severity"].upper()]
        row["kinds"] = tuple(row.get("kinds", KINDS))
    return tuple(Rule(name, **row) for name, row in rows.items())


def rule_named(name: str) -> Rule:
    return next(rule for rule in lint_rules() if rule.id == name)


class Example(NamedTuple):
    """A policy document as text, and the kind of policy it is."""

    text: str
    kind: Kind


class AwsCheck(NamedTuple):
    """A check of AWS's validator: its name, AWS's type of finding, and the corresponding rule."""

    name: str
    type: str
    rule: str


@dataclass(frozen=True, slots=True)
class Explained:
    """A rule, an example that lint reports, one that it does not, and AWS's related checks."""

    rule: Rule
    failing: Example
    passing: Example
    aws_checks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values; examples are text, since one is not valid JSON."""
        return {
            **self.rule.as_json(),
            "aws_checks": list(self.aws_checks),
            "description": self.rule.description,
            "failing": {"kind": self.failing.kind, "text": self.failing.text},
            "passing": {"kind": self.passing.kind, "text": self.passing.text},
        }


def explain_rule(name: str) -> Explained:
    """Return the rule with the id or name *name*, ignoring case; raises InputError if unknown."""
    rules = lint_rules()
    by_name = {key.lower(): rule for rule in rules for key in (rule.id, rule.name, rule.label)}
    rule = by_name.get(name.lower())
    if rule is None:
        names = [key for rule in rules for key in (rule.id, rule.name)]
        remedy = did_you_mean(name, names) or "`cml-iam policy rules` lists them"
        raise InputError(f"there is no rule `{name}`", remedy=remedy)
    checks = tuple(check.name for check in aws_checks() if check.rule == rule.id)
    return Explained(rule, _example(f"{rule.id}-bad"), _example(f"{rule.id}-good"), checks)


def _example(name: str) -> Example:
    (path,) = (FOLDER / "examples").glob(f"{name}.*json")
    kinds = (kind for kind in KINDS if path.name == f"{name}.{kind}.json")
    return Example(path.read_text("utf-8"), next(kinds, "identity"))


AWS_SEVERITIES: Final = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "security": Severity.WARNING,
    "suggestion": Severity.INFO,
}
"""Our severity of each of AWS's types of findings."""


@cache
def _published() -> dict[str, Any]:
    import tomllib  # only explanations need it

    return tomllib.loads(shipped_text("policies", "aws-checks.toml"))


def aws_checks() -> tuple[AwsCheck, ...]:
    """Return the checks of AWS's validator, in the order of AWS's page."""
    return tuple(
        AwsCheck(name, kind, rule)
        for kind in AWS_SEVERITIES
        for name, rule in _published()[kind].items()
    )


def severity_differs(rule: Rule) -> bool:
    """Return whether AWS gives a corresponding check of *rule* a different severity."""
    return any(
        check.rule == rule.id and AWS_SEVERITIES[check.type] != rule.severity
        for check in aws_checks()
    )


def rules_page() -> str:
    """Return `docs/rules.md`: every rule, its severity and the AWS page behind it."""
    differing = []
    for rule in filter(severity_differs, lint_rules()):
        types = sorted({check.type for check in aws_checks() if check.rule == rule.id})
        differing.append((rule, ", ".join(types), _published()["differs"][rule.id]))
    page = shipped_templates("templates", str).get_template("rules.md.j2")
    return page.render(
        rules=lint_rules(), checks=aws_checks(), differing=differing, published=_published()
    )
