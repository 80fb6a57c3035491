"""The new key of a rotation, from the journal entry to the user's tag.

First the intention is recorded and the user is locked; only then are the keys counted. A journal
beside the store records the progress until the new key is in the store; after that, a tag of the
user does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cml_iam.credentials._delivery import is_alive, make_key, promote_key, refuse_foreign
from cml_iam.credentials._exposure import holders
from cml_iam.credentials._files import close_folder, open_folder
from cml_iam.credentials._keys import AccessKey, KeyInfo, KeyUse, key_to_delete
from cml_iam.credentials._rotation_state import (
    STALE_LOCK,
    Journal,
    Rotation,
    Rotator,
    UserTags,
    busy,
    check_lock,
    end_journal,
    free_lock,
    take_lock,
    write_journal,
)
from cml_iam.credentials._store import Contents, Delivery, folders_of
from cml_iam.errors import RefusedError


def room_for_key(
    rotator: Rotator,
    user: UserTags,
    keys: tuple[KeyInfo, ...],
    contents: Contents,
    quiet: Callable[[KeyUse], bool] | None = None,
) -> tuple[str | None, set[str]]:
    """Return the key to delete before creating one, and the keys that an earlier run lost.

    *quiet* decides by its use whether an inactive key may be deleted; by default, one that was not
    used during the overlap. Raises RefusedError if there is no room, or while another machine
    creates a key.
    """
    if user.lock is not None and rotator.clock() - user.lock.since < STALE_LOCK:
        raise busy(user.lock)
    lost = _lost_keys(rotator, user, keys, contents)
    kept = [key for key in keys if key.id not in lost]
    quiet = quiet or partial(_unused, rotator)
    last = user.rotation.old
    room = key_to_delete(rotator.aws, rotator.user, kept, contents.ids, quiet=quiet, last=last)
    return room, lost


def _unused(rotator: Rotator, use: KeyUse) -> bool:
    return use.when is None or rotator.clock() - use.when >= rotator.schedule.overlap


def begin(rotator: Rotator, room: str | None, lost: set[str]) -> None:
    """Record that a new key will be created, and lock the user."""
    store = rotator.store
    arn = rotator.tags().arn
    for word in store.look().words:
        rotator.report(word)
    _delete_for_room(rotator, room)
    token = secrets.token_hex(8)
    journal = Journal(arn, store.name, (), token, lost=tuple(sorted(lost)), begun=False)
    open_folder(store.folder)
    write_journal(store.folder, journal)
    _lock(rotator, journal)


def finish(rotator: Rotator, journal: Journal) -> None:
    """Create or continue the key that *journal* records, until it is in use."""
    journal = _begun(rotator, journal)
    if not promoted(rotator, journal):
        _replace(rotator, journal)
    settle(rotator, journal)


def _delete_for_room(rotator: Rotator, room: str | None) -> None:
    if room is not None:
        use = rotator.use(room)
        rotator.delete(room)
        rotator.report(f"`{room}` is deleted to make room: inactive, {use}")


def _lost_keys(
    rotator: Rotator, user: UserTags, keys: tuple[KeyInfo, ...], contents: Contents
) -> set[str]:
    """Return keys that a run elsewhere created but never put into use, if its lock is old.

    These keys are in no store and were never used, or are still staged. This rotation adopts or
    removes them as its own.
    """
    lock = user.lock
    if lock is None:
        return set()
    staged = contents.staged.id if contents.staged else None
    return {
        key.id
        for key in keys
        if key.created is not None
        and key.created >= lock.since
        and key.id not in contents.ids
        and (key.id == staged or rotator.use(key.id).when is None)
    }


def _begun(rotator: Rotator, journal: Journal) -> Journal:
    """Return *journal* with the keys that existed when the lock was taken.

    A key that another run created before the lock belongs to that run.
    """
    if journal.begun:
        return journal
    _lock(rotator, journal)
    keys = rotator.list_keys()
    before = tuple(key.id for key in keys if key.id not in journal.lost)
    begun = replace(journal, before=before, begun=True)
    write_journal(rotator.store.folder, begun)
    return begun


def _lock(rotator: Rotator, journal: Journal) -> None:
    """Take the lock; if another run has it, undo what was begun."""
    try:
        take_lock(rotator, journal)
    except RefusedError:
        end_journal(rotator.store.folder)
        raise


def promoted(rotator: Rotator, journal: Journal) -> bool:
    """Return whether the key created by this rotation is the one in the store."""
    stored = rotator.store.look().key
    ids = {key.id for key in rotator.list_keys()}
    return stored is not None and stored.id not in journal.before and stored.id in ids


def _replace(rotator: Rotator, journal: Journal) -> None:
    """Deliver the staged key; if there is none, remove lost keys and create one."""
    take_lock(rotator, journal)
    contents = rotator.store.look()
    keys = rotator.list_keys()
    delivery = _guarded(rotator, journal)
    refuse_foreign(contents, {key.id for key in keys}, delivery, journal.user)
    # Of several stores some may have it in use already, and none staged any more.
    started = [key for key in contents.keys if key.id not in journal.before]
    for key in filter(None, (contents.staged, *started)):
        if is_alive(rotator.delivery.sign_in, key, keys, journal.user):
            promote_key(journal.user, delivery, key, pause=rotator.pause)
            rotator.report(f"`{key.id}` is in use")
            _tell_readers(rotator, journal)
            return
    for orphan in keys:
        if orphan.id not in journal.before:
            _delete_unused(rotator, orphan)
            rotator.report(f"`{orphan.id}` is deleted, because its secret was lost")

    def give_up() -> None:
        # In this order: whoever has the journal can free the lock, and nobody else.
        free_lock(rotator, journal)
        end_journal(rotator.store.folder)

    try:
        quiet = partial(_unused, rotator)
        room = key_to_delete(
            rotator.aws, rotator.user, rotator.list_keys(), contents.ids, quiet=quiet
        )
        _delete_for_room(rotator, room)
    except RefusedError:  # keys were made since the rotation began, and none by it
        give_up()
        raise
    key_id = make_key(
        rotator.aws, rotator.user, journal, delivery, pause=rotator.pause, give_up=give_up
    )
    rotator.report(f"`{key_id}` is created, tested and in use")
    _tell_readers(rotator, journal)


def _tell_readers(rotator: Rotator, journal: Journal) -> None:
    """Report the readers that do not notice the new key by themselves."""
    for word in rotator.store.afterwards():
        rotator.report(word)
    for old in journal.before:
        if processes := holders(old):
            rotator.report(f"`{old}` is in the environment of {', '.join(processes)}; restart them")


def _guarded(rotator: Rotator, journal: Journal) -> Delivery:
    """Return the delivery with a check, so that it promotes no key after losing the lock."""
    prove = rotator.delivery.prove

    def checked(key: AccessKey) -> None:
        check_lock(rotator, journal)
        if prove is not None:
            prove(key)

    return replace(rotator.delivery, prove=checked)


def _delete_unused(rotator: Rotator, key: KeyInfo) -> None:
    """Delete *key*, whose secret nobody can know; raises RefusedError if the key was used."""
    use = rotator.use(key.id)
    if key.active and use.when is not None:
        raise RefusedError(
            f"the key `{key.id}` was created after this rotation began and is in no store, but it "
            f"was used: {use}",
            remedy=f"find out who uses it, then run `cml-iam key revoke {key.id}`",
        )
    rotator.delete(key.id)


def settle(rotator: Rotator, journal: Journal) -> None:
    """Replace the journal with the tag after the new key is in the store."""
    store = rotator.store
    stored = store.look().key
    if stored is None:
        raise RefusedError(
            "the store no longer contains its key", remedy="run `cml-iam key resume`"
        )
    present = {key.id: key for key in rotator.list_keys()}
    old = next((present[key] for key in journal.before if key in present), None)
    rotator.record(_settled(rotator, old, stored.id, rotator.tags().rotation))
    free_lock(rotator, journal)
    store.discard()
    end_journal(store.folder)


def _settled(rotator: Rotator, old: KeyInfo | None, new: str, before: Rotation) -> Rotation:
    now = rotator.clock()
    if old is None:
        return Rotation("idle", now)
    revoked = before.revoked and before.old == old.id
    return Rotation("observing" if old.active else "deactivated", now, old.id, new, revoked)


def forget(rotator: Rotator, journal: Journal) -> str:
    """Delete the unused new key and all traces of the rotation."""
    store = rotator.store
    if not journal.begun:
        _leave(rotator, journal)
        return "the rotation is undone; it had not created a key"
    contents = store.look()
    staged = contents.staged
    keys = rotator.list_keys()
    started = contents.ids & ({key.id for key in keys} - set(journal.before))
    if started:
        raise RefusedError(
            f"`{min(started)}` is already in use in some of the stores, so it is not deleted",
            remedy="finish with `cml-iam key resume`; the old key keeps working for --overlap",
        )
    ours = [key for key in keys if key.id not in journal.before]
    for key in ours:
        if staged is not None and staged.id == key.id:
            rotator.delete(key.id)
        else:
            _delete_unused(rotator, key)
    _leave(rotator, journal)
    deleted = ", ".join(f"`{key.id}`" for key in ours)
    return f"the rotation is undone; deleted: {deleted or 'nothing'}"


def _leave(rotator: Rotator, journal: Journal) -> None:
    """Remove all traces of the rotation, and a store that it created."""
    free_lock(rotator, journal)
    rotator.store.withdraw()
    end_journal(rotator.store.folder)


def tidy(rotator: Rotator) -> None:
    """Remove what a killed run left behind before its start or after its end."""
    first, *rest = folders_of(rotator.store)
    if first.exists():
        end_journal(first)
    for folder in rest:
        close_folder(folder)
