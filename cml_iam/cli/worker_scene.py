"""What the worker commands share: site, regions, manager, explained refusals, and the Tab key.

The Tab key offers the workers that `worker list` showed last. A shell waits for it, so it asks
neither AWS nor for credentials, and reports no fault: what cannot be kept or read is not offered.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from cml_iam import errors
from cml_iam import workers as room
from cml_iam.cli._exit import Exit, exit_code
from cml_iam.cli._options import Settings, pairs, settings
from cml_iam.cli._output import BAD, INFO, UNKNOWN, WARN, complain, complain_remedies, note
from cml_iam.cli._site import DEFAULT_SITE, Role, connect_as, connect_examined, find_site, site_path
from cml_iam.errors import InputError, RefusedError
from cml_iam.files import regular_text, write_whole

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.engine import Request
    from cml_iam.site import Restrictions, Site
    from cml_iam.workers import Launch, Listing, Outcome, Worker, WorkerManager


@dataclass(frozen=True, slots=True)
class Scene:
    """The manager, the regions to search, the region for new workers, and AWS itself."""

    manager: WorkerManager
    regions: tuple[str, ...]
    home: str
    site: Site | None
    aws: Aws

    @property
    def restrict(self) -> Restrictions:
        """The site's restrictions; without a site, nothing is restricted."""
        from cml_iam.site import Restrictions

        return self.site.restrict if self.site else Restrictions()

    @property
    def grants(self) -> frozenset[str]:
        """The names of the permissions that the site grants beyond the documented ones."""
        return self.site.grant.active if self.site else frozenset()

    @property
    def metric_data(self) -> bool:
        """Whether the manager may ask for many metrics in one call."""
        return "metric_data" in self.grants

    def listing(self, **filters: Any) -> Listing:
        """Return the workers in every region, filtered as `get_all_instances` does."""
        return room.list_fleet(
            self.regions, lambda region: self.manager.get_all_instances(region=region, **filters)
        )

    def find(self, words: Sequence[str]) -> tuple[Worker, ...]:
        """Return the instances that *words*, ids and names, refer to."""
        return room.find_workers(self.manager, words, self.regions)

    def living(self, words: Sequence[str]) -> tuple[Worker, ...]:
        """Return the workers that *words* name, or all that are not terminated.

        Raises AwsError if a region does not answer.
        """
        if words:
            return self.find(words)
        listing = self.listing()
        for error in listing.failures.values():
            raise error
        return tuple(worker for worker in listing.workers if worker.state != "terminated")

    def find_managed(self, words: Sequence[str], *, unmanaged: bool) -> tuple[Worker, ...]:
        """Like `find`, but refuse instances without the guard tag unless *unmanaged*."""
        workers = self.find(words)
        foreign = [worker for worker in workers if not self.manager.guard.marks(worker.tags)]
        if foreign and not unmanaged:
            raise RefusedError(
                f"not managed: {', '.join(worker.label for worker in foreign)} "
                f"without the tag `{self.manager.guard}`",
                remedy="add --unmanaged to include it anyway",
            )
        return workers


def scene(role: Role = "manager", *, changes: bool = False, examined: bool = False) -> Scene:
    """Return the scene from the shared options, the site file and the environment.

    Raises RefusedError if the command *changes* something and no site file limits it, unless
    --no-site was given; see `connect_as` for other errors. If *examined*, the command itself
    reports another account or a missing credential.
    """
    chosen, site = settings(), find_site()
    if site is None and changes and not (chosen.no_site or chosen.dry_run):
        raise RefusedError(
            f"no site file `{DEFAULT_SITE}` here: the account, guard tag and limits are unknown",
            remedy="change to its folder, name it (--site or CML_IAM_SITE), or add --no-site",
        )
    if site and chosen.no_site:
        raise InputError(
            f"--no-site is set, but `{site_path()}` exists",
            remedy="omit --no-site, or change to another folder",
        )
    aws = connect_examined(role, site) if examined else connect_as(role, site)
    home = aws.region or "us-east-1"
    manager = room.WorkerManager(aws, guard=site.restrict.guard_tag if site else None)
    if site is None:
        note(
            f"{INFO} no site file `{DEFAULT_SITE}` here: using the defaults: workers have the "
            f"tag {manager.guard}, the region is {home}, and the account is not checked"
        )
    regions = site.restrict.regions if site else ()
    if chosen.region:
        regions = (chosen.region,)
    return Scene(manager, regions or (home,), home, site, aws)


def report_failures(listing: Listing) -> Exit:
    """Name on stderr the regions that could not be listed; return the exit code."""
    for region, error in listing.failures.items():
        complain(f"{BAD} {region}: request failed: {error.message}")
    complain_remedies(error.remedy for error in listing.failures.values())
    return next(map(exit_code, listing.failures.values()), Exit.OK)


def warn_of_namesakes(here: Scene, name: str, besides: Collection[str] = ()) -> None:
    """Warn of living workers called *name*, other than those with the ids *besides*."""
    listing = here.listing(states=("pending", "running", "stopping", "stopped"))
    namesakes = [
        f"{worker.id}, {worker.state} in {worker.region}"
        for worker in listing.workers
        if worker.name == name and worker.id not in besides
    ]
    if namesakes:
        shown = ", ".join(namesakes[: room.NAMESAKES])
        hidden = len(namesakes) - room.NAMESAKES
        rest = f" and {hidden} more" if hidden > 0 else ""
        note(f"{WARN} another worker is already called {name}: {shown}{rest}")
        note("  commands will refuse the name as ambiguous; use an id instead")
    for region, error in listing.failures.items():
        note(
            f"{UNKNOWN} could not check whether {region} has a worker called {name}: "
            f"{error.message}"
        )


