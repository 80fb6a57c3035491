"""CSV that a spreadsheet takes for text: no cell is a formula, and none is obeyed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

import click

from cml_iam.visible import one_line

FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in full width too.

https://owasp.org/www-community/attacks/CSV_Injection
"""


form_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    help="Form of the answer.",
)
"""-o for a command that has CSV too; None where it is not given."""


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return *rows* as CSV with a header (RFC 4180), every cell as `cell` makes it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([cell(each) for each in row] for row in rows)
    return text.getvalue()


def cell(text: str) -> str:
    """Return *text* with control characters written out and, before a formula, an apostrophe.

    A number may have its sign. Who needs every character as it is takes JSON.
    """
    made = one_line(text)
    return f"'{made}" if made.lstrip().startswith(FORMULA) and not _is_number(made) else made


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()
