"""Who is idle: only those of whom every rule says so, with all of its data."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import InputError, ThrottledError
from cml_iam.site import Idle
from cml_iam.workers import Activity, Judged, Use, WorkerManager, find_idle
from tests.workers.fake import NOW, FakeAws, instance

QUIET = Activity(nodes=0)
PERIODS = 24
WINDOW = Idle().window
BASE = {"InstanceId": "i-00000000000000001"}


def world(
    cpu: list[float] | None = None,
    network: list[float] | None = None,
    until: Any = NOW,
    **changed: Any,
) -> FakeAws:
    """Return AWS with one worker; *network* in KiB a second, in and out each."""
    aws = FakeAws(instances=[instance(**changed)])
    if cpu is not None:
        aws.publish("CPUUtilization", BASE, cpu, until=until)
    for metric in ("NetworkIn", "NetworkOut"):
        if network is not None:
            # EC2 counts bytes: the average of 5 samples, one for each minute.
            values = [rate * 1024 * 300 / 5 for rate in network]
            aws.publish(metric, BASE, values, until=until)
    return aws


def judged(aws: FakeAws, activity: Activity = QUIET, rules: Idle | None = None) -> Judged:
    manager = WorkerManager(aws, now=lambda: NOW)
    (found,) = find_idle(
        manager,
        manager.get_all_instances(),
        rules or Idle(),
        "cml-iam:hold",
        ask_cml=lambda _: activity,
        now=NOW,
    )
    return found


CALM = {"cpu": [1.0] * (PERIODS + 2), "network": [1.0] * (PERIODS + 2)}


def said(found: Judged) -> dict[str, tuple[str, str]]:
    return {each.rule: (each.use.value, each.words) for each in found.evidence}


def test_a_worker_of_which_every_rule_says_so_is_idle() -> None:
    found = judged(world(**CALM))

    assert found.use is Use.IDLE
    assert said(found) == {
        "cpu": ("idle", "at most 1.0 % in any 5 min, limit 5 %"),
        "network": ("idle", "at most 2.0 KiB/s in any 5 min, limit 20 KiB/s"),
        "cml": ("idle", "0 running nodes in labs, limit 0"),
    }


@pytest.mark.parametrize("at", [2, 13, PERIODS + 1])
def test_one_busy_period_is_enough_however_low_the_mean(at: int) -> None:
    cpu = [1.0] * (PERIODS + 2)
    cpu[at] = 30.0

    assert judged(world(cpu, CALM["network"])).use is Use.BUSY


def test_network_counts_in_both_directions_together() -> None:
    assert judged(world(CALM["cpu"], [9.9] * 26)).use is Use.IDLE
    assert judged(world(CALM["cpu"], [10.1] * 26)).use is Use.BUSY


def test_quiet_labs_are_use() -> None:
    found = judged(world(**CALM), Activity(nodes=3))

    assert found.use is Use.BUSY
    assert said(found)["cml"] == ("busy", "3 running nodes in labs, limit 0")


@pytest.mark.parametrize(
    ("aws", "activity", "rule", "words"),
    [
        (world(None, CALM["network"]), QUIET, "cpu", "no data"),
        (world(CALM["cpu"], None), QUIET, "network", "no data"),
        (world(**CALM), Activity(unknown="no login", remedy="log in"), "cml", "no login"),
        (world(**CALM, until=NOW - timedelta(hours=1)), QUIET, "cpu", "stale"),
        (world([1.0] * 8, CALM["network"]), QUIET, "cpu", "no point in"),
        (world(CALM["cpu"], [1.0] * 8), QUIET, "network", "no point in"),
        (world(**CALM, LaunchTime=NOW - timedelta(hours=1)), QUIET, "uptime", "started 1h 0m"),
        (world(**CALM, LaunchTime=None), QUIET, "uptime", "when it started"),
    ],
    ids=["no cpu", "no network", "no cml", "stale", "cpu gaps", "net gaps", "young", "no launch"],
)
def test_what_lacks_its_data_is_unknown_with_the_reason_never_idle(
    aws: FakeAws, activity: Activity, rule: str, words: str
) -> None:
    found = judged(aws, activity)

    assert found.use is Use.UNKNOWN
    assert said(found)[rule][0] == "unknown"
    assert words in said(found)[rule][1]


@pytest.mark.parametrize("refusal", ["denied", "throttled"])
def test_cloudwatch_that_does_not_answer_decides_nothing(refusal: str) -> None:
    aws = world(**CALM)
    if refusal == "denied":
        aws.denied.add("cloudwatch:GetMetricStatistics")
    else:
        aws.failing["get_metric_statistics"] = ThrottledError("slower")

    found = judged(aws)

    assert found.use is Use.UNKNOWN
    assert {each.use for each in found.evidence if each.rule != "cml"} == {Use.UNKNOWN}


def test_use_that_is_seen_needs_no_other_data() -> None:
    gaps = world([50.0] * 3, None)

    assert judged(gaps, Activity(unknown="?")).use is Use.BUSY


@pytest.mark.parametrize(
    ("value", "use"),
    [
        ("", Use.HELD),
        ("exam on Friday", Use.HELD),
        ("false", Use.HELD),
        ("2026-03-01", Use.HELD),  # today, to its end
        ("2026-02-28", Use.IDLE),
        ("2026-03-01T12:02:31+00:00", Use.HELD),
        ("2026-03-01T13:02:29+01:00", Use.IDLE),
        ("9999-12-31", Use.HELD),
    ],
)
def test_the_hold_tag_is_respected_until_its_date_is_over(value: str, use: Use) -> None:
    tags = [*instance()["Tags"], {"Key": "cml-iam:hold", "Value": value}]

    assert judged(world(**CALM, Tags=tags)).use is use


def test_a_rule_that_is_left_out_is_not_asked() -> None:
    aws = world(CALM["cpu"], None)

    found = judged(aws, rules=Idle(network_kib=None, cml_nodes=None))

    assert (found.use, set(said(found))) == (Use.IDLE, {"cpu"})
    asked = {given["MetricName"] for action, given in aws.calls if "Metric" in action}
    assert asked == {"CPUUtilization"}


def test_rules_that_would_call_everything_idle_are_refused() -> None:
    with pytest.raises(InputError, match="no rule is left"):
        judged(world(), rules=Idle(cpu_percent=None, network_kib=None, cml_nodes=None))
    with pytest.raises(InputError, match="15 minutes"):
        judged(world(), rules=Idle(window=timedelta(minutes=5)))


def test_only_running_workers_are_judged() -> None:
    manager = WorkerManager(world(State={"Name": "stopped"}), now=lambda: NOW)

    assert (
        find_idle(
            manager,
            manager.get_all_instances(),
            Idle(),
            "cml-iam:hold",
            ask_cml=lambda _: QUIET,
            now=NOW,
        )
        == ()
    )


@given(
    cpu=st.none() | st.lists(st.floats(0, 100), max_size=26),
    network=st.none() | st.lists(st.floats(0, 100), max_size=26),
    nodes=st.none() | st.integers(0, 3),
    age=st.integers(0, 48),
)
def test_no_worker_is_idle_that_lacks_data_or_was_used(
    cpu: list[float] | None, network: list[float] | None, nodes: int | None, age: int
) -> None:
    aws = world(cpu, network, LaunchTime=NOW - timedelta(hours=age / 8))

    found = judged(aws, Activity(nodes=nodes, unknown=None if nodes is not None else "?"))

    if found.use is Use.IDLE:
        assert cpu is not None
        assert network is not None
        assert min(len(cpu), len(network)) >= PERIODS - 1
        assert max(cpu[-PERIODS:]) <= 5
        assert 2 * max(network[-PERIODS:]) <= 20
        assert nodes == 0
        assert age / 8 >= 2
