"""The fleet in Prometheus' text format, 0.0.4. Unknown values are absent, never 0.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from cml_iam.visible import visible
from cml_iam.workers._health import Verdict

if TYPE_CHECKING:
    from cml_iam.workers._fleet import Listing
    from cml_iam.workers._metric import Utilization
    from cml_iam.workers._model import Worker
    from cml_iam.workers._monitor import Watched

Sample = tuple[Mapping[str, str], float]


def exposition(seen: Watched) -> str:
    """Return *seen* in Prometheus' text format."""
    return "".join(_families(seen))


def _families(seen: Watched) -> Iterator[str]:
    report = seen.report
    yield _family("up", "Whether EC2 answers these credentials.", [({}, report.connected)])
    yield _family("healthy", "Whether EC2 answers and no permission is refused.", [({}, report.ok)])
    times = {"connection": seen.checked_at, "fleet": seen.listed_at, "usage": seen.measured_at}
    yield _family(
        "checked_timestamp_seconds",
        "Time of the last answer, in Unix seconds; absent before the first answer.",
        _times(times),
    )
    yield _family(
        "permission",
        "Whether the permission is granted; absent if it could not be checked.",
        [
            ({"action": check.action, "region": health.region}, check.verdict is Verdict.ALLOWED)
            for health in seen.permissions
            for check in health.checks
            if check.verdict is not Verdict.UNCHECKED
        ],
    )
    if seen.fleet is not None:
        yield from _of_fleet(seen.fleet, seen.usage)
        yield from _of_workers(seen.fleet.workers, seen)


def _times(times: Mapping[str, datetime | None]) -> list[Sample]:
    return [({"what": what}, round(at.timestamp())) for what, at in times.items() if at]


def _of_fleet(fleet: Listing, usage: Mapping[str, Utilization]) -> Iterator[str]:
    counts = Counter((worker.region, worker.state) for worker in fleet.workers)
    yield _family(
        "workers",
        "Workers by region and state.",
        [({"region": region, "state": state}, n) for (region, state), n in sorted(counts.items())],
    )
    yield _family(
        "region_failed",
        "Regions whose workers could not be listed.",
        [({"region": region}, 1) for region in sorted(fleet.failures)],
    )
    for name in ("cpu", "memory"):
        means = [
            (_worker(worker), mean)
            for worker in fleet.workers
            if worker.id in usage
            for mean in (getattr(usage[worker.id], name).mean,)
            if mean is not None
        ]
        said = f"Mean {name} of the worker in percent; absent if it is unknown."
        yield _family(f"worker_{name}_percent", said, means)


def _of_workers(workers: Iterable[Worker], seen: Watched) -> Iterator[str]:
    running = [worker for worker in workers if worker.state == "running"]
    yield _family(
        "worker_launched_timestamp_seconds",
        "When the running worker was last started, in Unix time.",
        [
            (_worker(each), round(each.launched_at.timestamp()))
            for each in running
            if each.launched_at
        ],
    )
    yield _family(
        "worker_status_ok",
        "Whether both EC2 status checks pass; absent if they are unknown.",
        [
            (_worker(each), seen.statuses[each.id].ok)
            for each in running
            if each.id in seen.statuses
        ],
    )
    yield _family(
        "worker_cml_ready",
        "Whether CML is ready; absent if it was not queried or did not answer.",
        [
            (_worker(each), seen.cml[each.id].ready)
            for each in running
            if each.id in seen.cml and seen.cml[each.id].answered
        ],
    )


def _worker(worker: Worker) -> Mapping[str, str]:
    return {"id": worker.id, "name": worker.name, "region": worker.region}


def _family(name: str, said: str, samples: Iterable[Sample]) -> str:
    full = f"cml_iam_{name}"
    lines = [f"# HELP {full} {said}", f"# TYPE {full} gauge"]
    lines += [f"{full}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    # The format `g` would write a time of ten digits as 1.79e+09.
    return str(int(value)) if float(value).is_integer() else f"{float(value):.6g}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    """Return *value* as a label, with invisible characters and line breaks written out."""
    return visible(value).replace("\\", "\\\\").replace('"', '\\"')
