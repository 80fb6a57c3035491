"""The page of the fleet: whole, without requests, working without its script, and truthful.

That its colours have the contrast of WCAG AA is tested with the style sheet, in tests/audit.
"""

import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest

from cml_iam.aws import Identity
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
from cml_iam.workers._cml import CmlAnswer
from cml_iam.workers._model import InstanceStatus, ScheduledEvent
from cml_iam.workers._page import fleet_page
from tests.workers.fake import NOW

VOID = {"meta", "link", "br", "input", "path", "use", "rect", "polyline"}


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

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
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


def page_of(seen: Watched) -> str:
    return fleet_page(seen).text


def watched(
    *workers: Worker, usage: Any = None, report: Report | None = None, **more: Any
) -> Watched:
    return Watched(
        report or Report(True, True, "us-east-1"),
        ("us-east-1", "us-west-2"),
        (),
        Listing(workers, {}),
        usage or {},
        NOW,
        NOW - timedelta(seconds=20),
        NOW - timedelta(seconds=200),
        **more,
    )


def test_it_loads_nothing_and_its_script_is_the_only_one_its_policy_allows() -> None:
    found = fleet_page(watched(worker(1), worker(2, public_ip="203.0.113.7")))
    reader = read(found.text)

    names = [name for name, _ in reader.tags]
    assert {"img", "iframe", "form", "object", "video", "base"}.isdisjoint(names)
    urls = [each for _, given in reader.tags for key in ("src", "href") if (each := given.get(key))]
    known = r"data:image/svg|#|health$|metrics$|https://203\.0\.113\.7/$"
    assert [url for url in urls if not re.match(known, url)] == []
    assert not [name for _, given in reader.tags for name in given if name in ("src", "style")]
    assert not [name for _, given in reader.tags for name in given if name.startswith("on")]
    for kind in ("script", "style"):
        (inside,) = re.findall(rf"<{kind}>(.*?)</{kind}>", found.text, re.DOTALL)
        digest = b64encode(sha256(inside.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in found.policy


def test_nothing_asks_again_by_itself_but_the_script_that_can_be_switched_off() -> None:
    page = page_of(watched(worker(1)))
    reader = read(page)

    assert not [given for _, given in reader.tags if given.get("http-equiv") == "refresh"]
    assert ("a", {"href": ""}) in reader.tags
    (label,) = [given for name, given in reader.tags if name == "label"]
    assert "hidden" in label, "without the script there is nothing to switch off"


def test_workers_stand_by_region_each_with_symbol_and_word() -> None:
    states = ["running", "pending", "stopping", "stopped", "shutting-down", "terminated", "odd"]
    workers = [worker(n, state) for n, state in enumerate(states)]
    text = read(page_of(watched(*workers, worker(9, region="us-west-2")))).text

    assert re.search(r"us-east-1: 6 workers .* us-west-2: 1 worker .* Terminated: 1 worker ", text)
    for symbol, state in zip("●◔◑○◑✕?", states, strict=True):
        assert re.search(rf"{re.escape(symbol)} +{state}", text)
    assert "● running 2" in text


def test_terminated_workers_are_folded_away_and_not_counted_among_the_living() -> None:
    page = page_of(watched(worker(1), worker(2, "terminated", state_reason="User initiated")))
    (folded,) = re.findall(r"<details><summary><h2>(.*?)</details>", page, re.DOTALL)

    assert "Terminated: 1 worker" in folded
    assert "lab-2" in folded
    assert "User initiated" in folded
    assert "us-east-1: 1 worker" in page


def test_the_head_says_whose_fleet_it_is() -> None:
    identity = Identity("111122223333", "arn:aws:iam::111122223333:user/u", "AIDAEXAMPLE")
    page = page_of(watched(worker(1), identity=identity, site="cml-iam.toml"))
    text = read(page).text

    assert "Account 111122223333 Site cml-iam.toml Asked as arn:aws:iam::111122223333:" in text
    assert "of 111122223333</title>" in page
    assert "Account" not in read(page_of(watched(worker(1)))).text


def test_a_worker_says_how_long_it_is_up_how_its_checks_are_and_whether_cml_is_ready() -> None:
    since = NOW - timedelta(hours=30)
    workers = [worker(n, launched_at=since) for n in range(4)]
    event = ScheduledEvent("instance-retirement", "", None)
    statuses = {
        "i-0": InstanceStatus("i-0", "running", "ok", "ok", events=(event,)),
        "i-1": InstanceStatus("i-1", "running", "ok", "impaired"),
        "i-2": InstanceStatus("i-2", "running", "initializing", "initializing"),
    }
    cml = {
        "i-0": CmlAnswer(True, "CML 2.9.0 is ready", "2.9.0", answered=True),
        "i-1": CmlAnswer(False, "CML: HTTP 502", answered=True),
        "i-2": CmlAnswer(False, "CML: no answer (timed out)"),
    }
    text = read(page_of(watched(*workers, statuses=statuses, cml=cml))).text
    rows = re.findall(r"lab-\d .*?(?=lab-\d|$)", text)

    assert "✖ EC2 answers; 1 worker impaired" in text, "then all is not well"

    assert all("1d 6h" in row for row in rows)
    assert "✔ 2 of 2 passed instance-retirement" in rows[0]
    assert "✔ ready 2.9.0" in rows[0]
    assert "✖ impaired system ok, instance impaired" in rows[1]
    assert "◔ not ready HTTP 502" in rows[1]
    assert "◔ not passed yet" in rows[2]
    assert "? not known no answer (timed out)" in rows[2]
    assert "? not known yet" in rows[3]


def test_only_an_address_is_a_link_to_the_worker() -> None:
    page = page_of(watched(worker(1, public_ip="203.0.113.7"), worker(2, public_ip="x.example")))

    assert '<a href="https://203.0.113.7/" rel="noreferrer">203.0.113.7</a>' in page
    assert "https://x.example" not in page


def test_a_trend_has_a_gap_where_nothing_is_known() -> None:
    start = NOW - timedelta(minutes=30)
    points = tuple(
        Point(start + timedelta(minutes=5 * n), 10.0 * n, 10.0 * n, 5.0) for n in (0, 1, 3, 4, 5)
    )
    memory = Metric("memory", 300, unknown=Unknown.NO_AGENT)
    usage = Utilization(
        "i-1",
        "us-east-1",
        start,
        NOW,
        {Measure.CPU: Metric("cpu", 300, points), Measure.MEMORY: memory},
    )
    recent = usage.since(NOW - timedelta(minutes=15))
    page = page_of(watched(worker(1), usage={"i-1": recent}, trends={"i-1": usage}))

    assert "40 %" in read(page).text, "the mean is of the last quarter of an hour alone"
    lines = re.findall(r'<polyline points="(.*?)"/>', page)
    assert lines == ["0,100 1,90", "3,70 4,60 5,50"]
    assert 'aria-label="cpu over 30m, 50 % at most"' in page


def test_a_measure_is_a_number_and_a_bar_and_zero_is_one_too() -> None:
    cpu = Metric("cpu", 300, (Point(NOW, 42.4, 50.0, 5.0),))
    memory = Metric("memory", 300, (Point(NOW, 0.0, 0.0, 5.0),))
    page = page_of(watched(worker(1), usage={"i-1": utilization(1, cpu, memory)}))

    assert "42 %" in read(page).text
    assert "0 %" in read(page).text
    assert re.findall(r'class="fill" x="0" y="7" width="(\d+)"', page) == ["424", "0"]


def test_unknown_says_why_and_what_to_do_and_has_no_bar() -> None:
    unknown = Metric("memory", 300, unknown=Unknown.NO_AGENT)
    cpu = Metric("cpu", 300, unknown=Unknown.NO_PERMISSION)
    page = page_of(watched(worker(1), usage={"i-1": utilization(1, cpu, unknown)}))
    reader = read(page)

    assert "unknown no agent what to do install the CloudWatch agent" in reader.text
    assert "unknown no permission what to do grant cloudwatch:GetMetricStatistics" in reader.text
    assert "<rect" not in page
    assert [name for name, _ in reader.tags].count("summary") == 2


def test_one_that_does_not_run_is_not_said_to_lack_anything() -> None:
    text = read(page_of(watched(worker(1, "stopped"), worker(2)))).text

    assert "unknown" not in text[: text.index("lab-2")]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report(True, True, "us-east-1"), "✔ All is well"),
        (
            Report(True, True, "us-east-1", (), ("ec2:X: why",)),
            "? EC2 answers; not everything could be",
        ),
        (Report(False, True, "us-east-1", ("ec2:X: no",)), "✖ A permission is missing"),
        (Report(False, False, "us-east-1", ("AuthFailure",)), "✖ EC2 cannot be used"),
    ],
)
def test_the_verdict_comes_first_with_its_reasons(report: Report, said: str) -> None:
    reader = read(page_of(watched(report=report)))

    assert said in reader.text
    assert reader.text.index(said) < reader.text.index("2026-03-01 12:02:30 UTC")
    for reason in (*report.reasons, *report.unchecked):
        assert reason in reader.text
    assert ("cml-iam doctor" in reader.text) is not report.ok


