"""What /metrics answers is Prometheus' text format, read strictly.

https://prometheus.io/docs/instrumenting/exposition_formats/#text-format-details
"""

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

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
from cml_iam.workers.http_service import exposition
from tests.workers.fake import NOW

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?)")

Samples = dict[tuple[str, str], float]


def read(text: str) -> Samples:
    """Return the samples of *text*; fail where a strict reader would."""
    assert text.endswith("\n")
    found: Samples = {}
    helped: set[str] = set()
    family = ""
    seen: set[str] = set()
    for line in text.split("\n")[:-1]:
        if match := re.fullmatch(rf"# HELP ({NAME}) (.+)", line):
            assert match[1] not in helped
            helped.add(match[1])
        elif match := re.fullmatch(rf"# TYPE ({NAME}) (gauge|counter)", line):
            assert match[1] in helped
            assert match[1] not in seen, "a family stands in one piece"
            family = match[1]
            seen.add(family)
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] == family
            key = (match[1], match[2] or "")
            assert key not in found, "no series twice"
            found[key] = float(match[3])
    return found


def metric(name: str, value: float | None) -> Metric:
    if value is None:
        return Metric(name, 300, unknown=Unknown.NO_AGENT)
    return Metric(name, 300, (Point(NOW, value, value, 5.0),))


def watched(*workers: Worker, **usage: tuple[float | None, float | None]) -> Watched:
    used = {
        key.replace("_", "-"): utilization(key.replace("_", "-"), *values)
        for key, values in usage.items()
    }
    return Watched(
        Report(True, True, "us-east-1"),
        ("us-east-1",),
        (),
        Listing(workers, {"us-west-2": UnreachableError("no answer")}),
        used,
        NOW,
        NOW - timedelta(seconds=3),
    )


def utilization(key: str, cpu: float | None, memory: float | None) -> Utilization:
    return Utilization(
        key,
        "us-east-1",
        NOW,
        NOW,
        metrics={Measure.CPU: metric("cpu", cpu), Measure.MEMORY: metric("memory", memory)},
    )


def one(key: str, name: str = "lab") -> Worker:
    return Worker(key, "us-east-1", "running", "c5.metal", "ami-1", name)


def test_every_line_is_of_the_format_and_a_value_is_what_it_was() -> None:
    found = read(exposition(watched(one("i-1"), i_1=(12.5, 0.0))))

    labels = 'id="i-1",name="lab",region="us-east-1"'
    assert found["cml_iam_worker_cpu_percent", labels] == 12.5
    assert found["cml_iam_worker_memory_percent", labels] == 0.0
    assert found["cml_iam_workers", 'region="us-east-1",state="running"'] == 1
    assert found["cml_iam_region_failed", 'region="us-west-2"'] == 1
    assert found["cml_iam_checked_timestamp_seconds", 'what="fleet"'] == NOW.timestamp() - 3


def test_unknown_is_absent_and_not_zero() -> None:
    found = read(exposition(watched(one("i-1"), one("i-2"), i_1=(None, 40.0))))

    names = [name for name, _ in found]
    assert "cml_iam_worker_cpu_percent" not in names
    assert names.count("cml_iam_worker_memory_percent") == 1
    assert ("cml_iam_checked_timestamp_seconds", 'what="usage"') not in found


def test_without_the_fleet_there_is_no_count_of_it() -> None:
    seen = Watched(Report(False, False, "us-east-1"), (), (), None, {}, NOW)

    found = read(exposition(seen))

    assert found["cml_iam_up", ""] == 0
    assert not [name for name, _ in found if name.startswith("cml_iam_workers")]


@given(st.text(max_size=30), st.floats(0, 100))
def test_any_name_and_value_keep_the_format(name: str, value: float) -> None:
    found = read(exposition(watched(one("i-1", name), i_1=(value, None))))

    (cpu,) = [each for (kind, _), each in found.items() if kind == "cml_iam_worker_cpu_percent"]
    assert abs(cpu - value) <= 1e-4
