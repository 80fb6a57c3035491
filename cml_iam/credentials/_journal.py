"""What is under way with the keys of a user: enough to go on after a crash, and no secret."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _files
from cml_iam.credentials._file_store import close_folder
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1
NAME: Final = "journal.json"


@dataclass(frozen=True, slots=True)
class Journal:
    """A key is being made for the *user* (an ARN) and *store*, whose keys were *before*.

    *rotation* is the token of the rotation it is part of, None where it is not. *lost* are keys
    that another run made and lost: they go with this one. Until a rotation has *begun* nobody knows
    what was before, and no key has been made.
    """

    user: str
    store: str
    before: tuple[str, ...]
    rotation: str | None = None
    lost: tuple[str, ...] = ()
    begun: bool = True


def read_journal(folder: Path) -> Journal | None:
    """Return the journal in *folder*, None where nothing is under way.

    Raises InputError for one that cannot be read: it is never taken for absent.
    """
    path = folder / NAME
    found = _files.read_private(path)
    if found is None:
        return None
    try:
        raw = json.loads(found.data)
        if raw["version"] != VERSION:
            raise ValueError(f"version {raw['version']}")
        return Journal(
            str(raw["user"]),
            str(raw["store"]),
            tuple(map(str, raw["before"])),
            raw.get("rotation"),
            tuple(map(str, raw.get("lost", ()))),
            bool(raw.get("begun", True)),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot read the journal `{path}`: {type(error).__name__}: {error}",
            remedy="look at the user's keys, then remove it by hand",
        ) from None


def write_journal(folder: Path, journal: Journal) -> None:
    """Keep *journal* in *folder*, durably."""
    raw = {
        "version": VERSION,
        "user": journal.user,
        "store": journal.store,
        "before": journal.before,
        "rotation": journal.rotation,
        "lost": journal.lost,
        "begun": journal.begun,
    }
    data = json.dumps(raw, indent=2).encode()
    _files.replace_file(folder / NAME, data, spare=folder / f"{NAME}.new")


def end_journal(folder: Path) -> None:
    """Say that nothing is under way any more, and leave nothing behind."""
    _files.remove_file(folder / f"{NAME}.new")
    _files.remove_file(folder / NAME)
    close_folder(folder)
