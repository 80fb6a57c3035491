"""The state of a key in progress: the journal beside the store, the user's tags, the lock.

The journal is enough to continue after a crash, and contains no secret. With the tags, any machine
can continue. Only one run at a time creates a key of a user.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, get_args

from cml_iam.aws.port import Aws
from cml_iam.credentials import _files
from cml_iam.credentials._keys import KeyInfo, KeyUse, delete_key, key_use, list_keys
from cml_iam.credentials._store import Delivery, Store
from cml_iam.errors import InputError, RefusedError
from cml_iam.facts import MAX_KEY_AGE
from cml_iam.files import parse_json
from cml_iam.principal import tags_of
from cml_iam.tag import as_aws

_VERSION: Final = 1
_NAME: Final = "journal.json"
_NEW: Final = f"{_NAME}.new"


@dataclass(frozen=True, slots=True)
class Journal:
    """A record that a key is being created for *user* (an ARN) and *store*, who had *before*.

    *rotation* is the token of its rotation, or None. *lost* are keys that another run created and
    lost; they are handled together with this key. Until a rotation has *begun*, *before* is unknown
    and no key was created.
    """

    user: str
    store: str
    before: tuple[str, ...]
    rotation: str | None = None
    lost: tuple[str, ...] = ()
    begun: bool = True


def read_journal(folder: Path) -> Journal | None:
    """Return the journal in *folder*, if any; raises InputError if it cannot be read."""
    path = folder / _NAME
    file = _files.read_private(path)
    if file is None:
        return None
    try:
        raw = parse_json(file.data)
        if raw["version"] != _VERSION:
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
            remedy="check the user's keys, then remove the journal by hand",
        ) from None


def own_journal(store: Store, arn: str, *, rotating: bool) -> Journal | None:
    """Return the journal of a run (with *rotating*, a rotation) for *store* and the user at *arn*.

    None if nothing is in progress. Raises RefusedError for the journal of another run.
    """
    journal = read_journal(store.folder)
    if journal is None:
        return None
    if (journal.user, journal.store) != (arn, store.name):
        raise RefusedError(
            f"a run for `{journal.user}` and `{journal.store}` was interrupted here",
            remedy="finish that run first, with its site file and its stores: "
            f"`cml-iam {'key resume' if journal.rotation else 'bootstrap apply'}`",
        )
    if journal.rotation and not rotating:
        raise RefusedError(
            "a rotation of this key was interrupted",
            remedy="finish it with `cml-iam key resume`, or undo it with `cml-iam key rollback`",
        )
    if rotating and not journal.rotation:
        raise RefusedError(
            "the delivery of a key was interrupted here",
            remedy="finish it first: `cml-iam bootstrap apply`",
        )
    return journal


def write_journal(folder: Path, journal: Journal) -> None:
    """Write *journal* to *folder* durably: a reader sees the old or the new one."""
    data = json.dumps({"version": _VERSION, **asdict(journal)}, indent=2).encode()
    _files.write_private(folder / _NEW, data)
    _files.move_file(folder / _NEW, folder / _NAME)


def end_journal(folder: Path) -> None:
    """Remove the journal when nothing is in progress any more."""
    _files.remove_file(folder / _NEW)
    _files.remove_file(folder / _NAME)
    _files.close_folder(folder)


Phase = Literal["idle", "observing", "deactivated"]

STATE_TAG: Final = "cml-iam:rotation"
LOCK_TAG: Final = "cml-iam:rotation-lock"
FREE: Final = "free"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The *phase* of a rotation, and its start.

    `observing`: the key *new* is in the store, and *old* is still active. `deactivated`: *old* is
    inactive, and will not be reactivated if it was *revoked*. `idle`: no rotation is in progress.
    """

    phase: Phase = "idle"
    since: datetime | None = None
    old: str | None = None
    new: str | None = None
    revoked: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the phase and the keys as JSON values."""
        since = self.since.isoformat() if self.since else None
        return {"phase": self.phase, "since": since, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class Lock:
    """The run that is creating a key, and its start."""

    token: str
    since: datetime


@dataclass(frozen=True, slots=True)
class UserTags:
    """The content of a user's tags."""

    arn: str
    rotation: Rotation
    lock: Lock | None


def read_user(aws: Aws, user: str) -> UserTags:
    """Return the user's ARN and tags; raises NotFoundError, and InputError for unknown content."""
    raw: dict[str, Any] = aws.call("iam", "get_user", UserName=user)["User"]
    tags = tags_of(raw)
    try:
        rotation = _rotation(tags.get(STATE_TAG, ""))
        lock = _lock(tags.get(LOCK_TAG, FREE))
    except (ValueError, KeyError) as error:
        raise InputError(
            f"the tags `{STATE_TAG}` and `{LOCK_TAG}` of `{user}` cannot be read: {error}",
            remedy="check the user's keys, then remove both tags",
        ) from None
    return UserTags(raw["Arn"], rotation, lock)


def write_rotation(aws: Aws, user: str, rotation: Rotation) -> None:
    """Store *rotation* in the user's tag."""
    words = {
        "since": _instant(rotation.since) if rotation.since else None,
        "old": rotation.old,
        "new": rotation.new,
        "revoked": "yes" if rotation.revoked else None,
    }
    pairs = [f"{name}={value}" for name, value in words.items() if value]
    _tag(aws, user, STATE_TAG, " ".join([rotation.phase, *pairs]))


