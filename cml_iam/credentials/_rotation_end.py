"""The end of a rotation: the old key is deactivated, and deleted, once nobody uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.credentials._delivery import try_key
from cml_iam.credentials._keys import delete_key, key_use, list_keys, update_key
from cml_iam.credentials._rotation_state import Rotation, read_user, write_rotation
from cml_iam.credentials._rotator import Outcome
from cml_iam.credentials._together import parts_of
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from datetime import datetime

    from cml_iam.credentials._rotator import Rotator


def retire(rotator: Rotator, rotation: Rotation) -> Outcome | None:
    """Deactivate the old key when it has been quiet long enough; else say what to wait for."""
    old, new, since = rotation.old, rotation.new, rotation.since
    if old is None or new is None or since is None:
        raise RefusedError("the rotation's tag is incomplete", remedy="remove the tag by hand")
    if all(key.id != old for key in list_keys(rotator.aws, rotator.user)):
        write_rotation(rotator.aws, rotator.user, Rotation("idle", rotator.clock()))
        return None
    _check_new(rotator, old, new, since)
    until = since + rotator.schedule.overlap
    use = key_use(rotator.aws, old)
    if use.when is not None and _second(use.when) > _second(since):
        until = max(until, use.when + rotator.schedule.overlap)
        if rotator.clock() < until:
            return Outcome("in use", rotation, until, f"`{old}` was {use}")
    if rotator.clock() < until:
        return Outcome("waiting", rotation, until)
    update_key(rotator.aws, rotator.user, old, active=False)
    after = replace(rotation, phase="deactivated", since=rotator.clock())
    write_rotation(rotator.aws, rotator.user, after)
    rotator.report(f"`{old}` is inactive")
    return None


def _second(when: datetime) -> datetime:
    """Return *when* as the tag and AWS keep it: the rotation's own use falls in that second."""
    return when.replace(microsecond=0)


def _check_new(rotator: Rotator, old: str, new: str, since: datetime) -> None:
    """Refuse to take the old key away unless the new one is in the store here, or used."""
    contents = rotator.delivery.store.look()
    behind = [
        part.name
        for part in parts_of(rotator.delivery.store)
        if any(key.id == old for key in part.look().keys)
    ]
    if behind:
        raise RefusedError(
            f"`{behind[0]}` still holds the old key `{old}`, so that one stays",
            remedy="deliver the new one there: `cml-iam key deliver --from STORE --to STORE`",
        )
    stored = contents.key
    if stored is not None and stored.id == new:
        arn = read_user(rotator.aws, rotator.user).arn
        if try_key(rotator.delivery.sign_in, stored, arn) == "works":
            return
        raise RefusedError(
            f"the key `{new}` in the store does not work, so the old one stays",
            remedy="see `cml-iam key status`; `cml-iam bootstrap apply` delivers a working one",
        )
    use = key_use(rotator.aws, new)
    if use.when is None or _second(use.when) < _second(since):
        raise RefusedError(
            f"the new key `{new}` is not in `{rotator.delivery.store.name}`, and nobody has used "
            "it, so the old one stays",
            remedy="go on where the key was delivered to, or start using it",
        )


def delete_old(rotator: Rotator, rotation: Rotation) -> Outcome:
    if rotation.old is None or rotation.since is None:
        raise RefusedError("the rotation's tag is incomplete", remedy="remove the tag by hand")
    until = rotation.since + rotator.schedule.cool_off
    if rotator.clock() < until:
        return Outcome("waiting", rotation, until)
    delete_key(rotator.aws, rotator.user, rotation.old)
    done = Rotation("idle", rotator.clock())
    write_rotation(rotator.aws, rotator.user, done)
    rotator.report(f"`{rotation.old}` is deleted")
    return Outcome("done", done)
