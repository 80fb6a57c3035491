"""The report as JSON: by its published schema, and read again as it was."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

from cml_iam.audit import Report
from cml_iam.audit.write import read_report, write_report
from cml_iam.errors import DocumentError, InputError
from cml_iam.files import shipped_text
from cml_iam.lint import Severity
from tests.audit.write import samples
from tests.audit.write.report_schema import report_schema

SCHEMA = json.loads(shipped_text("policies", "audit-report.schema.json"))
REPORTS = {
    "full": samples.COMPARED,
    "clean": samples.CLEAN,
    "empty": samples.EMPTY,
    "hostile": samples.hostile(),
}


def test_the_published_schema_is_that_of_the_types() -> None:
    assert report_schema() == SCHEMA, (
        "python -m tests.audit.write.report_schema > policies/audit-report.schema.json"
    )


def test_the_schema_is_one_and_leaves_nothing_open() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    closed = [SCHEMA, *SCHEMA["$defs"].values()]

    assert all(each["additionalProperties"] is False for each in closed)
    optional = {name for each in closed for name in set(each["properties"]) - set(each["required"])}
    # Reports written before these fields existed are still read.
    assert optional == {"about", "excerpt", "passed_over", "standing"}
    assert all(each["description"] for each in closed)


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_meets_the_schema(name: str) -> None:
    written = json.loads(write_report(REPORTS[name], "json"))

    assert not list(Draft202012Validator(SCHEMA).iter_errors(written))


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_read_as_it_was_written(name: str) -> None:
    text = write_report(REPORTS[name], "json")
    read = read_report(text, "report.json")

    assert read == REPORTS[name]
    assert write_report(read, "json") == text


def test_the_text_is_ascii_and_ends_in_a_line_end() -> None:
    text = write_report(samples.hostile(), "json")

    assert text.isascii()
    assert text.endswith("}\n")


def test_the_order_of_mappings_does_not_show() -> None:
    turned = replace(samples.FULL, tools=dict(reversed(samples.FULL.tools.items())))

    assert write_report(turned, "json") == write_report(samples.FULL, "json")


@pytest.mark.parametrize(
    ("report", "fail_on", "conclusion"),
    [
        (samples.FULL, Severity.WARNING, "findings"),
        (replace(samples.FULL, findings=()), Severity.WARNING, "incomplete"),
        (samples.EMPTY, Severity.WARNING, "incomplete"),
        (samples.CLEAN, Severity.INFO, "clean"),
        (replace(samples.CLEAN, findings=(samples.OLD_KEY,)), Severity.WARNING, "findings"),
        (replace(samples.CLEAN, findings=(samples.OLD_KEY,)), Severity.ERROR, "clean"),
    ],
)
def test_the_conclusion_stands_first(report: Report, fail_on: Severity, conclusion: str) -> None:
    assert json.loads(write_report(report, "json", fail_on=fail_on))["conclusion"] == conclusion


def test_the_counts_are_of_what_is_open() -> None:
    counts = json.loads(write_report(samples.FULL, "json"))["counts"]

    assert counts == {
        "error": 1,
        "warning": 1,
        "info": 0,
        "waived": 1,
        "passed": 2,
        "failed": 2,
        "not_checked": 1,
        "accounts_not_checked": 1,
    }


@pytest.mark.parametrize("text", ["[]", "{}", "3", '{"version": 1}', '"report"'])
def test_what_is_no_report_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match=r"`old\.json` is not an audit report") as caught:
        read_report(text, "old.json")

    assert "cml-iam audit" in (caught.value.remedy or "")


def test_a_report_of_another_version_is_refused() -> None:
    text = write_report(samples.EMPTY, "json").replace('"version": 2', '"version": 3')

    with pytest.raises(InputError, match="version `3`, but this program reads version 2"):
        read_report(text, "old.json")


def test_a_text_that_is_no_json_is_refused_with_its_place() -> None:
    with pytest.raises(DocumentError, match=r"old.json:2:3"):
        read_report('{"version": 1,\n  oops', "old.json")


def test_everything_wrong_is_said_with_its_place() -> None:
    text = write_report(samples.FULL, "json")
    broken = text.replace('"state": "passed"', '"state": "pased"').replace(
        '"asked": 232', '"asked": -1'
    )

    with pytest.raises(DocumentError) as caught:
        read_report(broken, "old.json")

    said = str(caught.value)
    assert "did you mean `passed`?" in said
    assert "asked" in said
    assert all(problem.place and problem.place.line > 1 for problem in caught.value.problems)


@pytest.mark.parametrize("wrong", ["2026-13-01T00:00:00Z", "yesterday"])
def test_a_date_that_is_none_is_refused(wrong: str) -> None:
    text = write_report(samples.EMPTY, "json").replace("2026-11-23T22:05:53Z", wrong)

    with pytest.raises(DocumentError):
        read_report(text, "old.json")


def test_a_file_with_a_byte_order_mark_is_read() -> None:
    text = "\ufeff" + write_report(samples.FULL, "json")

    assert read_report(text, "old.json") == samples.FULL


def test_a_deeply_nested_text_is_refused() -> None:
    with pytest.raises(DocumentError, match="nested more than"):
        read_report("[" * 100_000, "old.json")