def test_before_the_first_measurement_nothing_is_claimed_to_be_well() -> None:
    first = watched(worker(1))
    unlisted = replace(first, fleet=None)
    stopped = watched(worker(1, "stopped"))

    assert "? EC2 answers; not everything is known yet" in read(page_of(first)).text
    assert "? EC2 answers; not everything is known yet" in read(page_of(unlisted)).text
    assert "✔ All is well" in read(page_of(stopped)).text


def test_times_are_those_of_the_answers() -> None:
    text = read(page_of(watched(worker(1)))).text

    assert "EC2 last asked 2026-03-01 12:02:30 UTC" in text
    assert "workers as of 2026-03-01 12:02:10 UTC, CPU and memory as of 2026-03-01 11:59:10" in text


def test_workers_that_are_not_known_are_not_none() -> None:
    seen = Watched(
        Report(False, False, "us-east-1"), (), (), None, {}, NOW, why_unlisted="it hangs"
    )

    assert "? The workers are unknown: it hangs." in read(page_of(seen)).text
    assert "There are no workers." in read(page_of(watched())).text


def test_a_region_that_could_not_be_listed_is_named() -> None:
    seen = watched(worker(1))
    seen.fleet and seen.fleet.failures.update({"us-west-2": UnreachableError("no answer")})

    assert "us-west-2: workers could not be listed: no answer" in read(page_of(seen)).text


def test_what_others_wrote_stays_text() -> None:
    bad = '<script>"&</script>'
    odd = worker(1, "stopped", state_reason=bad, public_ip=bad, zone=bad)
    page = page_of(watched(odd, report=Report(False, False, bad, (bad,))))

    assert '<script>"' not in page
    assert "&lt;script&gt;" in page
    assert read(page).text.count(bad) >= 4
