"""The Tab key on the names of workers: what `worker list` saw last, read without asking AWS.

A shell waits for the answer, so it needs no network and no credentials. Nothing here reports a
fault: what cannot be kept or read is not offered.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from click.shell_completion import CompletionItem

from cml_iam.cli._settings import settings_of
from cml_iam.cli._site import DEFAULT_SITE
from cml_iam.errors import InputError
from cml_iam.files import regular_text, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

    from cml_iam.cli._settings import Settings
    from cml_iam.workers import Worker

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that needs no shell quoting; a worker with another name is completed by its ID."""

_GONE: Final = ("shutting-down", "terminated")


def state_folder() -> Path:
    """Return the folder of what this user's commands keep between two runs."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "cml-iam"


def keep_names(workers: Sequence[Worker], chosen: Settings) -> None:
    """Keep the ids, names and states of *workers*, all there are of the site, for the Tab key."""
    known = [[each.id, each.name, each.state] for each in workers if each.state not in _GONE]
    # Whatever keeps it from being written (also a user without a home): the command has its answer.
    with suppress(OSError, InputError, RuntimeError):
        path = _path(chosen)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(known), mode=0o600)


def complete_worker(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the workers that *incomplete* can become: by name, or by id where that says more."""
    known = _known(settings_of(context))
    given = context.params.get(parameter.name or "") or ()
    names = Counter(name for _, name, _ in known)
    offered = []
    for worker_id, name, state in known:
        by_name = names[name] == 1 and _PLAIN.fullmatch(name) and not incomplete.startswith("i-")
        word = name if by_name else worker_id
        if word.startswith(incomplete) and word not in given:
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
