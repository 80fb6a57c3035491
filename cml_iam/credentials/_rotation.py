"""Rotate a key: make, deliver, observe, deactivate, observe, delete; stop and go on anywhere.

AWS's own order: https://docs.aws.amazon.com/IAM/latest/UserGuide/id-credentials-access-keys-update.html
Until the new key is in the store a journal beside the store says what is under way; from then on
tags of the user do, so that any machine may go on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.credentials._delivery import Delivery, make_key, promote_key, try_key
from cml_iam.credentials._file_store import close_folder
from cml_iam.credentials._journal import Journal, end_journal, read_journal
from cml_iam.credentials._keys import AccessKey, KeyInfo, delete_key, key_use, list_keys, update_key
from cml_iam.credentials._mounts import holders
from cml_iam.credentials._rotation_begin import begin, begun
from cml_iam.credentials._rotation_end import delete_old, retire
from cml_iam.credentials._rotation_lock import check_lock, free_lock, take_lock
from cml_iam.credentials._rotation_state import Rotation, read_user, write_rotation
from cml_iam.credentials._rotator import Outcome, Rotator
from cml_iam.credentials._together import folders_of, store_locked
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from datetime import datetime


def rotate(rotator: Rotator, *, if_due: bool = False) -> Outcome:
    """Begin a rotation, or go on with the one under way, as far as it can go now.

    With *if_due* none is begun while the key in the store is young enough by the schedule.

    Raises RefusedError where it cannot be told which key is in use, with the evidence, and while
    another machine is making a key; IncompleteError where another run is needed.
    """
    with store_locked(rotator.delivery.store):
        if not _under_way(rotator):
            due = _due(rotator) if if_due else None
            if due is not None and rotator.clock() < due:
                return Outcome("not due", Rotation(), due)
            begin(rotator)
        return _go_on(rotator)


def resume(rotator: Rotator) -> Outcome:
    """Go on with the rotation under way, as far as it can go now; raises as `rotate` does."""
    with store_locked(rotator.delivery.store):
        return _go_on(rotator)


def rollback(rotator: Rotator) -> str:
    """Undo the rotation under way as far as that is possible, and say in words what was done.

    Before the new key is in use it is deleted. Afterwards the old one is active again, and both
    work. Raises RefusedError when nothing is under way.
    """
    store = rotator.delivery.store
    with store_locked(store):
        user = read_user(rotator.aws, rotator.user)
        journal = _journal(rotator, user.arn)
        if journal is not None and not (journal.begun and _promoted(rotator, journal)):
            return _forget(rotator, journal)
        if journal is not None:
            _settle(rotator, journal)
            user = read_user(rotator.aws, rotator.user)
        rotation = user.rotation
        if rotation.phase == "idle" or rotation.old is None:
            raise RefusedError("no rotation is under way", remedy="see `cml-iam key status`")
        if rotation.phase == "deactivated":
            update_key(rotator.aws, rotator.user, rotation.old, active=True)
            back = replace(rotation, phase="observing", since=rotator.clock())
            write_rotation(rotator.aws, rotator.user, back)
            return f"`{rotation.old}` is active again, beside `{rotation.new}`"
        return f"`{rotation.old}` and `{rotation.new}` are both active; nothing to undo"


def _due(rotator: Rotator) -> datetime | None:
    """Return when the key in the store is due, None where that is not known or it is none."""
    stored = rotator.delivery.store.look().key
    keys = {key.id: key for key in list_keys(rotator.aws, rotator.user)}
    if stored is None or stored.id not in keys:
        return None
    return rotator.schedule.due(keys[stored.id])


def _under_way(rotator: Rotator) -> bool:
    user = read_user(rotator.aws, rotator.user)
    return _journal(rotator, user.arn) is not None or user.rotation.phase != "idle"


def _journal(rotator: Rotator, arn: str) -> Journal | None:
    store = rotator.delivery.store
    journal = read_journal(store.folder)
    if journal and (journal.rotation is None or journal.user != arn or journal.store != store.name):
        raise RefusedError(
            f"a run for `{journal.user}` and `{journal.store}` was interrupted here",
            remedy="run that one again first: `cml-iam bootstrap apply`, or the other rotation",
        )
    return journal


def _go_on(rotator: Rotator) -> Outcome:
    user = read_user(rotator.aws, rotator.user)
    journal = _journal(rotator, user.arn)
    if journal is not None:
        journal = begun(rotator, journal)
        if not _promoted(rotator, journal):
            _replace(rotator, journal)
        _settle(rotator, journal)
    else:
        _tidy(rotator)  # killed before it began, or after its end
    rotation = read_user(rotator.aws, rotator.user).rotation
    if rotation.phase == "observing":
        outcome = retire(rotator, rotation)
        if outcome is not None:
            return outcome
        rotation = read_user(rotator.aws, rotator.user).rotation
    if rotation.phase == "deactivated":
        return delete_old(rotator, rotation)
    return Outcome("done", rotation)


def _tidy(rotator: Rotator) -> None:
    first, *rest = folders_of(rotator.delivery.store)
    if first.exists():
        end_journal(first)
    for folder in rest:
        close_folder(folder)


def _promoted(rotator: Rotator, journal: Journal) -> bool:
    """Say whether the key made by this rotation is the one in the store."""
    stored = rotator.delivery.store.look().key
    ids = {key.id for key in list_keys(rotator.aws, rotator.user)}
    return stored is not None and stored.id not in journal.before and stored.id in ids


def _replace(rotator: Rotator, journal: Journal) -> None:
    """Deliver the staged key; where there is none, remove what was lost and make one."""
    take_lock(rotator, journal)
    contents = rotator.delivery.store.look()
    keys = list_keys(rotator.aws, rotator.user)
    delivery = _guarded(rotator, journal)
    # Of several stores some may have it in use already, and none staged any more.
    started = [key for key in contents.keys if key.id not in journal.before]
    for key in filter(None, (contents.staged, *started)):
        if _alive(rotator, key, keys, journal.user):
            promote_key(journal.user, delivery, key, pause=rotator.pause)
            rotator.report(f"`{key.id}` is in use")
            _tell_readers(rotator, journal)
            return
    _remove_orphans(rotator, journal, keys)

    def give_up() -> None:
        # In this order: whoever has the journal can free the lock, and nobody else.
        free_lock(rotator, journal)
        end_journal(rotator.delivery.store.folder)

    made = make_key(
        rotator.aws, rotator.user, journal, delivery, pause=rotator.pause, give_up=give_up
    )
    rotator.report(f"`{made}` is made, proved and in use")
    _tell_readers(rotator, journal)


def _tell_readers(rotator: Rotator, journal: Journal) -> None:
    """Report who will not see the new key by itself."""
    for word in rotator.delivery.store.afterwards():
        rotator.report(word)
    for old in journal.before:
        held = holders(old)
        if held:
            rotator.report(f"`{old}` is in the environment of: {', '.join(held)}; restart them")


def _guarded(rotator: Rotator, journal: Journal) -> Delivery:
    """Return the delivery, which does not put a key to use after the lock is lost."""
    prove = rotator.delivery.prove

    def checked(key: AccessKey) -> None:
        check_lock(rotator, journal)
        if prove is not None:
            prove(key)

    return replace(rotator.delivery, prove=checked)


def _alive(rotator: Rotator, staged: AccessKey, keys: tuple[KeyInfo, ...], arn: str) -> bool:
    # A list of IAM may be seconds old; the key itself knows better.
    listed = any(key.id == staged.id and key.active for key in keys)
    return listed or try_key(rotator.delivery.sign_in, staged, arn) == "works"


def _remove_orphans(rotator: Rotator, journal: Journal, keys: tuple[KeyInfo, ...]) -> None:
    for key in keys:
        if key.id in journal.before:
            continue
        _delete_unused(rotator, key)
        rotator.report(f"`{key.id}` is deleted: its secret was lost")


def _delete_unused(rotator: Rotator, key: KeyInfo) -> None:
    """Delete *key*, which nobody can know of; raises RefusedError where somebody uses it."""
    use = key_use(rotator.aws, key.id)
    if use.when is not None:
        raise RefusedError(
            f"the key `{key.id}` was made after this rotation began, and somebody uses it: {use}",
            remedy="find out who holds it, then `cml-iam key revoke ID`",
        )
    delete_key(rotator.aws, rotator.user, key.id)


def _settle(rotator: Rotator, journal: Journal) -> None:
    """Hand over from the journal to the tag: the new key is in the store."""
    store = rotator.delivery.store
    stored = store.look().key
    present = {key.id: key for key in list_keys(rotator.aws, rotator.user)}
    old = next((key for key in journal.before if key in present), None)
    now = rotator.clock()
    if stored is None:
        raise RefusedError("the store has lost its key", remedy="run `cml-iam bootstrap apply`")
    state = Rotation("observing", now, old, stored.id) if old else Rotation("idle", now)
    write_rotation(rotator.aws, rotator.user, state)
    free_lock(rotator, journal)
    store.discard()
    end_journal(store.folder)


def _forget(rotator: Rotator, journal: Journal) -> str:
    """Delete the key that is not in use yet, and every trace of the rotation."""
    store = rotator.delivery.store
    if not journal.begun:
        _leave(rotator, journal)
        return "the rotation is undone: no key had been made"
    contents = store.look()
    staged = contents.staged
    present = {key.id for key in list_keys(rotator.aws, rotator.user)}
    started = [key.id for key in contents.keys if key.id in present - set(journal.before)]
    if started:
        raise RefusedError(
            f"`{started[0]}` is in use in some of the stores already, so it is not deleted",
            remedy="finish with `cml-iam key resume`: the old key works on for --overlap",
        )
    gone = []
    for key in list_keys(rotator.aws, rotator.user):
        if key.id in journal.before:
            continue
        if staged is not None and staged.id == key.id:
            delete_key(rotator.aws, rotator.user, key.id)
        else:
            _delete_unused(rotator, key)
        gone.append(f"`{key.id}`")
    _leave(rotator, journal)
    return f"the rotation is undone; deleted: {', '.join(gone) or 'nothing'}"


def _leave(rotator: Rotator, journal: Journal) -> None:
    """Leave nothing of the rotation, nor of a store that it made."""
    free_lock(rotator, journal)
    rotator.delivery.store.withdraw()
    end_journal(rotator.delivery.store.folder)