def write_lock(aws: Aws, user: str, lock: Lock | None) -> None:
    """Hold the lock of *user*, or release it with None."""
    value = f"{lock.token} since={_instant(lock.since)}" if lock else FREE
    _tag(aws, user, LOCK_TAG, value)


def _tag(aws: Aws, user: str, key: str, value: str) -> None:
    aws.call("iam", "tag_user", UserName=user, Tags=as_aws({key: value}))


def _rotation(value: str) -> Rotation:
    if not value:
        return Rotation()
    phase, *rest = value.split()
    words = dict(word.split("=", 1) for word in rest)
    if phase not in get_args(Phase):
        raise ValueError(f"`{value}`")
    checked: Phase = phase  # type: ignore[assignment] # checked one line above
    since = _parsed(words["since"]) if "since" in words else None
    if checked != "idle" and not (since and words.get("old") and words.get("new")):
        raise ValueError(f"`{value}`")
    revoked = words.get("revoked") == "yes"
    return Rotation(checked, since, words.get("old"), words.get("new"), revoked)


def _lock(value: str) -> Lock | None:
    if value == FREE:
        return None
    token, since = value.split()
    return Lock(token, _parsed(since.removeprefix("since=")))


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parsed(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


STALE_LOCK: Final = timedelta(hours=1)
"""The age at which a lock is stale; a rotation creates and delivers its key within minutes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long both keys stay active (*overlap*), and the old key inactive (*cool_off*).

    No recorded use within 20 minutes proves nothing, because AWS records only the first of several
    uses within 15 minutes. *max_age* is the age that no active key may reach.
    """

    overlap: timedelta = timedelta(days=1)
    cool_off: timedelta = timedelta(days=7)
    max_age: timedelta = MAX_KEY_AGE

    def due(self, key: KeyInfo) -> datetime | None:
        """Return the time at which the rotation of *key* must begin to finish in time."""
        if key.created is None:
            return None
        return key.created + self.max_age - self.overlap - self.cool_off


@dataclass(frozen=True, slots=True)
class Rotator:
    """Everything that a rotation of *user*'s key needs; *report* receives a line for each step."""

    aws: Aws
    user: str
    delivery: Delivery
    schedule: Schedule
    clock: Callable[[], datetime]
    pause: Callable[[float], None]
    report: Callable[[str], None] = lambda _: None

    @property
    def store(self) -> Store:
        """Where the key is delivered."""
        return self.delivery.store

    def tags(self) -> UserTags:
        """Return the user's ARN and the content of its tags."""
        return read_user(self.aws, self.user)

    def record(self, rotation: Rotation) -> None:
        """Store *rotation* in the user's tag."""
        write_rotation(self.aws, self.user, rotation)

    def list_keys(self) -> tuple[KeyInfo, ...]:
        """Return the user's keys, oldest first."""
        return list_keys(self.aws, self.user)

    def use(self, key_id: str) -> KeyUse:
        """Return when the key was last used."""
        return key_use(self.aws, key_id)

    def activate(self, key_id: str, *, active: bool) -> None:
        """Activate or deactivate the key."""
        status = "Active" if active else "Inactive"
        self.aws.call(
            "iam", "update_access_key", UserName=self.user, AccessKeyId=key_id, Status=status
        )

    def delete(self, key_id: str) -> None:
        """Delete the key, if it exists."""
        delete_key(self.aws, self.user, key_id)


@dataclass(frozen=True, slots=True)
class Progress:
    """The state that a rotation has reached.

    `done`: only the key in the store is left. `waiting`: nothing to do before *until*. `in use`:
    the old key is still used. `not due`: the key is not due, and a rotation was requested only if
    due. `not working`: no rotation is in progress, and no key in the store works. *evidence* gives
    details, *remedy* says what to do.
    """

    state: Literal["done", "waiting", "in use", "not due", "not working"]
    rotation: Rotation
    until: datetime | None = None
    evidence: str = ""
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return {
            "state": self.state,
            **self.rotation.as_json(),
            "until": self.until.isoformat() if self.until else None,
            "evidence": self.evidence or None,
            "remedy": self.remedy,
        }


def take_lock(rotator: Rotator, journal: Journal) -> None:
    """Lock the user; raises RefusedError if another run has the lock or is faster."""
    token = journal.rotation or ""
    held = rotator.tags().lock
    if held is None or held.token != token:
        if held is not None and rotator.clock() - held.since < STALE_LOCK:
            raise busy(held)
        write_lock(rotator.aws, rotator.user, Lock(token, rotator.clock()))
    check_lock(rotator, journal)


def check_lock(rotator: Rotator, journal: Journal) -> None:
    """Raise RefusedError if another run has taken the lock."""
    held = rotator.tags().lock
    if held is not None and held.token != journal.rotation:
        raise busy(held)


def free_lock(rotator: Rotator, journal: Journal) -> None:
    """Release the lock, if it belongs to the journal."""
    held = rotator.tags().lock
    if held is not None and held.token == journal.rotation:
        write_lock(rotator.aws, rotator.user, None)


def busy(held: Lock) -> RefusedError:
    """Return the error that another run is creating a key."""
    over = held.since + STALE_LOCK
    return RefusedError(
        f"another run has been creating a key of this user since {held.since:%Y-%m-%d %H:%M} UTC",
        remedy="wait for it; if it was interrupted, run the same command again after "
        f"{over:%H:%M} UTC",
    )
