"""Judge policies: what AWS refuses, what has no effect, what lets the caller do more than meant.

    for finding in lint_text(text, "policy.json"):
        print(finding.place, finding.severity.word, finding.rule, finding.message)

Each rule is a small function in one of these files and a line in the table `RULES`; a new one is
a function, a line, its cases under `tests/lint/cases`, and what `policy rules ID` prints: a text in
`explanations.json` and two documents in `examples`.
"""

from cml_iam.lint._escalation import Escalation, Wanted, escalations
from cml_iam.lint._explained import Example, Explained, explain_rule
from cml_iam.lint._finding import KINDS, Finding, Kind, Severity, Step
from cml_iam.lint._fix import Fixed, Suggestion, fix_text
from cml_iam.lint._kept import lint_subjects
from cml_iam.lint._kind import JUDGED_AS, recognized_kind
from cml_iam.lint._lint import is_complete, lint_policies, lint_text, lint_texts
from cml_iam.lint._rules import RULES, Rule

__all__ = [
    "JUDGED_AS",
    "KINDS",
    "RULES",
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
    "lint_subjects",
    "lint_text",
    "lint_texts",
    "recognized_kind",
]
