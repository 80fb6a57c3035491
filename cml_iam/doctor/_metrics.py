"""Unknown metrics: for each worker and metric, why, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cml_iam.doctor._model import Area, Diagnosis, Scene, State, Who, unchecked
from cml_iam.errors import CmlIamError
from cml_iam.workers import Unknown, list_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.workers import Metric, Worker

_AREA = Area.METRICS
_STATES: Final = {
    Unknown.NOT_RUNNING: State.OK,
    Unknown.TOO_YOUNG: State.ADVICE,
    Unknown.THROTTLED: State.UNCHECKED,
    Unknown.NO_ANSWER: State.UNCHECKED,
    Unknown.FAILED: State.UNCHECKED,
}
"""All others are findings."""

_DETAILED: Final = (
    "; detailed monitoring gives a point each minute: `aws ec2 monitor-instances --instance-ids {}`"
)


def metrics(scene: Scene, who: Who) -> Iterator[Diagnosis]:
    """Measure every worker, and explain each metric that is unknown."""
    if who.identity is None:
        said = "nobody is signed in to read them"
        yield Diagnosis(_AREA, "metrics", State.UNCHECKED, said)
        return
    try:
        fleet = list_fleet(scene.regions, lambda each: scene.manager.get_all_instances(region=each))
        used = scene.manager.get_utilization_of(
            fleet.workers,
            metric_data=scene.site is not None and scene.site.grant.metric_data,
        )
    except CmlIamError as error:
        yield unchecked(_AREA, "metrics", error)
        return
    for region, failure in sorted(fleet.failures.items()):
        yield unchecked(_AREA, region, failure, "the workers could not be listed")
    if not fleet.workers and not fleet.failures:
        yield Diagnosis(_AREA, "metrics", State.OK, "there is no worker to measure")
    for worker in fleet.workers:
        for metric in (used[worker.id].cpu, used[worker.id].memory):
            yield _judged(worker, metric)


def _judged(worker: Worker, metric: Metric) -> Diagnosis:
    subject = f"{metric.name} of {worker.label}"
    if metric.unknown is None:
        said = f"{metric.mean:.1f} % over {metric.count} points"
        return Diagnosis(_AREA, subject, State.OK, said)
    state = _STATES.get(metric.unknown, State.FINDING)
    said = f"unknown: {metric.unknown}" + (f": {metric.detail}" if metric.detail else "")
    remedy = metric.remedy if state is not State.OK else None
    slow = metric.unknown in (Unknown.WINDOW_TOO_SHORT, Unknown.NO_DATA)
    if remedy and slow and not worker.detailed_monitoring:
        remedy += _DETAILED.format(worker.id)
    return Diagnosis(_AREA, subject, state, said, remedy)
