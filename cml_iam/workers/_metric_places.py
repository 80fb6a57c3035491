"""Where CloudWatch has a worker's metrics: namespaces, names and dimensions.

Each set of dimensions is a metric of its own, and asking for one finds no point of another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from cml_iam.workers._metric import Dimensions, Measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.workers._model import Worker


@dataclass(frozen=True, slots=True)
class Place:
    """A metric under each of *parts*, whose points are summed; nearly always one."""

    namespace: str
    metric: str
    parts: tuple[Dimensions, ...]

    @property
    def form(self) -> str:
        """What it has in common with the same place of another worker."""
        names = ", ".join(name for name, _ in self.parts[0]) or "none"
        return f"{self.namespace} {self.metric}: {names}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A measure, the *places* where it may be, in this order, and *others* of more than a worker.

    Points in *others* are no worker's own, but show that an agent reports somewhere.
    """

    measure: Measure
    places: tuple[Place, ...]
    others: tuple[Place, ...] = ()


_INSTANCE: Final = {
    Measure.CPU: "CPUUtilization",
    Measure.NETWORK_IN: "NetworkIn",
    Measure.NETWORK_OUT: "NetworkOut",
}
_DISK: Final = {
    Measure.DISK_READ: ("EBSReadBytes", "VolumeReadBytes"),
    Measure.DISK_WRITE: ("EBSWriteBytes", "VolumeWriteBytes"),
    Measure.DISK_READ_OPS: ("EBSReadOps", "VolumeReadOps"),
    Measure.DISK_WRITE_OPS: ("EBSWriteOps", "VolumeWriteOps"),
}


def wanted_of(measure: Measure, instance_id: str, worker: Worker | None) -> Wanted:
    """Return where *measure* of an instance may be; *worker* is None where only the id is known."""
    alone: Dimensions = (("InstanceId", instance_id),)
    if measure in _INSTANCE:
        return Wanted(measure, (Place("AWS/EC2", _INSTANCE[measure], (alone,)),))
    if measure in _DISK:
        return Wanted(measure, _disk_places(measure, alone, worker))
    places = [_memory(each) for each in agent_dimensions(instance_id, worker)]
    others = [_memory(each) for each in _shared_dimensions(worker)]
    return Wanted(measure, tuple(places), tuple(others))


def agent_dimensions(instance_id: str, worker: Worker | None) -> tuple[Dimensions, ...]:
    """Return the sets of dimensions under which the CloudWatch agent may report a worker.

    The agent's wizard appends image, id and type, and the group's name in an Auto Scaling group;
    `aggregation_dimensions` of `[["InstanceId"]]` makes the other common one. An agent that
    appends nothing reports under `host` alone, the name the machine gives itself.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
    """
    alone: Dimensions = (("InstanceId", instance_id),)
    if worker is None:
        return (alone,)
    typed = ("InstanceType", worker.instance_type)
    full: Dimensions = (("ImageId", worker.image_id), *alone, typed)
    group = worker.tags.get("aws:autoscaling:groupName")
    grouped: Dimensions = (("AutoScalingGroupName", group or ""), *full)
    hosts: list[Dimensions] = [(("host", name),) for name in _host_names(worker)]
    return (full, alone, *([grouped] if group else []), *hosts, (*alone, typed))


def _host_names(worker: Worker) -> list[str]:
    """Return what the machine may call itself: its private name, whole and without the domain."""
    name = worker.private_dns_name or ""
    return list(dict.fromkeys(each for each in (name, name.partition(".")[0]) if each))


def _shared_dimensions(worker: Worker | None) -> tuple[Dimensions, ...]:
    """Return sets that an agent may aggregate to, in which no single worker can be told."""
    if worker is None:
        return ()
    group = worker.tags.get("aws:autoscaling:groupName")
    of_group: list[Dimensions] = [(("AutoScalingGroupName", group),)] if group else []
    return (
        (("ImageId", worker.image_id),),
        (("InstanceType", worker.instance_type),),
        *of_group,
        (),
    )


def _memory(dimensions: Dimensions) -> Place:
    return Place("CWAgent", "mem_used_percent", (dimensions,))


def _disk_places(measure: Measure, alone: Dimensions, worker: Worker | None) -> tuple[Place, ...]:
    """Return the instance's own sum, and that of its volumes, which bare metal has alone.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
    https://docs.aws.amazon.com/ebs/latest/userguide/using_cloudwatch_ebs.html
    """
    of_instance, of_volume = _DISK[measure]
    places = [Place("AWS/EC2", of_instance, (alone,))]
    if worker and worker.volume_ids:
        parts = tuple((("VolumeId", each),) for each in worker.volume_ids)
        places.append(Place("AWS/EBS", of_volume, parts))
        if ".metal" in worker.instance_type:
            places.reverse()
    return tuple(places)


class Found:
    """Remembers where metrics were found, so that the next time they are looked for there first.

    May be used from many threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._own: dict[tuple[str, Measure], str] = {}
        self._forms: Counter[str] = Counter()

    def note(self, instance_id: str, measure: Measure, place: Place) -> None:
        """Note that points of the instance's *measure* are in *place*."""
        with self._lock:
            if self._own.get((instance_id, measure)) != place.form:
                self._own[instance_id, measure] = place.form
                self._forms[place.form] += 1

    def ordered(
        self, instance_id: str, measure: Measure, places: Sequence[Place]
    ) -> tuple[Place, ...]:
        """Return *places*: the instance's own first, then those found most often of others."""
        with self._lock:
            own = self._own.get((instance_id, measure))
            return tuple(
                sorted(places, key=lambda each: (each.form != own, -self._forms[each.form]))
            )
