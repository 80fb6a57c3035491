"""A rule explained, offline: what it is about, and a policy that fails it and one that passes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from cml_iam.errors import InputError
from cml_iam.lint._aws_checks import AWS_CHECKS
from cml_iam.lint._finding import Kind
from cml_iam.lint._rules import RULES
from cml_iam.policy import did_you_mean

if TYPE_CHECKING:
    from cml_iam.lint._rules import Rule

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Example:
    """A policy document as text, and what it is for."""

    text: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Explained:
    """A rule with its *description*; lint finds the rule in *failing* and not in *passing*."""

    rule: Rule
    description: str
    failing: Example
    passing: Example

    @property
    def aws_checks(self) -> tuple[str, ...]:
        """The checks of AWS's own validator that are about the same; see `AWS_CHECKS`."""
        return AWS_CHECKS.get(self.rule.id, ())

    def as_json(self) -> dict[str, Any]:
        """Return everything as parsed JSON; the examples as text, one is not even JSON."""
        rule = self.rule
        return {
            "id": rule.id,
            "name": rule.name,
            "severity": rule.severity.word,
            "title": rule.title,
            "page": rule.page,
            "aws_checks": list(self.aws_checks),
            "description": self.description,
            "failing": {"kind": self.failing.kind, "text": self.failing.text},
            "passing": {"kind": self.passing.kind, "text": self.passing.text},
        }


def explain_rule(name: str) -> Explained:
    """Return the rule whose id or name is *name*, in any case; raises InputError."""
    by_name = {key.lower(): rule for rule in RULES for key in (rule.id, rule.name, rule.label)}
    rule = by_name.get(name.lower())
    if rule is None:
        known = [key for each in RULES for key in (each.id, each.name)]
        remedy = did_you_mean(name, known) or "`cml-iam policy rules` lists them"
        raise InputError(f"there is no rule `{name}`", remedy=remedy)
    return Explained(rule, _descriptions()[rule.id], _example(rule, "bad"), _example(rule, "good"))


def _example(rule: Rule, which: str) -> Example:
    folder = FOLDER / "examples"
    for kind in get_args(Kind):
        path = folder / f"{rule.id}-{which}.{kind}.json"
        if path.is_file():
            return Example(path.read_text("utf-8"), kind)
    return Example((folder / f"{rule.id}-{which}.json").read_text("utf-8"), "identity")


@cache
def _descriptions() -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / "explanations.json").read_text("utf-8"))
    return found