def tags_of(texts: Iterable[str]) -> dict[str, str]:
    """Return tags written KEY=VALUE as a mapping; raises InputError for one that is given twice."""
    tags: dict[str, str] = {}
    for key, value in pairs(texts):
        if key in tags:
            raise InputError(f"tag `{key}` is given twice", remedy="omit one of them")
        tags[key] = value
    return tags


@contextmanager
def explained(here: Scene, launch: Launch) -> Iterator[None]:
    """Add the statements that would have to allow *launch* to a DeniedError."""
    try:
        yield
    except errors.DeniedError as error:
        if here.site is None:
            raise
        from cml_iam.check.manager import launch_requests

        if error.action == "iam:PassRole":
            reasons = _not_passed(here.site, error.message, here.home)
        else:
            try:
                image = here.manager.get_image(launch.image_id, region=here.home)
            except errors.AwsError:
                image = None  # counts as this account's own
            guard, arn = here.manager.guard, here.site.principal_arn
            reasons = refused_by(here.site, launch_requests(arn, launch, image, here.home, guard))
        error.remedy = _remedy(reasons)
        raise


def explain(here: Scene, outcomes: Sequence[Outcome]) -> None:
    """Add the statements that would have to allow the call to the DeniedError of each outcome."""
    for outcome in outcomes:
        error, worker = outcome.error, outcome.worker
        if here.site and isinstance(error, errors.DeniedError) and error.action:
            from cml_iam.check.manager import supposed

            request = supposed(error.action, here.site.principal_arn, worker.region, worker, ())
            error.remedy = _remedy(refused_by(here.site, request))


def _remedy(reasons: Sequence[str]) -> str:
    from cml_iam.check.refusal import COMPARE, ELSEWHERE

    return "; ".join(reasons or (ELSEWHERE, COMPARE))


def refused_by(site: Site, requests: Sequence[Request]) -> list[str]:
    """Return why the hardened policy of *site* certainly refuses some of *requests*, by Sid."""
    from cml_iam.check.refusal import Deciding, why_refused
    from cml_iam.render import render_parts

    documents = tuple(part.document for part in render_parts(site))
    refusals = why_refused(requests, Deciding(documents, live=False))
    return [why.said for why in refusals if why.sure]


def _not_passed(site: Site, message: str, region: str) -> list[str]:
    """Explain why the policy of *site* does not let the role in AWS's *message* be passed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    from cml_iam.engine import Request
    from cml_iam.facts import service_principal

    role = re.search(r"on resource: (arn:\S+:role/\S+)", message)
    if role is None:
        return []
    context: dict[str, str | list[str]] = {
        "iam:PassedToService": service_principal("ec2", site.partition),
        "aws:RequestedRegion": region,
    }
    reasons = refused_by(site, [Request("iam:PassRole", role[1], site.principal_arn, context)])
    granted = f"`{site.grant.pass_role}`" if site.grant.pass_role else "none"
    hint = f"`grant.pass_role` of the site file names the only role that it may pass: {granted}"
    return [*reasons, hint] if reasons else []


_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that needs no shell quoting; a worker with another name is completed by its ID."""


def state_folder() -> Path:
    """Return the folder of what this user's commands keep between two runs."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "cml-iam"


def keep_names(workers: Sequence[Worker], chosen: Settings) -> None:
    """Store the ids, names and states of *workers*, all workers of the site, for completion."""
    rows = [[worker.id, worker.name, worker.state] for worker in workers if not worker.ended]
    # The command has its answer, whatever prevents the writing (such as a user without a home).
    with suppress(OSError, InputError, RuntimeError):
        path = _path(chosen)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(rows), mode=0o600)


def complete_worker(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the workers that *incomplete* can become, by id if the name is not unique."""
    workers = _known(settings(context))
    chosen = context.params.get(parameter.name or "") or ()
    names = Counter(name for _, name, _ in workers)
    offered = []
    for worker_id, name, state in workers:
        by_name = names[name] == 1 and _PLAIN.fullmatch(name) and not incomplete.startswith("i-")
        word = name if by_name else worker_id
        if word.startswith(incomplete) and word not in chosen:
            about = f"{worker_id} {state}" if by_name else state
            offered.append(CompletionItem(word, help=about))
    return offered


def _known(chosen: Settings) -> list[tuple[str, str, str]]:
    try:
        rows = json.loads(regular_text(_path(chosen)))
        return [
            (worker_id, name, state)
            for worker_id, name, state in rows
            if _PLAIN.fullmatch(worker_id)
        ]
    except (InputError, ValueError, TypeError, RuntimeError, RecursionError):
        return []


def _path(chosen: Settings) -> Path:
    """Return the file for the fleet that the options name: by site file and endpoint."""
    site = (chosen.site or DEFAULT_SITE).absolute()
    endpoint = chosen.endpoint_url or os.environ.get("AWS_ENDPOINT_URL", "")
    name = sha256(f"{site}\n{endpoint}".encode(errors="surrogateescape")).hexdigest()[:32]
    return state_folder() / "names" / f"{name}.json"
