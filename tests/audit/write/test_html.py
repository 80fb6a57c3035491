"""The report as a page: nothing runs, nothing is loaded, everything can be read and reached."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest

from cml_iam.audit import (
    Account,
    Ask,
    AuditFinding,
    Cell,
    Matrix,
    Report,
    Since,
    Spot,
    Unused,
)
from cml_iam.audit._words import path_of
from cml_iam.audit.write import Form, write_report
from cml_iam.check.checks import check_named
from cml_iam.expectations import SITUATIONS, derive_expectations
from cml_iam.lint import Severity
from cml_iam.report.html import _style
from cml_iam.site import Site
from tests.audit.write import samples
from tests.audit.write.browser import browser
from tests.conftest import needs

VOID = {"meta", "path", "rect", "line", "use", "br", "wbr"}


class Page(HTMLParser):
    """The tags of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.style = ""
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


REPORTS = {
    "full": samples.COMPARED,
    "clean": samples.CLEAN,
    "empty": samples.EMPTY,
    "hostile": samples.hostile(),
}


def page(report: Report) -> Page:
    return Page(write_report(report, "html"))


def hardened(site: Site) -> Matrix:
    """Every permission of a restricted site in every situation, as wide as cells get."""
    cells: dict[tuple[str, str], list[Ask]] = {}
    for expectation in derive_expectations(site):
        asks = cells.setdefault((expectation.permission, expectation.situation), [])
        request = expectation.requests[0]
        context = {
            key: value if isinstance(value, str) else tuple(value)
            for key, value in request.context.items()
        }
        asks.append(
            Ask(
                expectation.description,
                request.action,
                request.resource,
                "allowed",
                context,
                ("Sid",),
            )
        )
    return Matrix(
        "offline",
        tuple(dict.fromkeys(permission for permission, _ in cells)),
        SITUATIONS,
        tuple(
            Cell(*place, "allowed", "allowed", True, tuple(asks)) for place, asks in cells.items()
        ),
    )


