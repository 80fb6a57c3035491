"""One look at the user's keys, its tags and the stores: what a rotation is decided by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.credentials._delivery import try_key
from cml_iam.credentials._keys import KeyInfo, list_keys
from cml_iam.credentials._rotation_state import Rotation, UserTags, read_user

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.credentials._rotator import Rotator
    from cml_iam.credentials._store import Contents

Standing = Literal["active", "inactive", "gone", "foreign"]

LAG: Final = timedelta(minutes=5)
"""A list of keys may be older than the tag that was written after a change."""


@dataclass(frozen=True, slots=True)
class View:
    """The user's tags and *keys*, what the stores hold, and how each key in them stands."""

    tags: UserTags
    keys: dict[str, KeyInfo]
    contents: Contents
    standing: dict[str, Standing]

    @property
    def working(self) -> set[str]:
        """The ids in the stores that work as this user."""
        return {key for key, standing in self.standing.items() if standing == "active"}

    def dead(self, rotation: Rotation) -> str | None:
        """Say why no store has a working key though one should; None where all is well."""
        if self.working:
            return None
        held = [f"`{key}` is {standing}" for key, standing in self.standing.items()]
        if held:
            return f"the store's key {', '.join(held)}"
        new = self.keys.get(rotation.new or "")
        if rotation.phase != "idle" and (new is None or not new.active):
            state = "gone" if new is None else "inactive"
            return f"the new key `{rotation.new}` is {state}, and the store holds none"
        return None


def look(rotator: Rotator) -> View:
    """Return how things stand; only reads."""
    tags = read_user(rotator.aws, rotator.user)
    keys = {key.id: key for key in list_keys(rotator.aws, rotator.user)}
    contents = rotator.delivery.store.look()
    standing: dict[str, Standing] = {}
    for key in contents.keys:
        if key.id in keys:
            standing[key.id] = "active" if keys[key.id].active else "inactive"
            continue
        # A list may be seconds old; the key itself knows better.
        verdict = try_key(rotator.delivery.sign_in, key, tags.arn)
        found: dict[str, Literal["active", "foreign"]] = {
            "works": "active",
            "another principal's": "foreign",
        }
        standing[key.id] = found.get(verdict, "gone")
    return View(tags, keys, contents, standing)


def corrected(view: View, now: datetime) -> Rotation:
    """Return what the rotation has come to by what is there, whatever its tag says."""
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
