"""Find running workers that every rule finds idle, with complete data.

CPU and network alone cannot distinguish an idle worker from a worker with quiet labs, whose nodes
need little of either while they wait. Therefore CML itself reports how many nodes run, unless that
rule is skipped. A worker is kept if it has the hold tag, or if AWS would do more than stop it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final

from cml_iam.clock import short_span
from cml_iam.errors import InputError
from cml_iam.report import plural
from cml_iam.visible import visible
from cml_iam.workers._cml import Activity
from cml_iam.workers._metric import Measure, Metric, Utilization
from cml_iam.workers._model import Worker, in_utc
from cml_iam.workers._threads import in_threads

if TYPE_CHECKING:
    from cml_iam.site import Idle
    from cml_iam.workers._manager import WorkerManager


_LATE: Final = 2
"""The number of periods at the end of a window for which CloudWatch may not have data yet."""

_KIB: Final = 1024


class Use(StrEnum):
    """Whether a worker is in use, by one rule or by all."""

    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The result of a *rule*, in words, with a *remedy* if the result is unknown."""

    rule: str
    use: Use
    words: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A running worker and whether it is idle; *hold* is the reason not to stop it."""

    worker: Worker
    use: Use
    evidence: tuple[Evidence, ...]
    hold: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.worker.named,
            "instance_type": self.worker.instance_type,
            "use": self.use,
            "hold": self.hold,
            "evidence": [asdict(evidence) for evidence in self.evidence],
        }


def find_idle(
    manager: WorkerManager,
    workers: Sequence[Worker],
    rules: Idle,
    hold_tag: str,
    *,
    ask_cml: Callable[[Worker], Activity],
    now: datetime,
    metric_data: bool = False,
) -> tuple[Judged, ...]:
    """Judge those of *workers* that run, in order; *ask_cml* is called if a rule needs it."""
    check_rules(rules)
    running = [worker for worker in workers if worker.state == "running"]
    measures = [] if rules.cpu_percent is None else [Measure.CPU]
    if rules.network_kib is not None:
        measures += [Measure.NETWORK_IN, Measure.NETWORK_OUT]
    used: dict[str, Utilization] = {}
    if measures:
        used = manager.get_utilization_of(
            running, window=rules.window, measures=measures, metric_data=metric_data
        )
    answers = in_threads(ask_cml, [] if rules.cml_nodes is None else running)
    return tuple(
        _judged(worker, used.get(worker.id), activity, rules, hold_tag, now)
        for worker, activity in zip_longest(running, answers)
    )


def check_rules(rules: Idle) -> None:
    """Raise InputError for rules that would make every worker idle."""
    if rules.cpu_percent is None and rules.network_kib is None and rules.cml_nodes is None:
        raise InputError("no rule is left: every worker would count as idle")
    if rules.window < timedelta(minutes=15):
        raise InputError(
            "the window is shorter than 15 minutes",
            remedy="EC2 reports every five minutes, so a shorter window proves nothing",
        )


def _judged(
    worker: Worker,
    used: Utilization | None,
    activity: Activity | None,
    rules: Idle,
    hold_tag: str,
    now: datetime,
) -> Judged:
    """Judge a running *worker*: busy by any rule, idle by all, otherwise unknown."""
    evidence: list[Evidence] = []
    if used is not None and rules.cpu_percent is not None:
        evidence.append(_cpu(used, rules.cpu_percent))
    if used is not None and rules.network_kib is not None:
        evidence.append(_network(used, rules.network_kib))
    if activity is not None and rules.cml_nodes is not None:
        evidence.append(_cml(activity, rules.cml_nodes))
    if young := _too_young(worker, rules.window, now):
        evidence.append(young)
    hold = _held(worker, hold_tag, now) or risk_of_stopping(worker)
    uses = {result.use for result in evidence}
    use = next((use for use in (Use.BUSY, Use.UNKNOWN, Use.IDLE) if use in uses), Use.UNKNOWN)
    return Judged(worker, Use.HELD if hold else use, tuple(evidence), hold)


def _too_young(worker: Worker, window: timedelta, now: datetime) -> Evidence | None:
    if worker.launched_at is None:
        return Evidence("uptime", Use.UNKNOWN, "EC2 does not report when it started")
    age = now - worker.launched_at
    if age >= window:
        return None
    words = f"started {short_span(age)} ago, but the window is {short_span(window)}"
    remedy = "try again later, or use a shorter window"
    return Evidence("uptime", Use.UNKNOWN, words, remedy)


def _cpu(used: Utilization, limit: float) -> Evidence:
    metric = used.cpu
    bound = f"limit {limit:g} %"
    if missing := _missing("cpu", metric, used):
        busy = _above(metric, limit)
        return missing if busy is None else Evidence("cpu", Use.BUSY, f"{busy:.1f} %, {bound}")
    worst = max(point.average for point in metric.points)
    words = f"at most {worst:.1f} % in any {metric.period // 60} min, {bound}"
    return _by_limit("cpu", worst, limit, words)


def _network(used: Utilization, limit: float) -> Evidence:
    both = (used.network_in, used.network_out)
    bound = f"limit {limit:g} KiB/s"
    if missing := [gap for metric in both if (gap := _missing("network", metric, used))]:
        over = [excess for metric in both if (excess := _above(metric, limit * _KIB))]
        words = f"{max(over, default=0) / _KIB:.1f} KiB/s one way, {bound}"
        return Evidence("network", Use.BUSY, words) if over else missing[0]
    total: dict[datetime, float] = defaultdict(float)
    for metric in both:
        for point in metric.points:
            total[point.at] += point.average
    worst = max(total.values()) / _KIB
    words = f"at most {worst:.1f} KiB/s in any {both[0].period // 60} min, {bound}"
    return _by_limit("network", worst, limit, words)


def _cml(activity: Activity, limit: int) -> Evidence:
    if activity.nodes is None:
        return Evidence("cml", Use.UNKNOWN, activity.unknown or "not asked", activity.remedy)
    words = f"{plural(activity.nodes, 'running node')} in labs, limit {limit}"
    return _by_limit("cml", activity.nodes, limit, words)


def _by_limit(rule: str, value: float, limit: float, words: str) -> Evidence:
    return Evidence(rule, Use.IDLE if value <= limit else Use.BUSY, words)


def _above(metric: Metric, limit: float) -> float | None:
    """Return the highest average if above *limit*: it proves use even if points are missing."""
    return max((point.average for point in metric.points if point.average > limit), default=None)


def _missing(rule: str, metric: Metric, used: Utilization) -> Evidence | None:
    """Return why *metric* is not conclusive; None if every whole period has a data point."""
    name = metric.name.replace("_", " ")
    if metric.unknown:
        words = f"{name} {metric.unknown}: {metric.detail}"
        return Evidence(rule, Use.UNKNOWN, words, metric.remedy)
    slots = metric.slots(used.start, used.end)
    gaps = sum(slot is None for slot in slots[: max(1, len(slots) - _LATE)])
    if not gaps:
        return None
    return Evidence(
        rule,
        Use.UNKNOWN,
        f"{name}: no point in {gaps} of {plural(len(slots), 'period')}",
        "try again later, or check why EC2 did not report",
    )


def _held(worker: Worker, tag: str, now: datetime) -> str | None:
    """Return why no rule may stop or start *worker*, or None.

    A worker with *tag* is held, unless the tag's value is a time or a date in the past. A date such
    as `2026-12-31` lasts through its end in UTC.
    """
    if tag not in worker.tags:
        return None
    value = worker.tags[tag].strip()
    until = _until(value)
    if until is None:
        return f"`{tag}={visible(value)}`" if value else f"`{tag}`"
    return f"`{tag}` until {until:%Y-%m-%d %H:%M} UTC" if now < until else None


def risk_of_stopping(worker: Worker) -> str | None:
    """Return why EC2 would not simply stop *worker*, in words, or None.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/health-checks-overview.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-spot-instance-stop-start.html
    """
    if worker.auto_scaling_group is not None:
        return (
            f"a member of the Auto Scaling group `{visible(worker.auto_scaling_group)}`, which "
            "terminates a stopped instance and launches another"
        )
    if worker.lifecycle == "spot":
        return "a Spot instance, which EC2 stops only if the Spot request is persistent"
    return None


def _until(value: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(value), time(), UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        pass
    try:
        return in_utc(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        return None
