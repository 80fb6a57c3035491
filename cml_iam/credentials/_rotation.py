"""Rotate a key: create, deliver, observe, deactivate, observe, delete; resumable anywhere.

AWS's own order:
https://docs.aws.amazon.com/IAM/latest/UserGuide/id-credentials-access-keys-update.html

The user's keys, its tags and the stores together determine the next step. Steps are done one by one
until there is something to wait for. Manual changes are part of this state, so every state has a
next step or an error that names the next command to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, Literal

from cml_iam.credentials import _rotation_key as new_key
from cml_iam.credentials._delivery import foreign_key, try_key
from cml_iam.credentials._keys import KeyInfo, KeyUse
from cml_iam.credentials._rotation_state import Progress, Rotation, Rotator, UserTags, own_journal
from cml_iam.credentials._store import Contents, folders_of, parts_of, store_locked
from cml_iam.errors import CmlIamError, RefusedError

Standing = Literal["active", "inactive", "gone", "foreign"]
_STANDING: Final[dict[str, Standing]] = {"works": "active", "another principal's": "foreign"}

_REPLACE: Final = "replace it: `cml-iam key rotate`"

LAG: Final = timedelta(minutes=5)
"""The maximum time by which a list of keys may lag behind the tag written after a change."""


@dataclass(frozen=True, slots=True)
class View:
    """The user's tags and *keys*, the contents of the stores, and the state of each key in them."""

    tags: UserTags
    keys: dict[str, KeyInfo]
    contents: Contents
    standing: dict[str, Standing]

    @property
    def working(self) -> set[str]:
        """The ids of the keys in the stores that work for this user."""
        return {key for key, standing in self.standing.items() if standing == "active"}

    def dead(self, rotation: Rotation) -> str | None:
        """Return why no store has a working key although one should; None if one has."""
        if self.working:
            return None
        held = [f"`{key}` is {standing}" for key, standing in self.standing.items()]
        if held:
            return f"the store's key {', '.join(held)}"
        new = self.keys.get(rotation.new or "")
        if rotation.phase != "idle" and (new is None or not new.active):
            state = "gone" if new is None else "inactive"
            return f"the new key `{rotation.new}` is {state}, and the store has no key"
        return None


def look(rotator: Rotator) -> View:
    """Return the current state; only reads."""
    tags = rotator.tags()
    keys = {key.id: key for key in rotator.list_keys()}
    contents = rotator.store.look()
    standing: dict[str, Standing] = {}
    for key in contents.keys:
        if key.id in keys:
            standing[key.id] = "active" if keys[key.id].active else "inactive"
            continue
        # A list may be seconds old; the key itself knows better.
        verdict = try_key(rotator.delivery.sign_in, key, tags.arn)
        standing[key.id] = _STANDING.get(verdict, "gone")
    return View(tags, keys, contents, standing)


def corrected(view: View, now: datetime) -> Rotation:
    """Return the actual state of the rotation, even if its tag differs."""
    rotation = view.tags.rotation
    if rotation.phase == "idle":
        return rotation
    old, new = view.keys.get(rotation.old or ""), view.keys.get(rotation.new or "")
    if old is None:
        return Rotation("idle", now)
    if new is None or not new.active:
        if old.id in view.working:  # the old key was put back
            return Rotation("idle", now)
        instead = view.working - {old.id, rotation.new}
        if instead:  # the new key was replaced by another
            return replace(rotation, new=min(instead))
    if rotation.since is not None and now - rotation.since > LAG:
        if rotation.phase == "observing" and not old.active:
            return replace(rotation, phase="deactivated", since=now)
        if rotation.phase == "deactivated" and old.active:
            return replace(rotation, phase="observing", since=now, revoked=False)
    return rotation


@dataclass(frozen=True, slots=True)
class RotationStep:
    """The next step, in *words*.

    A *correction* only fixes the tag and is not part of a rotation, so a rotation may still begin
    after it.
    """

    words: str
    work: Callable[[], None]
    correction: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """The *rotation* in the user's tag, and *upcoming*, the step that `key resume` would do now.

    *trouble* says why it cannot continue, and *remedy* what to do. *interrupted* says that a run
    left files here.
    """

    rotation: Rotation
    interrupted: bool
    upcoming: str = ""
    trouble: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {
            **self.rotation.as_json(),
            "interrupted": self.interrupted,
            "next": self.upcoming or None,
            "trouble": self.trouble or None,
            "remedy": self.remedy or None,
        }


