"""Operations on many workers: across regions, by name, in batches with individual outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import chain
from typing import Any, Final

from cml_iam.errors import AwsError, CredentialsError, InputError, ThrottledError, UnreachableError
from cml_iam.workers._changes import Change, Launch
from cml_iam.workers._health import Health
from cml_iam.workers._manager import WorkerManager
from cml_iam.workers._metric import Utilization
from cml_iam.workers._model import InstanceStatus, StateChange, Worker, is_instance_id
from cml_iam.workers._threads import in_threads

BATCH: Final = 100
"""The maximum number of workers per call, and of ids in one DescribeInstanceStatus call.

EC2 allows 5 start calls, then 2 a second; a call with 100 workers counts as one.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
"""

FILTER_VALUES: Final = 200
"""The maximum number of values in one EC2 filter."""

NAMESAKES: Final = 10
"""The maximum number of workers with the same name that a message lists."""

# These errors do not depend on a single worker, so asking again for fewer would not help.
_NOT_OF_ONE_WORKER = (CredentialsError, ThrottledError, UnreachableError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for *worker*: a *change* or an *error*; neither if tags were changed."""

    worker: Worker
    change: StateChange | None = None
    error: AwsError | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The workers found, and the failures by region."""

    workers: tuple[Worker, ...]
    failures: dict[str, AwsError]


def list_fleet(regions: Sequence[str], look: Callable[[str], tuple[Worker, ...]]) -> Listing:
    """Call *look*, such as `manager.get_all_instances`, in each of *regions*; return the results.

    A failure affects only its region. Raises CredentialsError if no region answered and one refused
    the credential.
    """
    regions = tuple(dict.fromkeys(regions))
    errors: dict[str, AwsError] = {}

    def safely(region: str) -> tuple[Worker, ...]:
        try:
            return look(region)
        except AwsError as error:
            errors[region] = error
            return ()

    parts = in_threads(safely, regions)
    failures = {region: errors[region] for region in regions if region in errors}
    refused = [error for error in failures.values() if isinstance(error, CredentialsError)]
    if refused and len(failures) == len(regions):
        raise refused[0]
    return Listing(_sorted(chain(*parts)), failures)


def _sorted(workers: Iterable[Worker]) -> tuple[Worker, ...]:
    return tuple(sorted(workers, key=lambda worker: (worker.name, worker.id)))


def find_workers(
    manager: WorkerManager, names: Sequence[str], regions: Sequence[str]
) -> tuple[Worker, ...]:
    """Return the instances for *names*, which are names or ids of workers, in the same order.

    A name refers to a worker with the guard tag that is not terminated, preferring one that is not
    shutting down; a name with * or ? refers to all matches. Raises InputError for a name that is
    unknown or ambiguous, and the AwsError of a region that cannot be listed, because the name may
    then be ambiguous.
    """
    ids = [text for text in names if is_instance_id(text)]
    by_id: dict[str, Worker] = {}
    if ids:
        parts = in_threads(lambda region: manager.find_instances(ids, region=region), regions)
        by_id = {worker.id: worker for worker in reversed(list(chain(*parts)))}
    living: list[Worker] = []
    if len(ids) < len(names):
        parts = in_threads(lambda region: manager.get_all_instances(region=region), regions)
        living = [worker for worker in chain(*parts) if worker.state != "terminated"]
    chosen: dict[str, Worker] = {}
    for text in names:
        if is_instance_id(text) and text not in by_id:
            raise InputError(
                f"no instance `{text}` in {', '.join(regions)}", remedy="see `cml-iam worker list`"
            )
        workers = [by_id[text]] if text in by_id else _named(text, living)
        chosen |= {worker.id: worker for worker in workers}
    return tuple(chosen.values())


def act(
    manager: WorkerManager,
    workers: Sequence[Worker],
    make: Callable[[Sequence[str]], Change],
    *,
    dry_run: bool = False,
) -> tuple[Outcome, ...]:
    """Request a change of all *workers*, which *make* builds; return their outcomes in order.

    A call contains up to 100 workers of a region. If AWS refuses the call, it is split in halves
    until the refused workers are known; all other workers are changed. With *dry_run*, EC2 only
    checks the permission.
    """
    by_id = {worker.id: worker for worker in workers}
    batches = [ids for _, ids in by_region(list(by_id.values()), BATCH)]

    def send(ids: Sequence[str]) -> dict[str, Outcome]:
        region = by_id[ids[0]].region
        change = make(ids)
        try:
            if dry_run:
                manager.permits(change, region=region)
                return {id_: Outcome(by_id[id_]) for id_ in ids}
            states = {state.id: state for state in manager.do(change, region=region)}
        except AwsError as error:
            if len(ids) == 1 or isinstance(error, _NOT_OF_ONE_WORKER):
                return {id_: Outcome(by_id[id_], error=error) for id_ in ids}
            middle = len(ids) // 2
            return send(ids[:middle]) | send(ids[middle:])
        return {id_: Outcome(by_id[id_], states.get(id_)) for id_ in ids}

    outcomes: dict[str, Outcome] = {}
    for part in in_threads(send, batches):
        outcomes |= part
    return tuple(outcomes[worker.id] for worker in by_id.values())


def statuses(manager: WorkerManager, workers: Sequence[Worker]) -> dict[str, InstanceStatus]:
    """Return the status of *workers* by id, without workers that EC2 does not find."""
    batches = list(by_region(workers, BATCH))
    parts = in_threads(lambda batch: manager.get_statuses(batch[1], region=batch[0]), batches)
    return {status.id: status for status in chain(*parts)}


def by_region(
    workers: Sequence[Worker], size: int = FILTER_VALUES
) -> Iterator[tuple[str, list[str]]]:
    """Yield each region with the ids of its workers, up to *size* at a time."""
    for region in dict.fromkeys(worker.region for worker in workers):
        ids = [worker.id for worker in workers if worker.region == region]
        for start in range(0, len(ids), size):
            yield region, ids[start : start + size]


def _named(name: str, workers: Sequence[Worker]) -> list[Worker]:
    is_pattern = bool(set("*?") & set(name))
    matches = [
        worker
        for worker in workers
        if worker.name == name or (is_pattern and fnmatchcase(worker.name, name))
    ]
    matches = [worker for worker in matches if worker.state != "shutting-down"] or matches
    if len(matches) == 1 or (matches and is_pattern):
        return matches
    if matches:
        ids = [f"{worker.id} ({worker.region})" for worker in matches[:NAMESAKES]]
        rest = f" and {len(matches) - len(ids)} more" if len(matches) > len(ids) else ""
        raise InputError(
            f"`{name}` is the name of {len(matches)} workers",
            remedy=f"use an id instead: {', '.join(ids)}{rest}; see `cml-iam worker list --name`",
        )
    close = get_close_matches(name, [worker.name for worker in workers], n=1)
    remedy = f"did you mean `{close[0]}`?" if close else "see `cml-iam worker list`"
    raise InputError(
        f"no worker has the name `{name}`; use the id of a terminated one", remedy=remedy
    )


FRESH: Final = timedelta(seconds=60)
"""How long metrics are cached: EC2 reports once a minute at most, and every call costs money."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Frame:
    """The fleet at one time; *before* has the previous state of each worker whose state changed.

    *measured_at* is when *used* was requested; *gone* are workers that only the previous frame had.
    """

    at: datetime
    listing: Listing
    used: Mapping[str, Utilization]
    measured_at: datetime
    before: Mapping[str, str]
    gone: tuple[Worker, ...]

    def as_json(self) -> dict[str, Any]:
        workers = [
            {
                **worker.as_json(),
                "previous_state": self.before.get(worker.id),
                "metrics": self.used[worker.id].as_json(worker) if worker.id in self.used else None,
            }
            for worker in self.listing.workers
        ]
        return {
            "at": self.at.isoformat(),
            "workers": workers,
            "gone": [worker.id for worker in self.gone],
            "failures": {region: error.message for region, error in self.listing.failures.items()},
        }


