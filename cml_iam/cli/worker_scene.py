"""What every worker command starts from: the site if there is one, the regions, the manager."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.cli._output import UNKNOWN, WARN, note
from cml_iam.cli._settings import settings
from cml_iam.cli._site import find_site
from cml_iam.errors import RefusedError
from cml_iam.site import Site
from cml_iam.workers import (
    NAMESAKES,
    Worker,
    WorkerManager,
    find_workers,
    guard_of,
    list_fleet,
)

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws


@dataclass(frozen=True, slots=True)
class Scene:
    """The manager, the regions commands look into, the one they create in, and AWS itself."""

    manager: WorkerManager
    regions: tuple[str, ...]
    home: str
    site: Site | None
    aws: Aws

    @property
    def metric_data(self) -> bool:
        """Whether the manager may ask for many metrics in one call."""
        return self.site is not None and self.site.grant.metric_data

    def find(self, wanted: Sequence[str]) -> tuple[Worker, ...]:
        """Return the instances that *wanted*, ids and names, mean."""
        return find_workers(self.manager, wanted, self.regions)

    def find_managed(self, wanted: Sequence[str], *, unmanaged: bool) -> tuple[Worker, ...]:
        """As `find`; refuses instances without the guard tag unless *unmanaged*."""
        found = self.find(wanted)
        foreign = [each for each in found if not self.manager.guard.marks(each.tags)]
        if foreign and not unmanaged:
            raise RefusedError(
                f"no worker of ours: {', '.join(each.label for each in foreign)} "
                f"without the tag `{self.manager.guard}`",
                remedy="add --unmanaged if it is meant all the same",
            )
        return found


def scene() -> Scene:
    """Return the scene the shared options, the site file and the environment set."""
    chosen = settings()
    site = find_site()
    aws = chosen.connect(_home(site))
    home = aws.region or "us-east-1"
    regions = (chosen.region,) if chosen.region else site.restrict.regions if site else ()
    return Scene(WorkerManager(aws, guard=guard_of(site)), regions or (home,), home, site, aws)


LIVING = ("pending", "running", "stopping", "stopped")
"""The states of a worker that goes on being one."""


def warn_of_namesakes(here: Scene, name: str, besides: Collection[str] = ()) -> None:
    """Say which living workers, but those with the ids *besides*, are called *name* already."""
    listing = list_fleet(
        here.regions, lambda region: here.manager.get_all_instances(region=region, states=LIVING)
    )
    namesakes = [
        f"{each.id}, {each.state} in {each.region}"
        for each in listing.workers
        if each.name == name and each.id not in besides
    ]
    if namesakes:
        shown = ", ".join(namesakes[:NAMESAKES])
        more = f" and {len(namesakes) - NAMESAKES} more" if len(namesakes) > NAMESAKES else ""
        note(f"{WARN} another worker is called {name} already: {shown}{more}")
        note("  commands will take its name for neither; use an id instead")
    for region, error in listing.failures.items():
        note(f"{UNKNOWN} whether {region} has a worker called {name} is unknown: {error.message}")


def _home(site: Site | None) -> str | None:
    """Return the region to work in: the environment's where the site allows it, else the site's."""
    if site is None:
        return None
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    allowed = site.restrict.regions
    return named if named and (not allowed or named in allowed) else site.home_region


def worker_json(worker: Worker) -> dict[str, Any]:
    """Return *worker* for a program."""
    launched = worker.launched_at
    return {**asdict(worker), "launched_at": launched.isoformat() if launched else None}
