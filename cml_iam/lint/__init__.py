"""Judge policies: find what AWS refuses, what has no effect, and what allows more than intended.

    for finding in lint_text(text, "policy.json"):
        print(finding.place, finding.severity.word, finding.rule, finding.message)

Each rule is a row of `rules.json`, which `policy rules ID` prints and which names a small function
in one of these files. The rules are imported on first use, so that code which only handles findings
does not load them.
"""

from typing import TYPE_CHECKING

from cml_iam.later import later
from cml_iam.lint._finding import (
    JUDGED_AS,
    KINDS,
    Finding,
    Kind,
    Severity,
    Step,
    place_as_json,
    recognized_kind,
)

if TYPE_CHECKING:
    from cml_iam.lint._escalation import Escalation, EscalationStep, escalations
    from cml_iam.lint._fix import Fixed, Suggestion, fix_text
    from cml_iam.lint._lint import is_complete, lint_policies, lint_subjects, lint_text, lint_texts
    from cml_iam.lint._rules import Example, Explained, Rule, explain_rule, lint_rules

__getattr__ = later(__name__)
