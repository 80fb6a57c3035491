"""CSV that a spreadsheet takes for text.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.cli._table import FORMULA, as_csv
from cml_iam.cli._table import csv_cell as cell


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\uff1d1", " =1", "-", "=", "--1"]
)
def test_what_begins_like_a_formula_is_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "lab-1", "a=b", "-1.5", "-3", "4.3605", "i-1", "'=1"])
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_control_characters_are_written_out() -> None:
    assert cell("\t=1\r\n\x1b[2J") == r"\t=1\r\n\x1b[2J"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_every_row_is_read_back_as_cells_that_are_no_formulas(row: list[str]) -> None:
    read = list(csv.reader(io.StringIO(as_csv([str(n) for n in range(len(row))], [row]))))[1]

    assert read == [cell(each) for each in row]
    for each in read:
        assert not each.lstrip().startswith(FORMULA) or each.lstrip("-.").replace(".", "").isdigit()
