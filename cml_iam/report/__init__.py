"""Reports for people, as text, Markdown or HTML.

    document = Document("cml-iam audit", "Clean", PASSED, "good", "Clean: 5 checks made", …)
    text_of(document, width=80)
    markdown_of(document)
    page_of(document).text

A report is described once, as a `Document`, and only this package decides how it looks. Formats
other than text are imported on first use.
"""

from typing import TYPE_CHECKING, Final

from cml_iam.later import later
from cml_iam.report._model import (
    FAILED,
    NOTED,
    PASSED,
    UNKNOWN,
    WAIVED,
    WARNED,
    Bar,
    Cell,
    Column,
    Document,
    Excerpt,
    Grid,
    Item,
    Level,
    Place,
    Request,
    Section,
    Station,
    Trend,
    capital,
    listed,
    plural,
    shown,
)
from cml_iam.report._text import WIDTH, item_lines, text_of

if TYPE_CHECKING:
    from cml_iam.report._html import Page, page_of
    from cml_iam.report._markdown import markdown_of

_LATER: Final = {"Page": "_html", "page_of": "_html", "markdown_of": "_markdown"}

__all__ = [
    "FAILED",
    "NOTED",
    "PASSED",
    "UNKNOWN",
    "WAIVED",
    "WARNED",
    "WIDTH",
    "Bar",
    "Cell",
    "Column",
    "Document",
    "Excerpt",
    "Grid",
    "Item",
    "Level",
    "Page",
    "Place",
    "Request",
    "Section",
    "Station",
    "Trend",
    "capital",
    "item_lines",
    "listed",
    "markdown_of",
    "page_of",
    "plural",
    "shown",
    "text_of",
]

__getattr__ = later(__name__, _LATER)
