"""Only one run makes a key of a user: the lock is a tag of the user."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cml_iam.credentials._rotation_state import Lock, read_user, write_lock
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from cml_iam.credentials._journal import Journal
    from cml_iam.credentials._rotator import Rotator

STALE_LOCK: Final = timedelta(hours=1)
"""A rotation makes and delivers its key within minutes."""


def take_lock(rotator: Rotator, journal: Journal) -> None:
    """Hold the lock of the user; raises RefusedError when another run does, or was quicker."""
    token = journal.rotation or ""
    held = read_user(rotator.aws, rotator.user).lock
    if held is not None and held.token != token and rotator.clock() - held.since < STALE_LOCK:
        raise busy(held)
    if held is None or held.token != token:
        write_lock(rotator.aws, rotator.user, Lock(token, rotator.clock()))
    check_lock(rotator, journal)


def check_lock(rotator: Rotator, journal: Journal) -> None:
    held = read_user(rotator.aws, rotator.user).lock
    if held is not None and held.token != journal.rotation:
        raise busy(held)


def free_lock(rotator: Rotator, journal: Journal) -> None:
    held = read_user(rotator.aws, rotator.user).lock
    if held is not None and held.token == journal.rotation:
        write_lock(rotator.aws, rotator.user, None)


def busy(held: Lock) -> RefusedError:
    return RefusedError(
        f"another run has been making a key of this user since {held.since:%Y-%m-%d %H:%M} UTC",
        remedy="wait for it; an interrupted one counts for an hour",
    )