@pytest.mark.parametrize("name", REPORTS)
class TestEveryPage:
    def test_the_policy_allows_the_one_style_sheet_and_nothing_else(self, name: str) -> None:
        found = page(REPORTS[name])
        (policy,) = (e["content"] for e in found.all("meta") if "http-equiv" in e)

        digest = b64encode(sha256(found.style.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        )

    def test_nothing_is_loaded_and_nothing_runs(self, name: str) -> None:
        found = page(REPORTS[name])
        tags = {tag for tag, _ in found.tags}

        assert not tags & {"script", "img", "iframe", "link", "object", "base", "form", "image"}
        for tag, attributes in found.tags:
            assert not {"src", "style", "srcset"} & attributes.keys()
            assert not [attribute for attribute in attributes if attribute.startswith("on")]
            if "href" in attributes:
                assert attributes["href"].startswith(("#", "https://docs.aws.amazon.com/")), tag
        assert "url(" not in found.style
        assert "@import" not in found.style

    def test_every_link_leads_somewhere_and_no_id_stands_twice(self, name: str) -> None:
        found = page(REPORTS[name])
        ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
        links = {e["href"][1:] for e in found.all("a") if e["href"].startswith("#")}

        assert len(ids) == len(set(ids))
        assert links <= set(ids)


def test_the_page_of_a_hardened_site_with_a_hundred_findings_is_small(site: Site) -> None:
    report = replace(samples.large(100), matrices=(hardened(site),))

    assert len(write_report(report, "html").encode()) < 380_000


def test_foreign_text_is_text() -> None:
    found = page(samples.hostile())

    assert "<img src=x onerror=alert(1)>]]>&amp;|" in found.text
    assert "{{ 7*7 }}" in found.text


def test_every_cell_leads_to_the_statement_and_the_request_behind_it() -> None:
    text = write_report(samples.COMPARED, "html")
    found = Page(text)
    cells = [e["href"][1:] for e in found.all("a") if e.get("href", "").startswith("#w0")]

    assert len(cells) == len(samples.MATRIX.cells)
    (behind,) = re.findall(r'id="w0-1-2".*?</ul>', text, re.DOTALL)
    assert "Must be refused, but is allowed." in behind
    assert "allowed by EC2TagManagement" in behind
    assert "aws:TagKeys = ManagedBy" in behind


def test_symbol_and_word_stand_together_in_every_cell() -> None:
    text = write_report(samples.COMPARED, "html")

    said = re.findall(r'href="#w0-\d+-\d+">(.*?)</a>', text)
    assert said == ["✔ allowed", "✔ refused", "✖ ALLOWED", "? not checked"]


def test_the_page_tells_what_changed_and_what_was_not_checked_before_the_findings() -> None:
    text = write_report(samples.COMPARED, "html")

    places = [text.index(f'<section id="{each}"') for each in ("since", "unchecked", "errors")]
    assert places == sorted(places)
    assert '<span aria-hidden="true">✔</span> gone' in text


def test_an_escalation_is_a_path_from_the_tag_to_the_action() -> None:
    stations = [(each.head, each.result) for each in path_of(samples.GATE)]

    assert stations == [
        ("ec2:CreateTags", "• allowed"),
        ("ManagedBy=cml-cloud-manager", "• matches"),
        ("ec2:TerminateInstances", "✖ allowed"),
    ]
    assert 'class="path"' in write_report(samples.FULL, "html")


@pytest.mark.parametrize("form", ["html", "markdown", "text", "sarif"])
def test_examples_are_no_sequence_though_one_sets_a_tag_that_another_asks_for(form: Form) -> None:
    """Of drift, say: each request stands by itself, and no form draws or numbers a way."""
    ways = {"html": 'class="path"', "markdown": "<ol>", "text": "2. and then", "sarif": "codeFlows"}

    for rule, is_sequence in (("CML704", False), ("CML701", False), ("CML717", True)):
        report = replace(samples.CLEAN, findings=(replace(samples.GATE, rule=rule),))
        assert (ways[form] in write_report(report, form)) is is_sequence, rule


def test_the_title_and_the_head_say_whose_report_it_is() -> None:
    text = write_report(samples.FULL, "html")

    assert "audit of 2 accounts, cml-cloud-manager-service, policy.json, 2026-11-23T" in text
    one = write_report(replace(samples.CLEAN, inputs=()), "html")
    assert (
        "<title>Clean: audit of 111122223333 (production), cml-cloud-manager-service,"
        " hardened (from the site), 2026-11-23T22:05:53Z</title>"
    ) in one
    for name, value in (("Account", "111122223333 (production)"), ("Principal", samples.USER)):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in one


def test_the_lines_stand_beside_the_finding_indented_numbered_and_marked() -> None:
    text = write_report(samples.FULL, "html")
    (shown,) = re.findall(r'<pre class="excerpt".*?</pre>', text, re.DOTALL)

    assert "<span><i>20</i>{</span>" in shown
    assert "<mark><i>22</i>  &#34;Action&#34;: [&#34;ec2:TerminateInstances&#34;" in shown
    assert "Lines 20 to 25 of policy.json:22:7" in shown


def test_a_filter_stands_there_only_where_it_distinguishes_anything() -> None:
    def filters(*findings: AuditFinding) -> list[str]:
        found = page(replace(samples.CLEAN, findings=findings))
        return [each["id"] for each in found.all("select")]

    assert filters(samples.GATE) == []
    assert filters(samples.GATE, replace(samples.GATE, spot=Spot("b.json"))) == ["by-file"]
    assert filters(samples.GATE, samples.OLD_KEY) == ["by-severity", "by-file", "by-rule"]


def test_a_key_past_its_day_crosses_the_line() -> None:
    text = write_report(samples.FULL, "html")
    bars = re.findall(r'class="(fill|late)" x="0" y="7" width="(\d+)"', text)
    lines = set(re.findall(r'<line x1="(\d+)"', text))

    assert bars == [("late", "1000"), ("fill", "361")]
    assert lines == {"612"}


def test_matrices_that_are_as_expected_are_a_line_where_there_are_several(site: Site) -> None:
    matrix = hardened(site)
    one = write_report(replace(samples.CLEAN, matrices=(matrix,)), "html")
    many = replace(
        samples.CLEAN, matrices=tuple(replace(matrix, account=f"{n:012}") for n in range(200))
    )

    assert len(write_report(many, "html")) < len(one) + 200 * 200


class TestManyAccounts:
    """What came out alike is told once, with the accounts it stands for."""

    IDS = tuple(f"2222{number:08}" for number in range(200))

    def findings(self) -> tuple[AuditFinding, ...]:
        return tuple(
            check_named("attachments").finding(
                "CML709",
                f"`arn:aws:iam::{id_}:policy/x` permits more",
                Spot(resource=f"arn:aws:iam::{id_}:user/m", account=id_),
            )
            for id_ in self.IDS
        )

    def test_a_finding_of_every_account_is_one_card_that_names_them(self) -> None:
        report = replace(samples.CLEAN, findings=self.findings())
        text = write_report(report, "html")

        assert text.count("<article") == 1
        assert "In 200 accounts; shown for 222200000000" in text
        for form in ("text", "markdown"):
            assert "n 200 accounts: 222200000000, 222200000001" in write_report(report, form)
        assert all(id_ in text for id_ in self.IDS)
        assert "<dt>errors</dt><dd>200</dd>" in text

    def test_what_differs_in_more_than_the_account_is_told_apart(self) -> None:
        first, second, *_ = self.findings()
        for other in (
            replace(second, remedy="another"),
            replace(second, message="another"),
            replace(second, severity=Severity.INFO),
            replace(second, spot=replace(second.spot, statement="Two")),
        ):
            text = write_report(replace(samples.CLEAN, findings=(first, other)), "html")
            assert text.count("<article") == 2

    def test_a_new_finding_is_not_told_with_known_ones(self) -> None:
        findings = self.findings()
        since = Since(
            samples.NOW, tuple(finding.fingerprint for finding in findings[150:]), findings[:30], ()
        )
        report = replace(samples.CLEAN, findings=findings[30:], since=since)

        text = write_report(report, "html")

        assert text.count("<article") == 2
        assert "and in 49 more accounts" in text
        assert "and in 29 more accounts" in text

    def test_matrices_alike_are_one_and_what_they_leave_out_is_said(self, site: Site) -> None:
        whole = hardened(site)
        wrong = tuple(replace(cell, met=False) for cell in whole.cells[:3])
        trimmed = replace(whole, cells=wrong)
        accounts = tuple(Account(id_) for id_ in self.IDS)
        report = replace(
            samples.CLEAN,
            accounts=accounts,
            matrices=tuple(replace(trimmed, account=id_) for id_ in self.IDS),
        )

        text = write_report(report, "html")

        assert text.count('<table class="matrix">') == 1
        assert "in 200 accounts (computed): 3 not as expected" in text
        assert "as intended, or does not arise" in text
        assert "Permissions in 200 accounts (computed): 3 not as expected" in write_report(
            report, "text"
        )

    def test_permissions_not_used_are_a_row_each(self) -> None:
        unused = [Unused("ec2:RunInstances", ("create",), None, id_) for id_ in self.IDS]
        unused[7] = replace(unused[7], last_used=samples.NOW)
        report = replace(samples.CLEAN, keys=(), unused=tuple(unused))

        for form in ("html", "text", "markdown"):
            text = write_report(report, form)
            said = text.count("no use known")
            assert (said, text.count("200 accounts")) == (1, 1), form
            assert "in 199 of them" in text


def _colours(style: str) -> list[dict[str, str]]:
    """Return the colours on light ground and on dark ground."""
    blocks = re.findall(r":root \{([^}]*)\}", style)
    made = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks[:2]]
    return [made[0], made[0] | made[1]]


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


