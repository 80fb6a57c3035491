"""The data for `serve`: health, and the latest view of the fleet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, TypeVar

from cml_iam import clock
from cml_iam.aws.port import Identity
from cml_iam.errors import IncompleteError
from cml_iam.workers._changes import Launch
from cml_iam.workers._cml import CmlAnswer
from cml_iam.workers._fleet import Listing, list_fleet, statuses, try_permissions
from cml_iam.workers._health import Health, Verdict, failure_lines, health_lines
from cml_iam.workers._manager import WorkerManager
from cml_iam.workers._metric import Utilization
from cml_iam.workers._metric_series import DEFAULT_WINDOW
from cml_iam.workers._model import InstanceStatus, Worker
from cml_iam.workers._threads import Cache, Cached, in_threads

PATIENCE: Final = 4.0
"""Maximum seconds per answer: a probe with a timeout of 5 seconds still receives the reason."""

CONNECTION_SECONDS: Final = 10.0
PERMISSION_SECONDS: Final = 300.0
FLEET_SECONDS: Final = 30.0
CONDITION_SECONDS: Final = 60.0
IDENTITY_SECONDS: Final = 300.0
USAGE_SECONDS: Final = 300.0
"""How long answers are cached, in seconds.

A dry run of RunInstances counts against a quota of 5 calls. Metrics have a point every five
minutes, so more frequent requests would return nothing new.
"""

TREND: Final = timedelta(hours=3)
"""How long a trend is; the load is averaged over the end of it."""

ANSWERED: Final = "✅ AWS EC2 has answered: listing and measuring workers is enabled"

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Report:
    """Whether the manager can work: the *reasons* why not, and the *unchecked* permissions."""

    ok: bool
    connected: bool
    region: str
    reasons: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {"status": "ok" if values.pop("ok") else "failing", **values}


@dataclass(frozen=True, slots=True)
class Watched:
    """Everything known at one time; a time is None if there was never a response.

    *regions* are those listed; *why_unlisted* says why there is no *fleet*. *usage* covers the last
    quarter of an hour, *trends* the last hours. *statuses* and *cml* are by worker id, without
    workers that were not queried. *site* is the name of the site file.
    """

    report: Report
    regions: tuple[str, ...]
    permissions: tuple[Health, ...]
    fleet: Listing | None
    usage: Mapping[str, Utilization]
    checked_at: datetime
    listed_at: datetime | None = None
    measured_at: datetime | None = None
    why_unlisted: str = ""
    trends: Mapping[str, Utilization] = field(default_factory=dict)
    statuses: Mapping[str, InstanceStatus] = field(default_factory=dict)
    cml: Mapping[str, CmlAnswer] = field(default_factory=dict)
    identity: Identity | None = None
    site: str = ""


class Monitor:
    """Watches one manager; any number of readers share few calls.

    *prober* checks whether EC2 answers; its connection should time out within *patience*, so that
    the reason is known by then. *manager* does everything else once EC2 has answered. *identify*
    returns the owner of the credentials. *cml* queries CML on a worker; None means no queries.
    """

    def __init__(
        self,
        manager: WorkerManager,
        regions: Sequence[str],
        home: str,
        *,
        probe: Callable[[str], Launch | None] = lambda _region: None,
        grants: frozenset[str] = frozenset(),
        logger: logging.Logger | None = None,
        patience: float = PATIENCE,
        prober: WorkerManager | None = None,
        identify: Callable[[], Identity] | None = None,
        cml: Callable[[Worker], CmlAnswer] | None = None,
        site: str = "",
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self.home = home
        self.regions = tuple(regions)
        self._manager = manager
        self._answered = False
        self._now = now
        self._patience = patience
        self._logger = logger or logging.getLogger("cml_iam.health")
        self._logged: tuple[tuple[int, str], ...] = ()
        self._lock = Lock()
        self._grants = grants
        examiner = prober or manager
        self._connection = Cache(
            lambda: examiner.health(region=home, permissions=False), CONNECTION_SECONDS
        )
        self._permissions = Cache(
            lambda: try_permissions(self._registered(), self.regions, probe, grants=grants),
            PERMISSION_SECONDS,
        )
        self._fleet = Cache(self._list, FLEET_SECONDS)
        self._usage = Cache(self._measure, USAGE_SECONDS)
        self._condition = Cache(self._examine, CONDITION_SECONDS)
        self._identity = Cache(identify, IDENTITY_SECONDS) if identify else None
        self._cml = cml
        self._site = site

    def report(self) -> Report:
        """Return whether the manager can work, within about the `patience` seconds."""
        return self._report(time.monotonic() + self._patience)[0]

    def watch(self) -> Watched:
        """Return everything known, within about the `patience` seconds."""
        until = time.monotonic() + self._patience
        report, age = self._report(until)
        fleet = self._fleet.get(_left(until) if report.connected else 0.0)
        usage = self._usage.get(0.0)
        checks, answers = self._condition.get(0.0).value or ({}, {})
        identity = self._identity.get(_left(until)).value if self._identity else None
        recent, trends = usage.value or ({}, {})
        permissions = self._permissions.get(0.0).value if report.connected else None
        return Watched(
            report,
            self.regions,
            permissions or (),
            fleet.value,
            recent,
            self._now() - timedelta(seconds=age),
            self._at(fleet),
            self._at(usage),
            fleet.error.message if fleet.error and report.connected else "",
            trends,
            checks,
            answers,
            identity,
            self._site,
        )

    def _at(self, answer: Cached[Value]) -> datetime | None:
        return None if answer.value is None else self._now() - timedelta(seconds=answer.age)

    def _report(self, until: float) -> tuple[Report, float]:
        connection = self._connection.get(_left(until))
        if connection.value is None or connection.error:
            why = connection.error.message if connection.error else "not queried yet"
            self._log(failure_lines(why))
            return Report(False, False, self.home, (f"EC2 in {self.home}: {why}",)), 0.0
        if connection.value.failure:
            self._log(health_lines(connection.value))
            reasons = (connection.value.failure.message,)
            return Report(False, False, self.home, reasons), connection.age
        self._register(connection.value)
        # Permissions are tried in the background, so that no probe waits for a dozen calls.
        permissions = self._permissions.get(0.0)
        healths = permissions.value or (connection.value,)
        self._log(health_lines(*healths))
        why_unchecked = ""
        if permissions.value is None:
            why_unchecked = "they are being tried for the first time"
        elif permissions.error and permissions.age > 2 * PERMISSION_SECONDS:
            why_unchecked = permissions.error.message
        return _report(self.home, healths, why_unchecked), connection.age

    def _register(self, connection: Health) -> None:
        """Enable the manager once EC2 has answered, and log it in the documented form."""
        with self._lock:
            if self._answered:
                return
            self._answered = True
            self._logged = health_lines(connection)
        for level, line in (*health_lines(connection), (logging.INFO, ANSWERED)):
            self._logger.log(level, line)

    def _registered(self) -> WorkerManager:
        """Return the manager; raises IncompleteError until EC2 has answered."""
        if not self._answered:
            raise IncompleteError("EC2 has not answered yet, so nothing else was checked")
        return self._manager

    def _list(self) -> Listing:
        manager = self._registered()
        return list_fleet(self.regions, lambda region: manager.get_all_instances(region=region))

    def _running(self) -> list[Worker]:
        listing = self._fleet.get(self._patience).value
        workers = listing.workers if listing else ()
        return [worker for worker in workers if worker.state == "running"]

    def _measure(self) -> tuple[Mapping[str, Utilization], Mapping[str, Utilization]]:
        running, manager = self._running(), self._registered()
        trends = manager.get_utilization_of(
            running, window=TREND, metric_data="metric_data" in self._grants
        )
        recent = {id_: trend.since(trend.end - DEFAULT_WINDOW) for id_, trend in trends.items()}
        return recent, trends

    def _examine(self) -> tuple[Mapping[str, InstanceStatus], Mapping[str, CmlAnswer]]:
        manager, running = self._registered(), self._running()
        checks = statuses(manager, running)
        if self._cml is None:
            return checks, {}
        up = [worker for worker in running if worker.id in checks and checks[worker.id].ok]
        answers = in_threads(self._cml, up)
        return checks, {worker.id: answer for worker, answer in zip(up, answers, strict=True)}

    def _log(self, lines: tuple[tuple[int, str], ...]) -> None:
        """Write *lines* if they are new."""
        with self._lock:
            if lines == self._logged:
                return
            self._logged = lines
        for level, line in lines:
            self._logger.log(level, line)


def _left(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _report(home: str, healths: Sequence[Health], why_unchecked: str) -> Report:
    reasons, unchecked = [], []
    for health in healths:
        where = f"{health.region}: " if len(healths) > 1 else ""
        if health.failure:
            reasons.append(where + health.failure.message)
            continue
        reasons += [
            f"{where}{check.action}: {check.detail}" for check in health.having(Verdict.REFUSED)
        ]
        unchecked += [
            f"{where}{', '.join(actions)}: {why}" for (why, _), actions in health.untried.items()
        ]
    if why_unchecked:
        unchecked.append(f"permissions: {why_unchecked}")
    return Report(not reasons, True, home, tuple(reasons), tuple(unchecked))
