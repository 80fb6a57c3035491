"""Print the table of rules, `docs/rules.md`."""

import sys

from cml_iam.lint._rules import rules_page

sys.stdout.write(rules_page())