Measurer = Callable[[Sequence[Worker]], Mapping[str, Utilization]]


def watch(
    look: Callable[[], Listing], measure: Measurer, now: Callable[[], datetime]
) -> Iterator[Frame]:
    """Yield the current fleet again and again, measured at most once a minute.

    A region that cannot be listed keeps its previous workers; `Listing.failures` reports it. After
    it has raised CredentialsError, the generator has ended.
    """
    frame = Frame(_NEVER, Listing((), {}), {}, _NEVER, {}, ())
    while True:
        frame = _next(frame, now(), look(), measure)
        yield frame


def _next(last: Frame, at: datetime, listing: Listing, measure: Measurer) -> Frame:
    kept = [worker for worker in last.listing.workers if worker.region in listing.failures]
    workers = _sorted((*listing.workers, *kept))
    running = [worker for worker in workers if worker.state == "running"]
    covered = all(worker.id in last.used for worker in running)
    if covered and at - last.measured_at < FRESH:
        used: Mapping[str, Utilization] = {worker.id: last.used[worker.id] for worker in running}
        measured_at = last.measured_at
    else:
        used, measured_at = measure(running), at
    was = {worker.id: worker.state for worker in last.listing.workers}
    before = {
        worker.id: was[worker.id]
        for worker in workers
        if worker.id in was and was[worker.id] != worker.state
    }
    ids = {worker.id for worker in workers}
    gone = tuple(worker for worker in last.listing.workers if worker.id not in ids)
    return Frame(at, Listing(workers, listing.failures), used, measured_at, before, gone)


def try_permissions(
    manager: WorkerManager,
    regions: Sequence[str],
    probe: Callable[[str], Launch | None],
    *,
    permissions: bool = True,
    grants: Iterable[str] = (),
) -> tuple[Health, ...]:
    """Try every permission in each of *regions*; *probe* returns the launch to try there.

    Without *permissions*, only calls DescribeRegions.
    """

    def health(region: str) -> Health:
        return manager.health(
            region=region, probe=lambda: probe(region), permissions=permissions, grants=grants
        )

    return tuple(in_threads(health, regions))
