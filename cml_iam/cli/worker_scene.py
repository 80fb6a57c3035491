"""What every worker command starts from: the site if there is one, the regions, the manager."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.cli._settings import settings
from cml_iam.cli._site import find_site
from cml_iam.errors import RefusedError
from cml_iam.site import Site
from cml_iam.workers import Worker, WorkerManager, find_workers, guard_of

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
