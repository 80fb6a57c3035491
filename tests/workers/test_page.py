"""The page of the fleet: whole, without scripts and requests, legible, and truthful."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from cml_iam.errors import UnreachableError
from cml_iam.workers import (
    Listing,
    Measure,
    Metric,
    Point,
    Report,
    Unknown,
    Utilization,
    Watched,
    Worker,
)
from cml_iam.workers._page import _STYLE, page_of
from tests.workers.fake import NOW

VOID = {"meta", "link", "br"}


class Reader(HTMLParser):
    """Reads strictly: every tag is closed where it must be; keeps tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += " " + data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    reader.text = re.sub(r"\s+", " ", reader.text)
    return reader


def worker(number: int, state: str = "running", region: str = "us-east-1", **more: Any) -> Worker:
    return Worker(f"i-{number}", region, state, "c5.metal", "ami-1", f"lab-{number}", **more)


def utilization(number: int, cpu: Metric, memory: Metric) -> Utilization:
    used = {Measure.CPU: cpu, Measure.MEMORY: memory}
    return Utilization(f"i-{number}", "us-east-1", NOW, NOW, used)


def watched(*workers: Worker, usage: Any = None, report: Report | None = None) -> Watched:
    return Watched(
        report or Report(True, True, "us-east-1"),
        ("us-east-1", "us-west-2"),
        (),
        Listing(workers, {}),
        usage or {},
        NOW,
        NOW - timedelta(seconds=20),
        NOW - timedelta(seconds=200),
    )


def test_it_asks_for_nothing_and_runs_nothing() -> None:
    page = page_of(watched(worker(1)))
    reader = read(page)

    names = {name for name, _ in reader.tags}
    assert names.isdisjoint({"script", "img", "iframe", "form", "object", "video"})
    urls = [each for _, given in reader.tags for key in ("src", "href") if (each := given.get(key))]
    assert [each for each in urls if not re.match(r"data:|#|health$|metrics$", each)] == []
    assert "url(" not in _STYLE
    assert "@import" not in _STYLE
    assert not [name for _, given in reader.tags for name in given if name.startswith("on")]


def test_workers_stand_by_region_each_with_symbol_and_word() -> None:
    states = ["running", "pending", "stopping", "stopped", "shutting-down", "terminated", "odd"]
    workers = [worker(n, state) for n, state in enumerate(states)]
    text = read(page_of(watched(*workers, worker(9, region="us-west-2")))).text

    assert re.search(r"us-east-1 7 workers .* us-west-2 1 worker ", text)
    for symbol, state in zip("●◔◑○◑✕?", states, strict=True):
        assert f"{symbol} {state}" in text
    assert "● 2 running" in text


def test_a_measure_is_a_number_and_a_bar_and_zero_is_one_too() -> None:
    cpu = Metric("cpu", 300, (Point(NOW, 42.4, 50.0, 5.0),))
    memory = Metric("memory", 300, (Point(NOW, 0.0, 0.0, 5.0),))
    page = page_of(watched(worker(1), usage={"i-1": utilization(1, cpu, memory)}))

    assert "42 %" in read(page).text
    assert "width:42.4%" in page
    assert "0 %" in read(page).text
    assert "width:0.0%" in page


def test_unknown_says_why_and_what_to_do_and_has_no_bar() -> None:
    unknown = Metric("memory", 300, unknown=Unknown.NO_AGENT)
    cpu = Metric("cpu", 300, unknown=Unknown.NO_PERMISSION)
    page = page_of(watched(worker(1), usage={"i-1": utilization(1, cpu, unknown)}))
    reader = read(page)

    assert "unknown no agent install the CloudWatch agent" in reader.text
    assert "unknown no permission grant `cloudwatch:GetMetricStatistics`" in reader.text
    assert 'class="bar"' not in page
    assert [name for name, _ in reader.tags].count("summary") == 2


