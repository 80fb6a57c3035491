"""What a rotation has come to, kept in tags of the user, so that any machine can go on with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from cml_iam.errors import InputError
from cml_iam.principal import tags_of

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws

Phase = Literal["idle", "observing", "deactivated"]

STATE_TAG: Final = "cml-iam:rotation"
LOCK_TAG: Final = "cml-iam:rotation-lock"
FREE: Final = "free"


@dataclass(frozen=True, slots=True)
class Rotation:
    """The *phase* a rotation is in, and since when.

    `observing`: the key *new* is in the store, *old* is still active. `deactivated`: *old* is not;
    where it was *revoked* it is not made active again. `idle`: nothing is under way.
    """

    phase: Phase = "idle"
    since: datetime | None = None
    old: str | None = None
    new: str | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Lock:
    """Who makes a key right now, and since when."""

    token: str
    since: datetime


@dataclass(frozen=True, slots=True)
class UserTags:
    """What the tags of a user say."""

    arn: str
    rotation: Rotation
    lock: Lock | None


def read_user(aws: Aws, user: str) -> UserTags:
    """Return the user's ARN and what its tags say.

    Raises NotFoundError for no such user, InputError for tags that say nothing known.
    """
    raw: dict[str, Any] = aws.call("iam", "get_user", UserName=user)["User"]
    tags = tags_of(raw)
    try:
        rotation = _rotation(tags.get(STATE_TAG, ""))
        lock = _lock(tags.get(LOCK_TAG, FREE))
    except (ValueError, KeyError) as error:
        raise InputError(
            f"the tags `{STATE_TAG}` and `{LOCK_TAG}` of `{user}` say nothing known: {error}",
            remedy="look at the user's keys, then remove both tags",
        ) from None
    return UserTags(raw["Arn"], rotation, lock)


def write_rotation(aws: Aws, user: str, rotation: Rotation) -> None:
    """Keep *rotation* in the user's tag."""
    words: list[str] = [rotation.phase]
    if rotation.since:
        words.append(f"since={_instant(rotation.since)}")
    words += [f"{name}={key}" for name, key in _ids(rotation) if key]
    if rotation.revoked:
        words.append("revoked=yes")
    _tag(aws, user, STATE_TAG, " ".join(words))


def write_lock(aws: Aws, user: str, lock: Lock | None) -> None:
    """Hold the lock of *user*, or let go of it with None."""
    value = f"{lock.token} since={_instant(lock.since)}" if lock else FREE
    _tag(aws, user, LOCK_TAG, value)


def _tag(aws: Aws, user: str, key: str, value: str) -> None:
    aws.call("iam", "tag_user", UserName=user, Tags=[{"Key": key, "Value": value}])


def _ids(rotation: Rotation) -> tuple[tuple[str, str | None], ...]:
    return (("old", rotation.old), ("new", rotation.new))


def _rotation(value: str) -> Rotation:
    if not value:
        return Rotation()
    phase, *rest = value.split()
    words = dict(word.split("=", 1) for word in rest)
    if phase not in get_args(Phase):
        raise ValueError(f"`{value}`")
    known: Phase = phase  # type: ignore[assignment] # checked one line above
    since = _parsed(words["since"]) if "since" in words else None
    if known != "idle" and not (since and words.get("old") and words.get("new")):
        raise ValueError(f"`{value}`")
    revoked = words.get("revoked") == "yes"
    return Rotation(known, since, words.get("old"), words.get("new"), revoked)


def _lock(value: str) -> Lock | None:
    if value == FREE:
        return None
    token, since = value.split()
    return Lock(token, _parsed(since.removeprefix("since=")))


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parsed(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
