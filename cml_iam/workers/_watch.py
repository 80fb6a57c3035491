"""The fleet as it is, again and again: what changed, and what could not be asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cml_iam.workers._fleet import Listing
from cml_iam.workers._metric import Utilization
from cml_iam.workers._model import Worker

FRESH: Final = timedelta(seconds=60)
"""How long metrics are kept: EC2 reports every minute at the finest, and every question costs."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The fleet at a moment: *before* has the earlier state of each worker whose state changed.

    *measured_at* is when *used* was asked for; *gone* are workers that were there the last time.
    """

    at: datetime
    listing: Listing
    used: Mapping[str, Utilization]
    measured_at: datetime
    before: Mapping[str, str] = field(default_factory=dict)
    gone: tuple[Worker, ...] = ()


class Watch:
    """Looks with *look* each time it is asked, and measures with *measure* once a minute at most.

    A region that cannot be asked keeps the workers it had; `Listing.failures` says so.
    """

    def __init__(
        self,
        look: Callable[[], Listing],
        measure: Callable[[Sequence[Worker]], Mapping[str, Utilization]],
        now: Callable[[], datetime],
    ) -> None:
        self._look, self._measure, self._now = look, measure, now
        self._last: Frame | None = None

    def next(self) -> Frame:
        """Return the fleet as it is now; raises CredentialsError."""
        at, listing, last = self._now(), self._look(), self._last
        if last and listing.failures:
            kept = [each for each in last.listing.workers if each.region in listing.failures]
            both = sorted((*listing.workers, *kept), key=lambda worker: (worker.name, worker.id))
            listing = Listing(tuple(both), listing.failures)
        used, measured_at = self._used(listing, at)
        was = {each.id: each for each in last.listing.workers} if last else {}
        is_now = {each.id for each in listing.workers}
        self._last = Frame(
            at,
            listing,
            used,
            measured_at,
            before={
                each.id: was[each.id].state
                for each in listing.workers
                if each.id in was and was[each.id].state != each.state
            },
            gone=tuple(each for each in was.values() if each.id not in is_now),
        )
        return self._last

    def _used(self, listing: Listing, at: datetime) -> tuple[Mapping[str, Utilization], datetime]:
        """Return the metrics: the last ones while they are fresh and of the same workers."""
        last = self._last
        wanted = [each for each in listing.workers if each.state == "running"]
        known = last.used if last else {}
        if last and at - last.measured_at < FRESH and all(each.id in known for each in wanted):
            return {each.id: known[each.id] for each in wanted}, last.measured_at
        return self._measure(wanted), at
