"""The audit report in the formats that people and machines read.

text = write_report(report, form_of("report.sarif"))
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.errors import InputError
from cml_iam.lint import Severity
from cml_iam.secret import masked

if TYPE_CHECKING:
    from os import PathLike

    from cml_iam.audit import Report

Form = Literal["text", "json", "sarif", "junit", "markdown", "html"]
EXTENSIONS: Final[dict[str, Form]] = {
    ".txt": "text",
    ".json": "json",
    ".sarif": "sarif",
    ".xml": "junit",
    ".md": "markdown",
    ".html": "html",
}
FORMS: Final[tuple[Form, ...]] = tuple(EXTENSIONS.values())


def form_of(path: str | PathLike[str]) -> Form:
    """Return the format for the file name of *path*; raises InputError if it is unknown.

    `report.sarif.json` is SARIF, as code scanning services name it.
    """
    name = PurePath(path)
    if [suffix.lower() for suffix in name.suffixes[-2:]] == [".sarif", ".json"]:
        return "sarif"
    form = EXTENSIONS.get(name.suffix.lower())
    if form is None:
        raise InputError(
            f"cannot tell the format of the report from the name `{path}`",
            remedy=f"use one of these extensions: {', '.join(EXTENSIONS)}",
        )
    return form


def write_report(
    report: Report,
    form: Form,
    *,
    fail_on: Severity = Severity.WARNING,
    width: int | None = None,
) -> str:
    """Return *report* in the format *form*; the same report always gives the same bytes.

    *fail_on* is the lowest severity that makes the verdict `findings`; *width* is the terminal's
    width in columns, for text only. Secrets known to this process are masked in every format.
    """
    return masked(_written(report, form, fail_on, width))


def _written(report: Report, form: Form, fail_on: Severity, width: int | None) -> str:
    """Return *report* in *form*; imports only the modules which that format needs."""
    if form == "json":
        from cml_iam.audit.stored import json_report

        return json_report(report, fail_on)
    if form == "sarif":
        from cml_iam.audit._sarif import sarif_report

        return sarif_report(report, fail_on)
    if form == "junit":
        from cml_iam.audit._junit import junit_report

        return junit_report(report, fail_on)
    from cml_iam.audit._sections import document_of

    document = document_of(report, fail_on)
    if form == "markdown":
        from cml_iam.report.markdown import markdown_of

        return markdown_of(document)
    if form == "html":
        from cml_iam.report.html import page_of

        return page_of(document).text
    from cml_iam.report.text import WIDTH, text_of

    return text_of(document, width or WIDTH)
