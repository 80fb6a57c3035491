"""Write docs/failures.md anew."""

from tests.harness_answers.table import PAGE, page

PAGE.write_text(page(), "utf-8")
