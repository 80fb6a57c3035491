"""The begin of a rotation: it is written down, the user is locked, and only then keys count."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from cml_iam.credentials._file_store import open_folder
from cml_iam.credentials._journal import Journal, end_journal, write_journal
from cml_iam.credentials._keys import list_keys
from cml_iam.credentials._rotation_lock import STALE_LOCK, busy, take_lock
from cml_iam.credentials._rotation_room import lost_keys, make_room
from cml_iam.credentials._rotation_state import read_user
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from cml_iam.credentials._rotator import Rotator


def begin(rotator: Rotator) -> None:
    """Write down that a new key is to be made, and take the lock of the user."""
    aws, store = rotator.aws, rotator.delivery.store
    contents = store.look()
    user = read_user(aws, rotator.user)
    if user.lock is not None and rotator.clock() - user.lock.since < STALE_LOCK:
        raise busy(user.lock)
    keys = list_keys(aws, rotator.user)
    lost = lost_keys(rotator, user, keys, contents)
    make_room(rotator, tuple(key for key in keys if key.id not in lost), contents)
    token = secrets.token_hex(8)
    journal = Journal(user.arn, store.name, (), token, lost=tuple(sorted(lost)), begun=False)
    open_folder(store.folder)
    write_journal(store.folder, journal)
    _lock(rotator, journal)


def begun(rotator: Rotator, journal: Journal) -> Journal:
    """Return *journal* with the keys that were there when the lock was taken.

    Before the lock somebody else may have made one, and it is theirs.
    """
    if journal.begun:
        return journal
    _lock(rotator, journal)
    keys = list_keys(rotator.aws, rotator.user)
    before = tuple(key.id for key in keys if key.id not in journal.lost)
    made = replace(journal, before=before, begun=True)
    write_journal(rotator.delivery.store.folder, made)
    return made


def _lock(rotator: Rotator, journal: Journal) -> None:
    """Take the lock; where somebody else has it, nothing was ever begun."""
    try:
        take_lock(rotator, journal)
    except RefusedError:
        end_journal(rotator.delivery.store.folder)
        raise
