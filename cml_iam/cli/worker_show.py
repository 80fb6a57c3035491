"""`cml-iam worker list`, `show`, `status` and `images`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import click

from cml_iam import workers as room
from cml_iam.cli._exit import Exit
from cml_iam.cli._options import (
    aws_options,
    option,
    output_option,
    repeatable,
    settings,
    shared_options,
)
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    UNKNOWN,
    WARN,
    answer,
    json_text,
    note,
    progress,
    terminal_width,
)
from cml_iam.cli._table import Columns, as_csv, columns_within, print_columns, print_table
from cml_iam.cli.worker_scene import (
    Scene,
    complete_worker,
    keep_names,
    report_failures,
    scene,
    tags_of,
)
from cml_iam.clock import now, short_span
from cml_iam.errors import InputError
from cml_iam.visible import visible

if TYPE_CHECKING:
    from cml_iam.workers import Image, InstanceStatus, Worker

STATES = ("pending", "running", "shutting-down", "terminated", "stopping", "stopped")
_STATE_MARK = {"running": OK, "stopped": INFO, "terminated": INFO}


@option("--all", "List every instance, not only workers.", name="everything")
@repeatable("--state", "List only workers in this state.", name="states", type=click.Choice(STATES))
@repeatable("--type PATTERN", "List only workers of this instance type (* and ?).", name="types")
@repeatable("--tag KEY=VALUE", "List only workers with this tag.", name="tags")
@option("--name PATTERN", "List only workers with this name (* and ?).")
@output_option("csv")
@shared_options("site")
@aws_options
@click.pass_context
def list_workers(
    context: click.Context,
    everything: bool,
    states: tuple[str, ...],
    types: tuple[str, ...],
    tags: tuple[str, ...],
    name: str | None,
) -> None:
    """List the workers in every region of the site, or in --region.

    Examples:
      cml-iam worker list
      cml-iam worker list --state running -o csv
    """
    here = scene()
    required = tags_of(tags)
    with progress(f"asking EC2 in {', '.join(here.regions)}"):
        listing = here.listing(
            managed_only=not everything, states=states, instance_types=types, tags=required
        )
    shown = tuple(
        worker for worker in listing.workers if not name or fnmatchcase(worker.name, name)
    )
    if not (everything or states or types or tags or settings().region or listing.failures):
        keep_names(listing.workers, settings())
    answered = [region for region in here.regions if region not in listing.failures]
    if answered:  # otherwise an empty list would be an answer
        answer(
            shown,
            lambda: _print_list(shown, answered, "" if everything else str(here.manager.guard)),
            csv=lambda: workers_csv(shown),
        )
    context.exit(report_failures(listing))


@click.argument("worker", shell_complete=complete_worker)
@shared_options("site", "output")
@aws_options
def show(worker: str) -> None:
    """Show the details of WORKER, an ID or a name.

    Examples:
      cml-iam worker show lab-1
    """
    chosen, *others = scene().find([worker])
    if others:
        raise InputError(f"`{worker}` matches {len(others) + 1} workers", remedy="name one")
    answer(chosen, lambda: print_table(("", ""), _details(chosen)))


def _details(worker: Worker) -> Iterable[tuple[str, str]]:
    for name, value in worker.as_json().items():
        if name == "tags":
            continue
        if name == "launched_at" and worker.launched_at:
            yield "launched at", f"{worker.launched_at:%Y-%m-%d %H:%M:%S} UTC"
        else:
            yield name.replace("_", " "), _text(value)
    for key, value in worker.tags.items():
        yield f"tag {visible(key)}", visible(value)


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@shared_options("site", "output")
@aws_options
def status(workers: tuple[str, ...]) -> None:
    """Show the state and the two EC2 status checks of WORKERS, IDs or names (* and ?), or of all.

    Exits with 3 when a check of a running worker does not pass.

    Examples:
      cml-iam worker status
      cml-iam worker status lab-1
    """
    here = scene()
    chosen = here.living(workers)
    by_id = room.statuses(here.manager, chosen)
    answer(
        [_status_json(worker, by_id.get(worker.id)) for worker in chosen],
        lambda: _print_statuses(chosen, by_id),
        _status_code(chosen, by_id),
    )


def _print_statuses(workers: Sequence[Worker], by_id: Mapping[str, InstanceStatus]) -> None:
    rows = [_status_row(worker, by_id.get(worker.id)) for worker in workers]
    headings = ["state", "system", "instance", "scheduled"]
    if (terminal_width() or _ROOM_FOR_IDS) < _ROOM_FOR_IDS:
        named = short_names(workers)
        names, labels = ["worker"], [[named[worker.id]] for worker in workers]
    else:
        names, labels = ["name", "id"], [[worker.name or "-", worker.id] for worker in workers]
    print_table(
        [*names, *headings],
        [[*label, *row] for label, row in zip(labels, rows, strict=True)],
    )


_ROOM_FOR_IDS = 100
"""The minimum terminal width, in columns, for a separate column with IDs beside the checks."""


def _print_list(workers: Sequence[Worker], answered: Sequence[str], guard: str) -> None:
    if workers:
        print_columns(list_columns(workers, terminal_width()), _COLUMNS)
        return
    note(f"{INFO} nothing found in {', '.join(answered)}")
    if guard:
        note(f"  lists only instances with the tag {guard}; --all lists every instance")


def list_columns(workers: Sequence[Worker], width: int | None) -> Columns:
    """Return the columns of a list that fit into *width* without a break, each with its cells.

    Names and states are always shown. Without a column for ids, a name that several workers share
    has its id beside it.
    """
    cells = {heading: [cell(worker) for worker in workers] for heading, cell in _COLUMNS.items()}
    named = short_names(workers)
    by_importance = ("address", "type", "up", "zone", "private", "image", "tags")
    shown = columns_within(
        width,
        {"name": [named[worker.id] for worker in workers], "state": cells["state"]},
        [
            {"id": cells["id"], "name": cells["name"]},
            *({heading: cells[heading]} for heading in by_importance),
        ],
    )
    return {heading: shown[heading] for heading in _COLUMNS if heading in shown}


def workers_csv(workers: Sequence[Worker]) -> str:
    """Return *workers* as CSV: lists separated by spaces, tags as JSON."""
    columns = [field.name for field in fields(room.Worker)]
    return as_csv(
        columns, [[_csv_text(worker.as_json()[name]) for name in columns] for worker in workers]
    )


def _csv_text(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if isinstance(value, dict | bool):
        return json_text(value)
    return "" if value is None else str(value)


def short_names(workers: Sequence[Worker]) -> dict[str, str]:
    """Return a display name per worker id: its name, plus the id if several share it."""
    times = Counter(worker.name for worker in workers)
    names: dict[str, str] = {}
    for worker in workers:
        own = worker.name if times[worker.name] == 1 else worker.label
        names[worker.id] = own if worker.name else worker.id
    return names


def state(name: str) -> str:
    """Return the state *name* with its symbol."""
    return f"{_STATE_MARK.get(name, WARN)} {name}"


def uptime(worker: Worker) -> str:
    """Return how long *worker* has been running, in the two largest units."""
    if worker.state != "running" or worker.launched_at is None:
        return "-"
    return short_span(now() - worker.launched_at)


def _other_tags(worker: Worker) -> str:
    others = (f"{key}={value}" for key, value in worker.tags.items() if key != "Name")
    return visible(" ".join(others))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return visible(str(value)) if value not in (None, "") else "-"


_COLUMNS: Final[Mapping[str, Callable[[Worker], str]]] = {
    "name": lambda worker: visible(worker.name) or "-",
    "id": lambda worker: worker.id,
    "state": lambda worker: state(worker.state),
    "type": lambda worker: worker.instance_type,
    "zone": lambda worker: worker.zone,
    "address": lambda worker: worker.address or "-",
    "private": lambda worker: worker.private_ip or "-",
    "up": uptime,
    "image": lambda worker: worker.image_id,
    "tags": _other_tags,
}
"""The columns, in print order."""


def _status_row(worker: Worker, checked: InstanceStatus | None) -> list[str]:
    if checked is None:
        return [state(worker.state), f"{UNKNOWN} unknown", f"{UNKNOWN} unknown", "-"]
    marks = {"ok": OK, "impaired": BAD}
    checks = [
        "-" if check == "not-applicable" else f"{marks.get(check, WARN)} {check}"
        for check in (checked.system, checked.instance)
    ]
    events = "; ".join(event.code for event in checked.events)
    return [state(checked.state), *checks, events or "-"]


def _status_json(worker: Worker, checked: InstanceStatus | None) -> dict[str, object]:
    result: dict[str, object] = {"id": worker.id, "name": worker.name, "region": worker.region}
    if checked is None:
        return {**result, "state": worker.state, "status": None}
    events = [
        {**asdict(event), "not_before": event.not_before and event.not_before.isoformat()}
        for event in checked.events
    ]
    checks = {"system": checked.system, "instance": checked.instance, "ok": checked.ok}
    return {**result, "state": checked.state, "status": {**checks, "events": events}}


def _status_code(workers: Sequence[Worker], by_id: dict[str, InstanceStatus]) -> Exit:
    if any(worker.id not in by_id for worker in workers):
        return Exit.UNCHECKED
    running = [by_id[worker.id] for worker in workers if by_id[worker.id].state == "running"]
    return Exit.OK if all(status.ok for status in running) else Exit.FINDINGS


@click.argument("pattern")
@repeatable(
    "--owner ID",
    "Account that owns the images, or an alias such as amazon.  [default: the site's, else self]",
    name="owners",
)
@shared_options("site", "output")
@aws_options
def images(pattern: str, owners: tuple[str, ...]) -> None:
    """List images of trusted owners whose name matches PATTERN (* and ?), newest first.

    Exits with 3 when there is none.

    Examples:
      cml-iam worker images 'cml-2.*'
    """
    here = scene()
    trusted = owners or room.image_owners(here.site)
    matching = here.manager.find_images(pattern, region=here.home, owners=trusted)
    answer(
        matching,
        lambda: _print_images(here, pattern, trusted, matching),
        Exit.OK if matching else Exit.FINDINGS,
    )


def _print_images(
    here: Scene, pattern: str, owners: Sequence[str], images: Sequence[Image]
) -> None:
    if not images:
        note(f"{INFO} no available image called `{pattern}` in {here.home}, of {', '.join(owners)}")
        if not set("*?") & set(pattern):
            note(f"  the pattern must match the whole name: try '*{pattern}*'")
        note("  other owners: --owner ID (self, amazon, an account); other regions: --region NAME")
        return
    print_table(
        ["id", "name", "created", "owner"],
        [[image.id, image.name, image.created_at[:10], image.owner] for image in images],
    )
