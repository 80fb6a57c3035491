"""What holds for every form of the report, and the forms for people."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cml_iam.audit import Cell, Check, Matrix, Report, Spot
from cml_iam.audit.write import FORMS, Form, compare_reports, form_of, write_report
from cml_iam.errors import InputError
from cml_iam.lint import Severity
from tests.audit.write import samples

UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]")


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("report.json", "json"),
        ("out/report.sarif", "sarif"),
        ("report.sarif.json", "sarif"),
        ("junit.xml", "junit"),
        ("summary.md", "markdown"),
        ("REPORT.HTML", "html"),
        ("report.txt", "text"),
        (Path("report.html"), "html"),
    ],
)
def test_the_extension_names_the_form(name: str | Path, form: Form) -> None:
    assert form_of(name) == form


@pytest.mark.parametrize("name", ["report", "report.pdf", ".json", "sarif"])
def test_another_extension_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError) as caught:
        form_of(name)

    assert ".sarif" in (caught.value.remedy or "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("report", [samples.COMPARED, samples.CLEAN, samples.EMPTY])
def test_one_report_gives_one_text(form: Form, report: Report) -> None:
    turned = replace(report, tools=dict(reversed(report.tools.items())))

    assert write_report(report, form) == write_report(turned, form)


@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_seen_stands_in_no_form(form: Form) -> None:
    written = write_report(samples.hostile(), form)

    assert not UNSEEN.search(written)
    assert written.encode("utf-8")
    assert written.endswith("\n")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_what_was_not_checked_and_what_is_waived(form: Form) -> None:
    written = " ".join(write_report(samples.FULL, form).split())

    assert "the caller may not call iam:SimulatePrincipalPolicy" in written
    assert "cannot be assumed" in written
    assert "waived" in written.lower()
    assert "network-lab" in written
    assert "lab account" in written


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_what_was_left_out(form: Form) -> None:
    written = write_report(replace(samples.CLEAN, skipped=("left-out-check",)), form)

    assert "left-out-check" in written


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_text_fits_its_width(width: int) -> None:
    long = max(
        (line for line in write_report(samples.COMPARED, "text", width=width).splitlines()), key=len
    )
    # A page's address or an ARN is not broken: nobody could copy it.
    assert len(long) <= width or " " not in long.strip().removeprefix("see: ")


def wide() -> Matrix:
    situations = tuple(f"situation {number}" for number in range(10))
    cells = tuple(
        Cell("ec2:RunInstances", situation, "refused", "refused", True, (samples.REFUSED,))
        for situation in situations
    )
    return Matrix("offline", ("ec2:RunInstances",), situations, cells)


@pytest.mark.parametrize(("width", "tables"), [(80, 3), (200, 1)])
def test_a_wide_matrix_is_told_in_tables_that_fit(width: int, tables: int) -> None:
    text = write_report(replace(samples.CLEAN, matrices=(wide(),)), "text", width=width)

    headings = [line for line in text.splitlines() if line.startswith("permission ")]
    assert len(headings) == tables
    assert all(len(line) <= width for line in headings)
    assert text.count("✔ refused") == 10


def test_the_verdict_is_the_first_line_of_the_text() -> None:
    assert write_report(samples.CLEAN, "text").startswith("✔ Clean: 5 checks made\n")
    assert write_report(samples.EMPTY, "text").startswith("? Incomplete: no check made\n")
    assert write_report(samples.FULL, "text").startswith("✖ Findings: 1 error, 1 warning")
    lost = replace(samples.FULL, findings=())
    assert write_report(lost, "text").startswith("? Incomplete: 1 check not made and 1 account not")
    found = replace(samples.CLEAN, findings=(samples.GATE,))
    assert write_report(found, "text").startswith("✖ Findings: 1 error\n")


def test_what_is_below_the_asked_severity_is_told_in_a_clean_report() -> None:
    found = replace(samples.CLEAN, findings=(samples.OLD_KEY,))

    text = write_report(found, "text", fail_on=Severity.ERROR)
    assert text.startswith("✔ Clean: 5 checks made; 1 warning\n")


def test_a_finding_is_told_with_place_witness_and_remedy() -> None:
    text = write_report(samples.COMPARED, "text", width=200)
    lines = text.splitlines()
    at = lines.index(
        "✖ error CML501 tag-gate-open at policy.json:22:7"
        " [EC2InstanceManagementTagRestricted] (new)"
    )

    assert "1. the caller may set the tag" in lines[at + 2]
    assert "allowed by EC2TagManagement" in lines[at + 2]
    assert "ec2:CreateTags on arn:aws:ec2:us-east-1" in lines[at + 3]
    assert "    fix: allow ec2:CreateTags only with ec2:CreateAction" in lines


def test_matrices_as_expected_are_a_line_each_after_the_first() -> None:
    met = replace(wide(), account="111122223333")
    other = replace(met, account="444455556666", situations=met.situations[:9], cells=met.cells[:9])

    text = write_report(replace(samples.CLEAN, matrices=(met, other)), "text")

    assert "Permissions in 111122223333 (computed): 10 of 10 as expected\npermission" in text
    assert "✔ Permissions in 444455556666 (computed): 9 of 9 as expected\n\n" in text


def test_no_line_of_the_text_is_a_command_to_the_job_that_prints_it() -> None:
    for width in (40, 80, 200):
        text = write_report(samples.hostile("x ::error::y ##[add-mask]z"), "text", width=width)

        assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
        assert "##[" not in text


@pytest.mark.parametrize(
    ("spot", "text"),
    [
        (Spot("a.json", 3, 5), "a.json:3:5"),
        (Spot("a.json", 3, 5, statement="Sid"), "a.json:3:5 [Sid]"),
        (Spot("a.json"), "a.json"),
        (Spot(resource="arn:aws:iam::1:user/x", account="1"), "arn:aws:iam::1:user/x"),
        (Spot(account="111122223333"), "111122223333"),
        (Spot(statement="Sid"), "[Sid]"),
        (Spot(), ""),
    ],
)
def test_a_place_is_printed_with_its_statement(spot: Spot, text: str) -> None:
    assert spot.place == text


class TestComparing:
    def test_new_is_what_was_not_open_and_gone_what_was(self) -> None:
        since = compare_reports(samples.FULL, samples.BEFORE)

        assert since.time == samples.EARLIER
        assert since.new == (samples.GATE.fingerprint,)
        assert [each.rule for each in since.gone] == ["CML401"]
        assert since.checks == (("lint", None, "passed", "failed"),)

    def test_a_report_compared_with_itself_has_nothing_new(self) -> None:
        since = compare_reports(samples.FULL, samples.FULL)

        assert (since.new, since.gone, since.checks) == ((), (), ())

    def test_what_could_not_be_looked_for_is_not_gone(self) -> None:
        lost = tuple(
            replace(check, state="not checked") if check.id == "keys" else check
            for check in samples.CHECKS
        )
        now = replace(samples.FULL, checks=lost, findings=())

        assert samples.OLD_KEY not in compare_reports(now, samples.FULL).gone

    def test_what_was_not_asked_for_is_not_gone(self) -> None:
        now = replace(samples.FULL, checks=samples.CHECKS[:2], findings=())

        assert compare_reports(now, samples.FULL).gone == (samples.GATE,)

    def test_what_stood_in_a_file_that_was_not_read_is_not_gone(self) -> None:
        now = replace(samples.FULL, findings=(), inputs=samples.FULL.inputs[1:])

        assert compare_reports(now, samples.FULL).gone == (samples.OLD_KEY,)

    def test_a_finding_that_lost_its_waiver_is_new(self) -> None:
        now = replace(samples.FULL, findings=(replace(samples.WAIVED, waiver=None),))

        assert compare_reports(now, samples.FULL).new == (samples.WAIVED.fingerprint,)

    def test_a_finding_that_is_waived_now_is_neither(self) -> None:
        waived = replace(samples.GATE, waiver=samples.WAIVED.waiver)
        since = compare_reports(
            replace(samples.FULL, findings=(waived,)),
            replace(samples.FULL, findings=(samples.GATE,)),
        )

        assert (since.new, since.gone) == ((), ())

    def test_a_check_of_another_account_is_another_check(self) -> None:
        moved = tuple(replace(check, account="444455556666") for check in samples.CHECKS)

        assert compare_reports(replace(samples.FULL, checks=moved), samples.BEFORE).checks == ()


class TestMarkdown:
    def test_a_cell_cannot_end_its_row(self) -> None:
        text = write_report(samples.hostile("a|b\n|c| `d` <b>"), "markdown")
        rows = [line for line in text.splitlines() if line.startswith("| ")]

        for heading, *body in _tables(rows):
            assert {line.count("|") for line in body} == {heading.count("|")}

    def test_nothing_foreign_is_markup(self) -> None:
        text = write_report(samples.hostile(), "markdown")

        assert "<script" not in text
        assert "<img" not in text
        assert "](https" not in text
        assert "**b**" not in text
        assert "`code`" not in text

    def test_what_stands_in_backticks_is_code(self) -> None:
        said = replace(samples.GATE, message="`a_b` is not `c`, and ` is alone")
        text = write_report(replace(samples.CLEAN, findings=(said,)), "markdown")

        assert "<code>a&#95;b</code> is not <code>c</code>, and &#96; is alone" in text

    def test_the_summary_stays_below_a_mebibyte_and_says_what_is_left_out(self) -> None:
        text = write_report(samples.large(5_000), "markdown")

        assert len(text.encode()) < 2**20
        assert re.search(r"\*\*\d+ more do not fit here", text)
        assert "## Not checked" in text

    def test_a_message_of_any_length_leaves_room_for_the_next(self) -> None:
        long = replace(samples.GATE, message="x" * 3_000_000)
        text = write_report(replace(samples.FULL, findings=(long, samples.OLD_KEY)), "markdown")

        assert len(text.encode()) < 20_000
        assert "147 days old" in text

    def test_checks_of_any_number_fit(self) -> None:
        many = tuple(Check(f"c{n}", "x" * 500, "keys", "not checked") for n in range(5_000))

        assert len(write_report(replace(samples.FULL, checks=many), "markdown").encode()) < 2**20


def _tables(rows: list[str]) -> list[list[str]]:
    tables: list[list[str]] = []
    for index, row in enumerate(rows):
        if set(row) <= set("| -"):
            tables.append([rows[index - 1]])
        elif tables and not (index + 1 < len(rows) and set(rows[index + 1]) <= set("| -")):
            tables[-1].append(row)
    return tables