def test_one_that_does_not_run_is_not_said_to_lack_anything() -> None:
    text = read(page_of(watched(worker(1, "stopped")))).text

    assert "unknown the worker is stopped" in text


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report(True, True, "us-east-1"), "✔ All is well"),
        (Report(True, True, "us-east-1", (), ("ec2:X: why",)), "? EC2 answers; not all could be"),
        (Report(False, True, "us-east-1", ("ec2:X: no",)), "✖ A permission is missing"),
        (Report(False, False, "us-east-1", ("AuthFailure",)), "✖ EC2 cannot be used"),
    ],
)
def test_the_verdict_comes_first_with_its_reasons(report: Report, said: str) -> None:
    reader = read(page_of(watched(report=report)))

    assert said in reader.text
    assert reader.text.index(said) < reader.text.index("2026-03-01 12:02:30 UTC")
    for each in (*report.reasons, *report.unchecked):
        assert each in reader.text
    assert ("cml-iam doctor" in reader.text) is not report.ok


def test_times_are_those_of_the_answers() -> None:
    text = read(page_of(watched(worker(1)))).text

    assert "last asked 2026-03-01 12:02:30 UTC" in text
    assert "workers as of 2026-03-01 12:02:10 UTC , CPU and memory of 2026-03-01 11:59:10" in text


def test_workers_that_are_not_known_are_not_none() -> None:
    seen = Watched(
        Report(False, False, "us-east-1"), (), (), None, {}, NOW, why_unlisted="it hangs"
    )

    assert "? The workers are not known: it hangs." in read(page_of(seen)).text
    assert "There are no workers." in read(page_of(watched())).text


def test_a_region_that_could_not_be_listed_is_named() -> None:
    seen = watched(worker(1))
    seen.fleet and seen.fleet.failures.update({"us-west-2": UnreachableError("no answer")})

    assert "us-west-2: workers could not be listed: no answer" in read(page_of(seen)).text


def test_what_others_wrote_stays_text() -> None:
    bad = '<script>"&</script>'
    odd = worker(1, "stopped", state_reason=bad, public_ip=bad, zone=bad)
    page = page_of(watched(odd, report=Report(False, False, bad, (bad,))))

    assert "<script" not in page
    assert read(page).text.count(bad) >= 4


def test_it_can_be_reached_by_keyboard_and_asks_again_by_itself() -> None:
    reader = read(page_of(watched(worker(1), worker(2, region="us-west-2"))))

    regions = [given for _, given in reader.tags if given.get("role") == "region"]
    assert [each["tabindex"] for each in regions] == ["0", "0"]
    assert [each["aria-label"] for each in regions] == [
        "Workers of us-east-1",
        "Workers of us-west-2",
    ]
    assert {"http-equiv": "refresh", "content": "60"} in [given for _, given in reader.tags]


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root\{([^}]*)\}", _STYLE)
    text = light if scheme == "light" else dark
    return dict(re.findall(r"--([a-z-]+):(#[0-9a-f]+)", text.replace("\n", "")))


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    text = colour[1:] if len(colour) == 7 else "".join(each * 2 for each in colour[1:])
    parts = [int(text[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (
        each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "ground", "least"),
    [
        *[(front, ground, 4.5) for front in ("ink", "soft") for ground in ("ground", "card")],
        *[(each, "card", 4.5) for each in ("good", "bad", "busy")],
        ("good", "good-ground", 4.5),
        ("busy", "busy-ground", 4.5),
        ("fill", "track", 3.0),
        ("fill", "card", 3.0),
    ],
)
def test_colours_have_the_contrast_of_wcag_aa(
    scheme: str, front: str, ground: str, least: float
) -> None:
    """https://www.w3.org/TR/WCAG21/#contrast-minimum"""
    known = colours(scheme)
    bright, dim = sorted((luminance(known[front]), luminance(known[ground])), reverse=True)

    assert (bright + 0.05) / (dim + 0.05) >= least
