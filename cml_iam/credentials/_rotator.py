"""What a rotation works with, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.credentials._delivery import Delivery
    from cml_iam.credentials._keys import KeyInfo
    from cml_iam.credentials._rotation_state import Rotation

OVERLAP: Final = timedelta(days=1)
COOL_OFF: Final = timedelta(days=7)
MAX_AGE: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long both keys are active (*overlap*), and the old one inactive (*cool_off*).

    Nothing that was recorded for less than 20 minutes proves that a key is not used: of several
    uses within 15 minutes AWS records the first. *max_age* is the age no active key may reach.
    """

    overlap: timedelta = OVERLAP
    cool_off: timedelta = COOL_OFF
    max_age: timedelta = MAX_AGE

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
    `in use`: somebody still uses the old key, *evidence* says when and for what. `not due`: the
    key is young enough, and a rotation was wanted only if due.
    """

    state: Literal["done", "waiting", "in use", "not due"]
    rotation: Rotation
    until: datetime | None = None
    evidence: str = ""