def rotate(rotator: Rotator, *, if_due: bool = False) -> Progress:
    """Begin a rotation, or continue the current one, as far as possible now.

    With *if_due*, no rotation begins while the key in the store works and is not due by the
    schedule.

    Raises RefusedError, with the evidence, if the key in use cannot be determined or another
    machine is creating a key; IncompleteError if another run is needed.
    """
    with store_locked(rotator.store):
        return _run(rotator, begin=True, if_due=if_due)


def resume(rotator: Rotator) -> Progress:
    """Continue the current rotation as far as possible now; raises the errors of `rotate`."""
    with store_locked(rotator.store):
        return _run(rotator)


def rotation_step(rotator: Rotator, *, begin: bool = True, if_due: bool = False) -> str:
    """Describe the first step of `rotate` or (without *begin*) `resume`; raises their errors."""
    upcoming = _next(rotator, begin=begin, if_due=if_due)
    return upcoming.words if isinstance(upcoming, RotationStep) else _in_words(upcoming)


def rotation_status(rotator: Rotator) -> Status:
    """Return the status of the rotation; only reads."""
    rotation = rotator.tags().rotation
    interrupted = any(folder.exists() for folder in folders_of(rotator.store))
    try:
        return Status(rotation, interrupted, rotation_step(rotator, begin=False))
    except CmlIamError as error:
        return Status(rotation, interrupted, trouble=error.message, remedy=error.remedy or "")


def _run(rotator: Rotator, *, begin: bool = False, if_due: bool = False) -> Progress:
    if own_journal(rotator.store, rotator.tags().arn, rotating=True) is None:
        new_key.tidy(rotator)
    while True:
        upcoming = _next(rotator, begin=begin, if_due=if_due)
        if isinstance(upcoming, Progress):
            return upcoming
        upcoming.work()
        begin = begin and upcoming.correction


def _next(rotator: Rotator, *, begin: bool, if_due: bool) -> RotationStep | Progress:
    """Return the next step, or what to wait for.

    With *begin*, a rotation may begin; with *if_due* too, only if the key is due.
    """
    view = look(rotator)
    journal = own_journal(rotator.store, view.tags.arn, rotating=True)
    if journal is not None:
        work = partial(new_key.finish, rotator, journal)
        return RotationStep("continue with the key of the interrupted rotation", work)
    rotation = corrected(view, rotator.clock())
    if rotation != view.tags.rotation:
        phase = f"{rotation.phase}, from `{rotation.old}` to `{rotation.new}`"
        words = f"record that the rotation is {'over' if rotation.phase == 'idle' else phase}"
        return RotationStep(words, partial(rotator.record, rotation), correction=True)
    dead = view.dead(rotation)
    if begin and (rotation.phase == "idle" or dead):
        return _beginning(rotator, view, dead, if_due=if_due)
    if rotation.phase == "idle":
        return _over(rotator, view, rotation, dead)
    if dead:
        raise RefusedError(dead, remedy=_REPLACE)
    old, new, since = rotation.old, rotation.new, rotation.since
    if old is None or new is None or since is None:
        raise RefusedError("the rotation's tag is incomplete", remedy="remove the tag by hand")
    if rotation.phase == "deactivated":
        until = since + rotator.schedule.cool_off
        if rotator.clock() < until:
            return Progress("waiting", rotation, until)
        return RotationStep(f"delete `{old}`", partial(_delete, rotator, old))
    _check_new(rotator, view, old, new, since)
    return _retiring(rotator, rotation, old, since)


def _over(rotator: Rotator, view: View, rotation: Rotation, dead: str | None) -> Progress:
    if dead:
        return Progress("not working", rotation, evidence=dead, remedy=_REPLACE)
    if view.contents.keys:
        return Progress("done", rotation)
    none = f"`{rotator.store.name}` holds no key"
    return Progress("done", rotation, evidence=none, remedy="deliver one: `cml-iam key rotate`")


