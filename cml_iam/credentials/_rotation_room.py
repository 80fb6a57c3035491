"""Room for another key: AWS allows a user two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.credentials._keys import KeyInfo, delete_key, key_use
from cml_iam.credentials._rotation_lock import STALE_LOCK
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from cml_iam.credentials._rotation_state import UserTags
    from cml_iam.credentials._rotator import Rotator
    from cml_iam.credentials._store import Contents


def lost_keys(
    rotator: Rotator, user: UserTags, keys: tuple[KeyInfo, ...], contents: Contents
) -> set[str]:
    """Return the keys that a run elsewhere made and never put to use, now that its lock is old.

    Such a key is in no store and was never used, or is staged still; so this rotation goes on with
    it or removes it, as if it had made it.
    """
    lock = user.lock
    if lock is None or rotator.clock() - lock.since < STALE_LOCK:
        return set()
    staged = contents.staged.id if contents.staged else None
    in_use = {key.id for key in contents.keys}
    return {
        key.id
        for key in keys
        if key.created is not None
        and key.created >= lock.since
        and key.id not in in_use
        and (key.id == staged or key_use(rotator.aws, key.id).when is None)
    }


def make_room(rotator: Rotator, keys: tuple[KeyInfo, ...], contents: Contents) -> None:
    """Delete the inactive one of two keys that nobody has used for long; refuse otherwise."""
    in_use = {key.id for key in contents.keys}
    others = [key for key in keys if key.id not in in_use]
    if len(keys) < 2:
        return
    idle = [key for key in others if not key.active and _quiet(rotator, key.id)]
    if len(others) < len(keys) and idle:
        rotator.report(f"delete `{idle[0].id}`: inactive and not used")
        delete_key(rotator.aws, rotator.user, idle[0].id)
        return
    evidence = "; ".join(f"`{key.id}` {key.status}, {_use(rotator, key.id)}" for key in keys)
    stored = ", ".join(f"`{key.id}`" for key in contents.keys) or "none"
    held = f"the store holds {stored}"
    raise RefusedError(
        f"`{rotator.user}` has two keys, and there is no room for a third: {evidence}; {held}",
        remedy="find out who uses the other one, then `cml-iam key revoke ID`",
    )


def _quiet(rotator: Rotator, key_id: str) -> bool:
    when = key_use(rotator.aws, key_id).when
    return when is None or rotator.clock() - when >= rotator.schedule.overlap


def _use(rotator: Rotator, key_id: str) -> str:
    return str(key_use(rotator.aws, key_id))
