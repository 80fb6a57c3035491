"""Undo a rotation, deactivate a leaked key, or delete a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from cml_iam.credentials import _rotation_key as new_key
from cml_iam.credentials._delivery import deliver, plan_key
from cml_iam.credentials._keys import KeyInfo, KeyUse
from cml_iam.credentials._rotation import View, corrected, look, used_since
from cml_iam.credentials._rotation_state import Rotation, Rotator, own_journal, read_journal
from cml_iam.credentials._store import store_locked
from cml_iam.errors import InputError, RefusedError


@dataclass(frozen=True, slots=True)
class Revoked:
    """The deactivated key, its last use, and the key that is now in the store.

    *replacement* is None if the revoked key was not in the store. *deleted* says that the key was
    deleted to make room for its replacement.
    """

    key_id: str
    use: KeyUse
    replacement: str | None
    deleted: bool = False


def revoke(rotator: Rotator, key_id: str) -> Revoked:
    """Deactivate the user's key *key_id* immediately, and replace it if the store holds it.

    The key is not deleted, so that its use can still be inspected, unless it is in the store and
    there is no room for another key. Temporary credentials made with it stay valid until they
    expire, up to 36 hours:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html
    The replacement is not tested first, because any key is better than an inactive one.

    Raises InputError for a key that is not the user's, and RefusedError if the deactivated key
    cannot be replaced.
    """
    delivery = replace(rotator.delivery, prove=None)
    rotator = replace(rotator, delivery=delivery)
    store = rotator.store
    with store_locked(store):
        key = _own_key(rotator, key_id)
        if key.active:
            rotator.activate(key_id, active=False)
            rotator.report(f"`{key_id}` is inactive")
        use = rotator.use(key_id)
        _note_revoked(rotator, key_id)
        if key_id not in store.look().ids:
            return Revoked(key_id, use, None)
        user = rotator.tags()
        journal = read_journal(store.folder)
        if journal and journal.rotation and (journal.user, journal.store) == (user.arn, store.name):
            new_key.finish(rotator, journal)
            stored = store.look().key
            replacement = stored.id if stored else None
        else:
            plan = plan_key(rotator.aws, rotator.user, user.arn, delivery)
            replacement = deliver(rotator.aws, plan, delivery, pause=rotator.pause)
        _note_revoked(rotator, key_id)
        _correct(rotator)
        left = {key.id for key in rotator.list_keys()}
        return Revoked(key_id, use, replacement, deleted=key_id not in left)


def revocation_step(rotator: Rotator, key_id: str) -> str:
    """Describe what `revoke` would do; only reads. Raises the same InputError."""
    key = _own_key(rotator, key_id)
    words = (
        f"make `{key_id}` inactive" if key.active else f"nothing: `{key_id}` is already inactive"
    )
    if key_id in rotator.store.look().ids:
        words += f", create a new key, and put it into {rotator.store.name}"
        if len(rotator.list_keys()) > 1:
            words += f"; `{key_id}` is deleted, because AWS allows only two keys"
    return words


def delete(rotator: Rotator, key_id: str, *, stored: bool = False) -> KeyUse:
    """Delete the user's inactive key *key_id*, and return its last use.

    Raises InputError for a key that is not the user's, and RefusedError for a key that is active or
    staged or (unless *stored*) in a store.
    """
    with store_locked(rotator.store):
        _check_deletion(rotator, key_id, stored=stored)
        use = rotator.use(key_id)
        rotator.delete(key_id)
        _correct(rotator)
        return use


def deletion_step(rotator: Rotator, key_id: str, *, stored: bool = False) -> str:
    """Describe what `delete` would do; only reads. Raises the same errors."""
    _check_deletion(rotator, key_id, stored=stored)
    return f"delete `{key_id}`, {rotator.use(key_id)}"


def _check_deletion(rotator: Rotator, key_id: str, *, stored: bool) -> None:
    key = _own_key(rotator, key_id)
    store = rotator.store
    contents = store.look()
    if key.active:
        raise RefusedError(
            f"`{key_id}` is active", remedy=f"deactivate it first: `cml-iam key revoke {key_id}`"
        )
    if contents.staged is not None and contents.staged.id == key_id:
        raise RefusedError(
            f"`{key_id}` is the new key of an interrupted run",
            remedy="undo that with `cml-iam key rollback`, or finish it with `cml-iam key resume`",
        )
    if not stored and key_id in contents.ids:
        raise RefusedError(
            f"`{key_id}` is in `{store.name}`",
            remedy="replace it with `cml-iam key rotate`, or add --stored",
        )


def _own_key(rotator: Rotator, key_id: str) -> KeyInfo:
    keys = {key.id: key for key in rotator.list_keys()}
    if key_id not in keys:
        ids = ", ".join(f"`{key}`" for key in keys) or "none"
        raise InputError(f"`{key_id}` is not a key of `{rotator.user}`, which has {ids}")
    return keys[key_id]


def _note_revoked(rotator: Rotator, key_id: str) -> None:
    """Prevent the old key of a rotation from being reactivated."""
    rotation = rotator.tags().rotation
    if rotation.phase == "idle" or rotation.old != key_id or rotation.revoked:
        return
    noted = replace(rotation, phase="deactivated", since=rotator.clock(), revoked=True)
    rotator.record(noted)


def _correct(rotator: Rotator) -> None:
    """Update the user's tag to the actual state of the rotation."""
    view = look(rotator)
    rotation = corrected(view, rotator.clock())
    if rotation != view.tags.rotation:
        rotator.record(rotation)


