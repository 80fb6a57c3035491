"""What `serve` answers: health, and the fleet in Prometheus' text format."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import CmlIamError
from cml_iam.workers._fleet import Listing, list_fleet
from cml_iam.workers._health import Health, Verdict, health_lines
from cml_iam.workers._kept import Kept

if TYPE_CHECKING:
    from cml_iam.workers._launch import Launch
    from cml_iam.workers._manager import WorkerManager
    from cml_iam.workers._metric import Utilization

PATIENCE: Final = 4.0
"""Seconds an answer may take: a probe that waits 5 gets the reason rather than a time out."""

CONNECTION_SECONDS: Final = 10.0
PERMISSION_SECONDS: Final = 300.0
FLEET_SECONDS: Final = 30.0
USAGE_SECONDS: Final = 300.0
"""How long answers are kept. A dry run of RunInstances draws on a bucket of 5 calls, and metrics
have a point every five minutes: asking more often says nothing new."""


@dataclass(frozen=True, slots=True)
class Report:
    """Whether the manager can work: *reasons* say why not, *unchecked* what is not known."""

    ok: bool
    connected: bool
    region: str
    reasons: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "status": "ok" if self.ok else "failing",
            "connected": self.connected,
            "region": self.region,
            "reasons": list(self.reasons),
            "unchecked": list(self.unchecked),
        }


class Monitor:
    """Watches one manager for any number of readers, with few calls however many there are."""

    def __init__(
        self,
        manager: WorkerManager,
        regions: Sequence[str],
        home: str,
        *,
        probe: Launch | None = None,
        metric_data: bool = False,
        logger: logging.Logger | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.home = home
        self._patience = patience
        self._logger = logger or logging.getLogger("cml_iam.health")
        self._logged: tuple[tuple[int, str], ...] = ()
        self._lock = Lock()
        self._metric_data = metric_data
        self._manager = manager
        self._connection = Kept(
            lambda: manager.health(region=home, permissions=False), CONNECTION_SECONDS
        )
        self._permissions = Kept(
            lambda: manager.health(region=home, probe=probe), PERMISSION_SECONDS
        )
        self._fleet = Kept(
            lambda: list_fleet(regions, lambda each: manager.get_all_instances(region=each)),
            FLEET_SECONDS,
        )
        self._usage = Kept(self._measure, USAGE_SECONDS)

    def report(self) -> Report:
        """Return whether the manager can work; never takes much longer than the patience."""
        connection = self._connection.get(self._patience)
        if connection.value is None or connection.error:
            why = connection.error.message if connection.error else "not asked yet"
            self._log(_hanging(why))
            return Report(False, False, self.home, (f"EC2 in {self.home}: {why}",))
        if connection.value.failure:
            self._log(health_lines(connection.value))
            return Report(False, False, self.home, (connection.value.failure.message,))
        # They are tried in the background: nobody's probe waits for a dozen calls.
        permissions = self._permissions.get(0.0)
        known = permissions.value or connection.value
        self._log(health_lines(known))
        return _report(self.home, known, permissions.error)

    def metrics(self) -> str:
        """Return what is known in Prometheus' text format, 0.0.4.

        https://prometheus.io/docs/instrumenting/exposition_formats/
        """
        report = self.report()
        fleet = self._fleet.get(self._patience if report.connected else 0.0)
        usage = self._usage.get(0.0)
        permissions = self._permissions.get(0.0).value
        return "".join(_exposition(report, permissions, fleet.value, usage.value or {}))

    def fleet(self) -> Listing | None:
        """Return the workers as last seen, None where they could not be listed."""
        return self._fleet.get(self._patience).value

    def _measure(self) -> Mapping[str, Utilization]:
        found = self._fleet.get(self._patience).value
        running = [each for each in found.workers if each.state == "running"] if found else []
        return self._manager.get_utilization_of(running, metric_data=self._metric_data)

    def _log(self, lines: tuple[tuple[int, str], ...]) -> None:
        """Write *lines* when they are news."""
        with self._lock:
            if lines == self._logged:
                return
            self._logged = lines
        for level, line in lines:
            self._logger.log(level, line)


def _hanging(why: str) -> tuple[tuple[int, str], ...]:
    failed = f"⚠️ AWS EC2 health check failed: Error while verifying access to EC2: {why}"
    return (logging.WARNING, failed), (logging.WARNING, "⚠️ AWS operations may fail at runtime")


def _report(home: str, health: Health, error: CmlIamError | None) -> Report:
    if health.failure:
        return Report(False, False, home, (health.failure.message,))
    refused = tuple(f"{each.action}: {each.detail}" for each in health.having(Verdict.REFUSED))
    unchecked = [f"{each.action}: {each.detail}" for each in health.having(Verdict.UNCHECKED)]
    if error:
        unchecked.append(f"permissions: {error.message}")
    return Report(not refused, True, home, refused, tuple(unchecked))


Sample = tuple[Mapping[str, str], float]


def _exposition(
    report: Report,
    permissions: Health | None,
    fleet: Listing | None,
    usage: Mapping[str, Utilization],
) -> Iterator[str]:
    yield _family("up", "Whether EC2 answers with these credentials.", [({}, report.connected)])
    yield _family("healthy", "Whether EC2 answers and refuses nothing.", [({}, report.ok)])
    checks = permissions.checks if permissions else ()
    known = [each for each in checks if each.verdict is not Verdict.UNCHECKED]
    yield _family(
        "permission",
        "Whether the permission is there; absent where it could not be checked.",
        [({"action": each.action}, each.verdict is Verdict.ALLOWED) for each in known],
    )
    if fleet is None:
        return
    counts = Counter((each.region, each.state) for each in fleet.workers)
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
            ({"id": each.id, "name": each.name, "region": each.region}, mean)
            for each in fleet.workers
            if each.id in usage
            for mean in (getattr(usage[each.id], name).mean,)
            if mean is not None
        ]
        said = f"Mean {name} of the worker in percent; absent where it is unknown."
        yield _family(f"worker_{name}_percent", said, means)


def _family(name: str, said: str, samples: Iterable[Sample]) -> str:
    full = f"cml_iam_{name}"
    lines = [f"# HELP {full} {said}", f"# TYPE {full} gauge"]
    lines += [f"{full}{_labels(labels)} {float(value):g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
