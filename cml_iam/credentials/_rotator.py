"""What a rotation works with, what comes of it, and its lock: one run makes a key of a user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.credentials._rotation_state import Lock, Rotation, read_user, write_lock
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.credentials._delivery import Delivery
    from cml_iam.credentials._journal import Journal
    from cml_iam.credentials._keys import KeyInfo

OVERLAP: Final = timedelta(days=1)
COOL_OFF: Final = timedelta(days=7)
MAX_KEY_AGE: Final = timedelta(days=90)
"""How old an access key may become, as the setup guide and CIS's benchmark for AWS ask."""
STALE_LOCK: Final = timedelta(hours=1)
"""A rotation makes and delivers its key within minutes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long both keys are active (*overlap*), and the old one inactive (*cool_off*).

    Nothing that was recorded for less than 20 minutes proves that a key is not used: of several
    uses within 15 minutes AWS records the first. *max_age* is the age no active key may reach.
    """

    overlap: timedelta = OVERLAP
    cool_off: timedelta = COOL_OFF
    max_age: timedelta = MAX_KEY_AGE

    def due(self, key: KeyInfo) -> datetime | None:
        """Return when the rotation of *key* must begin, so that it is gone in time."""
        if key.created is None:
            return None
        return key.created + self.max_age - self.overlap - self.cool_off


@dataclass(frozen=True, slots=True)
class Rotator:
    """Everything a rotation of *user*'s key works with; *report* is told of each step done."""

    aws: Aws
    user: str
    delivery: Delivery
    schedule: Schedule
    clock: Callable[[], datetime]
    pause: Callable[[float], None]
    report: Callable[[str], None] = lambda text: None  # noqa: ARG005 - the default does nothing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rotation has come to.

    `done`: one key is left, the one in the store. `waiting`: nothing to do before *until*.
    `in use`: somebody still uses the old key. `not due`: the key is young enough, and a rotation
    was wanted only if due. `not working`: none is under way, and no key in the store works.
    *evidence* says more in words.
    """

    state: Literal["done", "waiting", "in use", "not due", "not working"]
    rotation: Rotation
    until: datetime | None = None
    evidence: str = ""


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
    """Raise RefusedError when another run has taken the lock."""
    held = read_user(rotator.aws, rotator.user).lock
    if held is not None and held.token != journal.rotation:
        raise busy(held)


def free_lock(rotator: Rotator, journal: Journal) -> None:
    """Let go of the lock, where it is the journal's."""
    held = read_user(rotator.aws, rotator.user).lock
    if held is not None and held.token == journal.rotation:
        write_lock(rotator.aws, rotator.user, None)


def busy(held: Lock) -> RefusedError:
    """Return what to raise while another run makes a key."""
    over = held.since + STALE_LOCK
    return RefusedError(
        f"another run has been making a key of this user since {held.since:%Y-%m-%d %H:%M} UTC",
        remedy=f"wait for it; if it was interrupted, run the same again after {over:%H:%M} UTC",
    )