PAIRS = [
    *product(("ink", "muted", "link", "error", "warning", "good", "note"), ("paper", "raised")),
    *((each, f"{each}-soft") for each in ("error", "warning", "good", "note")),
    ("ink", "error-soft"),
    *product(("ink-met",), ("met-allowed", "met-refused")),
    ("ink-wrong", "wrong"),
    ("ink-unknown", "unknown"),
    *(("muted", f"{each}-soft") for each in ("warning",)),
]
DRAWN = [*product(("bar", "bar-late", "note"), ("paper", "raised"))]


@pytest.mark.parametrize("ground", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper", "least"),
    [*((*pair, 4.5) for pair in PAIRS), *((*each, 3.0) for each in DRAWN)],
)
def test_ink_stands_out_from_its_ground(ground: int, ink: str, paper: str, least: float) -> None:
    """AA of WCAG 2.2: text, and what is drawn.

    https://www.w3.org/TR/WCAG22/#contrast-minimum https://www.w3.org/TR/WCAG22/#non-text-contrast
    """
    colours = _colours(_style())[ground]
    light, dark = sorted((_luminance(colours[ink]), _luminance(colours[paper])), reverse=True)

    assert (light + 0.05) / (dark + 0.05) >= least


@needs("chromium")
class TestInABrowser:
    def test_it_opens_without_complaint_or_request_and_every_cell_is_reached_by_keyboard(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "report.html"
        path.write_text(write_report(samples.COMPARED, "html"), "utf-8")
        with browser(tmp_path) as seen:
            seen.open(path.as_uri())
            assert seen.requests == [path.as_uri()]
            for width, mobile in ((1280, False), (390, True)):
                seen.size(width, 844, mobile=mobile)
                assert seen.evaluate("document.documentElement.scrollWidth") <= width
            for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(17, 21, 26)")):
                seen.media(scheme=scheme)
                said = "getComputedStyle(document.body).backgroundColor"
                assert seen.evaluate(said) == ground
            reached = []
            for _ in range(80):
                seen.press("Tab")
                reached.append(seen.evaluate("document.activeElement.getAttribute('href')"))
            assert {"#w0-0-0", "#w0-0-1", "#w0-1-2", "#w0-2-0"} <= set(reached)

            seen.evaluate("document.querySelector('#c0-1-2').focus()")
            seen.press("Enter")
            sheets = "[...document.querySelectorAll('.sheet')].filter(e => e.offsetHeight)"
            assert seen.evaluate(f"{sheets}.map(e => e.id)") == ["w0-1-2"]
            assert seen.paper().startswith(b"%PDF-")
            assert seen.complaints == []
            assert seen.requests == [path.as_uri()]

    def test_choosing_a_severity_a_file_or_a_rule_hides_the_others_and_paper_has_all(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "report.html"
        path.write_text(write_report(samples.FULL, "html"), "utf-8")
        shown = (
            "[...document.querySelectorAll('.finding')].filter(e => e.offsetHeight)"
            ".map(e => e.querySelector('.rule').textContent)"
        )
        with browser(tmp_path) as seen:
            seen.open(path.as_uri())
            for choice, number, left in (
                ("by-severity", 1, ["CML501"]),
                ("by-file", 1, ["CML501", "CML601"]),
                ("by-rule", 1, ["AUD301"]),
            ):
                pick = f"document.getElementById('{choice}').selectedIndex = "
                seen.evaluate(f"{pick}{number}")
                assert seen.evaluate(shown) == left, choice
                seen.media("print")
                assert len(seen.evaluate(shown)) == 3
                seen.media()
                seen.evaluate(f"{pick}0")
                assert len(seen.evaluate(shown)) == 3

    def test_the_matrix_of_a_site_is_read_on_a_phone_without_scrolling_sideways(
        self, tmp_path: Path, site: Site
    ) -> None:
        path = tmp_path / "report.html"
        report = replace(samples.CLEAN, matrices=(hardened(site),))
        path.write_text(write_report(report, "html"), "utf-8")
        outside = (
            "[...document.querySelectorAll('.matrix td, .matrix th')].filter("
            "e => e.offsetWidth && e.getBoundingClientRect().right > innerWidth).length"
        )
        with browser(tmp_path) as seen:
            seen.size(390, 844, mobile=True)
            seen.open(path.as_uri())
            assert seen.evaluate(outside) == 0
            before = "getComputedStyle(document.querySelector('.matrix td a'), '::before').content"
            assert SITUATIONS[0] in seen.evaluate(before)

    def test_what_comes_from_outside_does_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "report.html"
        path.write_text(write_report(samples.hostile(), "html"), "utf-8")
        with browser(tmp_path) as seen:
            seen.open(path.as_uri())
            assert (seen.complaints, seen.requests) == ([], [path.as_uri()])

    def test_the_browser_sees_what_must_not_be(self, tmp_path: Path) -> None:
        """The checks above can fail: an image is asked for, a style is complained of."""
        path = tmp_path / "report.html"
        text = write_report(samples.EMPTY, "html")
        path.write_text(
            text.replace("<main>", '<main style="color:red"><img src="x.png">'), "utf-8"
        )
        with browser(tmp_path) as seen:
            seen.open(path.as_uri())
            seen.evaluate("1")
            assert seen.complaints