def rollback(rotator: Rotator) -> str:
    """Undo the rotation in progress as far as possible, and describe what was done.

    A new key that is not in use yet is deleted. Otherwise, the old key is reactivated and both
    work; a new key in no store is deactivated. Raises RefusedError if no rotation is in progress,
    or if the old key was revoked.
    """
    with store_locked(rotator.store):
        return _undoing(rotator).undo()


def rollback_step(rotator: Rotator) -> str:
    """Describe what `rollback` would do; only reads. Raises the same errors."""
    return _undoing(rotator).words


@dataclass(frozen=True, slots=True)
class _Undoing:
    words: str
    undo: Callable[[], str]


def _undoing(rotator: Rotator) -> _Undoing:
    view = look(rotator)
    journal = own_journal(rotator.store, view.tags.arn, rotating=True)
    if journal is None:
        return _reversal(rotator, view)
    if not (journal.begun and new_key.promoted(rotator, journal)):
        work = partial(new_key.forget, rotator, journal)
        return _Undoing("delete the new key, which is not in use yet", work)

    def settled() -> str:
        new_key.settle(rotator, journal)
        return _undoing(rotator).undo()

    return _Undoing("nothing: the new key is in use, and the old one is active", settled)


def _reversal(rotator: Rotator, view: View) -> _Undoing:
    """Return how to undo a rotation whose new key was delivered."""
    rotation = view.tags.rotation
    dead = view.dead(rotation)
    old, new = view.keys.get(rotation.old or ""), view.keys.get(rotation.new or "")
    if rotation.phase == "idle" or old is None:
        leads_on = "`cml-iam key rotate`" if dead else "`cml-iam key status`"
        raise RefusedError("no rotation is in progress", remedy=f"see {leads_on}")
    if not old.active and rotation.revoked:
        leads_on = "`cml-iam key rotate`" if dead else "`cml-iam key resume`"
        raise RefusedError(
            f"`{old.id}` was revoked, so it stays inactive", remedy=f"continue with {leads_on}"
        )
    if not old.active:
        beside = f", beside `{new.id}`" if new is not None and new.active else ""
        advice = f"; {dead}: `cml-iam key rotate` replaces it" if dead else ""
        back = replace(rotation, phase="observing", since=rotator.clock())
        return _change(rotator, back, f"`{old.id}` is active again{beside}{advice}", (old.id, True))
    over = Rotation("idle", rotator.clock())
    if new is None or not new.active:
        words = f"`{old.id}` is active; the rotation is no longer in progress"
        return _change(rotator, over, words)
    if new.id in view.contents.ids:
        words = f"`{old.id}` and `{new.id}` are both active; nothing to undo"
        return _Undoing("nothing: both keys are active", lambda: words)
    use = rotator.use(new.id)
    if rotation.since is not None and used_since(use, rotation.since):
        raise RefusedError(
            f"`{new.id}` is in none of the stores, and somebody uses it: {use}",
            remedy=f"find out who uses `{new.id}`, then run `cml-iam key revoke {new.id}`",
        )
    words = f"`{new.id}` is inactive: it is in none of the stores; `{old.id}` is active"
    return _change(rotator, over, words, (new.id, False))


def _change(
    rotator: Rotator, rotation: Rotation, words: str, key: tuple[str, bool] | None = None
) -> _Undoing:
    def work() -> str:
        if key is not None:
            rotator.activate(key[0], active=key[1])
        rotator.record(rotation)
        return words

    if key is None:
        return _Undoing("record that the rotation is over", work)
    return _Undoing(f"make `{key[0]}` {'active' if key[1] else 'inactive'}", work)
