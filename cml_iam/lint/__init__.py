"""Judge policies: find what AWS refuses, what has no effect, and what allows more than intended.

    for finding in lint_text(text, "policy.json"):
        print(finding.place, finding.severity.word, finding.rule, finding.message)

Each rule is a small function in one of these files and a row of `rules.json`. A new rule needs a
function, a row (which `policy rules ID` prints), two documents in `examples`, and their findings in
`tests/lint/cases`.

The rules are imported on first use, so that code which only handles findings does not load them.
"""

from typing import TYPE_CHECKING, Final

from cml_iam.later import later
from cml_iam.lint._finding import (
    JUDGED_AS,
    KINDS,
    Finding,
    Kind,
    Severity,
    Step,
    recognized_kind,
)

if TYPE_CHECKING:
    from cml_iam.lint._escalation import Escalation, Wanted, escalations
    from cml_iam.lint._fix import Fixed, Suggestion, fix_text
    from cml_iam.lint._lint import is_complete, lint_policies, lint_subjects, lint_text, lint_texts
    from cml_iam.lint._rules import Example, Explained, Rule, explain_rule, lint_rules

_LATER: Final = {
    "Escalation": "_escalation",
    "Wanted": "_escalation",
    "escalations": "_escalation",
    "Example": "_rules",
    "Explained": "_rules",
    "explain_rule": "_rules",
    "Fixed": "_fix",
    "Suggestion": "_fix",
    "fix_text": "_fix",
    "lint_subjects": "_lint",
    "is_complete": "_lint",
    "lint_policies": "_lint",
    "lint_text": "_lint",
    "lint_texts": "_lint",
    "lint_rules": "_rules",
    "Rule": "_rules",
}

__all__ = [
    "JUDGED_AS",
    "KINDS",
    "Escalation",
    "Example",
    "Explained",
    "Finding",
    "Fixed",
    "Kind",
    "Rule",
    "Severity",
    "Step",
    "Suggestion",
    "Wanted",
    "escalations",
    "explain_rule",
    "fix_text",
    "is_complete",
    "lint_policies",
    "lint_rules",
    "lint_subjects",
    "lint_text",
    "lint_texts",
    "recognized_kind",
]

__getattr__ = later(__name__, _LATER)