def _beginning(
    rotator: Rotator, view: View, dead: str | None, *, if_due: bool
) -> RotationStep | Progress:
    stored = view.contents.key
    foreign = next((key for key in view.contents.keys if view.standing[key.id] == "foreign"), None)
    if foreign is not None:
        raise foreign_key(rotator.delivery, foreign)
    keys = tuple(view.keys.values())
    if if_due and not dead and stored is not None and stored.id in view.keys:
        due = rotator.schedule.due(view.keys[stored.id])
        if due is not None and rotator.clock() < due:
            # What keeps a rotation from its begin then is said now; by then every key is unused.
            new_key.room_for_key(rotator, view.tags, keys, view.contents, quiet=lambda _: True)
            left_over = "; ".join(
                f"`{key.id}` is inactive; if nobody needs it any more, run "
                f"`cml-iam key delete {key.id}`"
                for key in keys
                if not key.active
            )
            return Progress("not due", view.tags.rotation, due, left_over)
    room, lost = new_key.room_for_key(rotator, view.tags, keys, view.contents)
    words = "create a new key, test it, and put it into use"
    if room is not None:
        words = f"delete `{room}`, which is inactive, to make room; {words}"
    return RotationStep(words, partial(new_key.begin, rotator, room, lost))


def _retiring(
    rotator: Rotator, rotation: Rotation, old: str, since: datetime
) -> RotationStep | Progress:
    """Deactivate the old key if it was unused long enough; otherwise say what to wait for."""
    until = since + rotator.schedule.overlap
    use = rotator.use(old)
    if use.when is not None and _second(use.when) > _second(since):
        until = max(until, use.when + rotator.schedule.overlap)
        if rotator.clock() < until:
            return Progress("in use", rotation, until, f"`{old}` was {use}")
    if rotator.clock() < until:
        return Progress("waiting", rotation, until)
    return RotationStep(f"deactivate `{old}`", partial(_deactivate, rotator, rotation, old))


def _deactivate(rotator: Rotator, rotation: Rotation, old: str) -> None:
    rotator.activate(old, active=False)
    rotator.record(replace(rotation, phase="deactivated", since=rotator.clock()))
    rotator.report(f"`{old}` is inactive")


def _second(when: datetime) -> datetime:
    """Truncate *when* to seconds, as the tag and AWS do."""
    return when.replace(microsecond=0)


def used_since(use: KeyUse, since: datetime) -> bool:
    """Return whether *use* is in the second *since*, or later."""
    return use.when is not None and _second(use.when) >= _second(since)


def _check_new(rotator: Rotator, view: View, old: str, new: str, since: datetime) -> None:
    """Refuse to retire the old key unless the new one is in the store here, or used."""
    stored, held = view.contents.key, view.contents.ids
    if stored is not None and stored.id == new:
        if try_key(rotator.delivery.sign_in, stored, view.tags.arn) == "works":
            return
        raise RefusedError(
            f"the key `{new}` in the store does not work, so the old key stays active",
            remedy=f"replace it: `cml-iam key revoke {new}`",
        )
    used = new in held or used_since(rotator.use(new), since)
    elsewhere = "deliver the new one there: `cml-iam key deliver --from STORE --to STORE`"
    if old in held:
        parts = parts_of(rotator.store)
        behind = next(part.name for part in parts if old in part.look().ids)
        raise RefusedError(
            f"`{behind}` still has the old key `{old}`, so that key stays active",
            remedy=elsewhere if used else "undo the rotation: `cml-iam key rollback`",
        )
    if not used:
        raise RefusedError(
            f"the new key `{new}` is not in `{rotator.store.name}`, and nobody has used "
            "it, so the old key stays active",
            remedy="continue with the store that got the key, or undo: `cml-iam key rollback`",
        )


def _delete(rotator: Rotator, old: str) -> None:
    rotator.delete(old)
    rotator.record(Rotation("idle", rotator.clock()))
    rotator.report(f"`{old}` is deleted")


def _in_words(outcome: Progress) -> str:
    until = f"{outcome.until:%Y-%m-%d %H:%M} UTC" if outcome.until else ""
    match outcome.state:
        case "done":
            return "nothing: no rotation is in progress"
        case "not working":
            return f"nothing: no rotation is in progress; {outcome.evidence}: `cml-iam key rotate`"
        case "not due":
            return f"nothing before {until}, because the key is not due"
        case "in use":
            return f"nothing: {outcome.evidence}; the rotation can continue after {until}"
        case "waiting":
            work = "deactivate" if outcome.rotation.phase == "observing" else "delete"
            return f"nothing before {until}, then {work} `{outcome.rotation.old}`"
