"""Deliver one key to one store: plan the steps, then do them so that no crash loses a key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from cml_iam.aws.port import Aws
from cml_iam.credentials._files import open_folder
from cml_iam.credentials._keys import (
    AccessKey,
    KeyInfo,
    SignIn,
    account_of,
    create_key,
    delete_key,
    key_evidence,
    key_to_delete,
    key_use,
    list_keys,
)
from cml_iam.credentials._rotation_state import (
    Journal,
    end_journal,
    own_journal,
    read_user,
    write_journal,
)
from cml_iam.credentials._store import Contents, Delivery, Store, folders_of
from cml_iam.errors import (
    CmlIamError,
    CredentialsError,
    IncompleteError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)

Action = Literal["keep", "finish", "create"]
KeyTrial = Literal["works", "not known to AWS", "secret does not match", "another principal's"]

PAUSES: Final = (0.5, 1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 15, 15)
"""The seconds between tries of a new key, 90 in total; AWS documents no limit, 8 were observed."""
IN_A_ROW: Final = 3
"""The successes in a row after which a key counts as known to all of AWS's endpoints."""


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """The plan for the key of *user* in *store*; holds no secret.

    *key_id* is the key to keep or to promote: an interrupted run staged it, or only some of the
    stores use it. *replaces* is the id in the store that will be overwritten. *orphans* are keys to
    remove, which an interrupted run created and which are in no store and were never used. *room*
    is an inactive key in the store that is deleted to make room for the new one. *others* are the
    user's keys that stay. *unfinished* says that an interrupted run left files behind.
    """

    action: Action
    user: str
    arn: str
    store: str
    key_id: str | None = None
    replaces: str | None = None
    orphans: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    room: str | None = None
    unfinished: bool = False
    words: tuple[str, ...] = field(default=(), compare=False)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.action != "keep" or self.unfinished or bool(self.orphans)


def plan_key(aws: Aws, user: str, arn: str, delivery: Delivery) -> KeyPlan:
    """Plan how to put a working key of *user*, the user at *arn*, into the store.

    Only reads. Raises RefusedError, with the evidence, if there is no room for another key or the
    owner of a key cannot be determined.
    """
    store = delivery.store
    contents = store.look()
    journal = own_journal(store, arn, rotating=False)
    keys = {key.id: key for key in list_keys(aws, user)}
    if contents.staged and journal is None:
        _refuse_while_locked(aws, user, store)
    stored = contents.key
    doubts = {key: _doubt(key, keys, delivery, arn) for key in contents.keys}
    verdict = doubts[stored] if stored else "none"
    kept = stored.id if stored and verdict is None else None
    # The first key in use in some of several stores that works.
    shared = next((key.id for key, doubt in doubts.items() if doubt is None), None)
    left = contents.staged
    staged = left.id if left and is_alive(delivery.sign_in, left, keys.values(), arn) else None
    usable = kept or shared or staged
    spared = {key for key in (usable, staged) if key}
    # What an interrupted run staged is not needed where a key in use works.
    superseded = (staged,) if staged and staged != usable else ()
    orphans = (*_orphans(aws, journal, keys, spared), *superseded)
    others = tuple(key for key in keys if key not in spared | set(orphans))
    action: Action = "keep" if kept else "finish" if usable else "create"
    room = None
    if action == "create":
        room = key_to_delete(aws, user, [keys[key] for key in others], contents.ids)
        others = tuple(key for key in others if key != room)
    words = _words(aws, contents, verdict, [keys[key] for key in others], action, shared)
    return KeyPlan(
        action=action,
        user=user,
        arn=arn,
        store=store.name,
        key_id=usable,
        replaces=stored.id if stored and not kept and stored.id != usable else None,
        orphans=orphans,
        others=others,
        room=room,
        unfinished=bool(contents.staged) or any(folder.exists() for folder in folders_of(store)),
        words=words,
    )


def deliver(
    aws: Aws, plan: KeyPlan, delivery: Delivery, *, pause: Callable[[float], None]
) -> str | None:
    """Carry out *plan*, and return the id of the key now in the store.

    It can be interrupted anywhere: the next `plan_key` finds what is left. Raises IncompleteError
    if another run is needed, RefusedError if the user's keys have changed since the plan.
    """
    seen = {key.id for key in list_keys(aws, plan.user)}
    if seen - set(plan.orphans) - {plan.key_id, plan.room} != set(plan.others):
        raise RefusedError(
            f"the keys of `{plan.user}` have changed since the plan was made",
            remedy="make a new plan",
        )
    for key in filter(None, (*plan.orphans, plan.room)):
        delete_key(aws, plan.user, key)
    store = delivery.store
    key_id = plan.key_id
    if plan.action == "create":
        journal = Journal(plan.arn, store.name, plan.others)
        give_up = partial(end_journal, store.folder)
        key_id = make_key(aws, plan.user, journal, delivery, pause=pause, give_up=give_up)
    elif plan.action == "finish":
        contents = store.look()
        store.reserve()  # one of several may be new
        copies = [key for key in (contents.staged, *contents.keys) if key and key.id == key_id]
        if not copies:
            raise RefusedError("the staged key no longer exists", remedy="make a new plan")
        # A store may hold a damaged copy.
        sound = (key for key in copies if try_key(delivery.sign_in, key, plan.arn) == "works")
        promote_key(plan.arn, delivery, next(sound, copies[0]), pause=pause)
    if plan.changes:
        store.discard()
        end_journal(store.folder)
    return key_id


def make_key(
    aws: Aws,
    user: str,
    journal: Journal,
    delivery: Delivery,
    *,
    pause: Callable[[float], None],
    give_up: Callable[[], None],
) -> str:
    """Create a key for *user*, deliver it according to *journal*, and return its id.

    Keeps the journal; *give_up* must end it if no key was created. Raises IncompleteError if
    another run is needed.
    """
    store = delivery.store
    open_folder(store.folder)
    write_journal(store.folder, journal)
    store.discard()
    store.reserve()
    try:
        key = create_key(aws, user, frozenset(journal.before))
    except UnreachableError as error:
        raise IncompleteError(
            f"AWS did not answer the request to create a key for `{user}`: {error.message}",
            remedy="run the same command again: it removes a key whose secret was lost",
        ) from error
    except CmlIamError:
        store.withdraw()
        give_up()
        raise
    try:
        store.stage(key)
    except CmlIamError:
        # Nobody will ever know its secret.
        delete_key(aws, user, key.id)
        raise
    promote_key(journal.user, delivery, key, pause=pause)
    return key.id


def promote_key(
    arn: str, delivery: Delivery, key: AccessKey, *, pause: Callable[[float], None]
) -> None:
    """Put the staged *key* into use after AWS knows it and its test has passed."""
    await_key(delivery.sign_in, key, arn, pause=pause)
    if delivery.prove is not None:
        delivery.prove(key)
    delivery.store.promote(key)


def await_key(sign_in: SignIn, key: AccessKey, arn: str, *, pause: Callable[[float], None]) -> None:
    """Wait until AWS accepts *key* for *arn* several times in a row, or raise IncompleteError."""
    verdict: KeyTrial = "not known to AWS"
    for seconds in (*PAUSES, 0):
        if all((verdict := try_key(sign_in, key, arn)) == "works" for _ in range(IN_A_ROW)):
            return
        if verdict == "another principal's":
            break
        pause(seconds)
    raise IncompleteError(
        f"the new key `{key.id}` cannot be used yet: {verdict}",
        remedy="run the same command again in a few minutes: it continues with this key",
    )


def try_key(sign_in: SignIn, key: AccessKey, arn: str) -> KeyTrial:
    """Return whether *key* belongs to the principal *arn*; raises AwsError if AWS cannot say."""
    if not key.secret.reveal():
        return "secret does not match"
    try:
        identity = sign_in(key).identity()
    except CredentialsError as error:
        wrong = error.code == "SignatureDoesNotMatch"
        return "secret does not match" if wrong else "not known to AWS"
    return "works" if identity.arn == arn else "another principal's"


def _doubt(stored: AccessKey, keys: dict[str, KeyInfo], delivery: Delivery, arn: str) -> str | None:
    """Return why a stored key should not be kept, or None.

    Raises RefusedError for another principal's working key: its secret would be lost.
    """
    if stored.id in keys and not keys[stored.id].active:
        return "inactive"
    verdict = try_key(delivery.sign_in, stored, arn)
    if verdict == "another principal's":
        raise foreign_key(delivery, stored)
    if stored.id not in keys:
        return None if verdict == "works" else "stale, not a key of this user"
    # IAM lists it as active, so AWS has not heard of it everywhere yet.
    return None if verdict in ("works", "not known to AWS") else verdict


def refuse_foreign(contents: Contents, ids: Collection[str], delivery: Delivery, arn: str) -> None:
    """Raise RefusedError if a store has a working key that is not one of the user's *ids*."""
    for key in contents.keys:
        if key.id not in ids and try_key(delivery.sign_in, key, arn) == "another principal's":
            raise foreign_key(delivery, key)


def foreign_key(delivery: Delivery, key: AccessKey) -> RefusedError:
    """Return the error for a stored key that works for another principal."""
    whose = delivery.sign_in(key).identity().arn
    return RefusedError(
        f"`{delivery.store.name}` holds `{key.id}`, a working key of `{whose}`: its secret would "
        "be overwritten and lost",
        remedy="name another store (--env-file, --to), or remove that key from this one yourself",
    )


def _refuse_while_locked(aws: Aws, user: str, store: Store) -> None:
    """Raise if a rotation on another machine has staged this key."""
    try:
        lock = read_user(aws, user).lock
    except NotFoundError:
        return
    if lock is not None:
        raise RefusedError(
            f"a rotation that began elsewhere at {lock.since:%Y-%m-%d %H:%M} UTC has staged a key "
            f"in `{store.name}`",
            remedy="wait for it; `cml-iam key rotate` takes it over one hour after its start",
        )


def is_alive(sign_in: SignIn, key: AccessKey, keys: Iterable[KeyInfo], arn: str) -> bool:
    """Return whether *key*, staged by an interrupted run, still works for the principal *arn*.

    *keys* are those that IAM lists, which may be seconds old; the key itself knows better.
    """
    listed = any(other.id == key.id and other.active for other in keys)
    return listed or try_key(sign_in, key, arn) == "works"


def _orphans(
    aws: Aws, journal: Journal | None, keys: dict[str, KeyInfo], spared: set[str]
) -> tuple[str, ...]:
    """Return the keys that *journal*'s run lost; raises RefusedError if somebody uses one."""
    if journal is None:
        return ()
    unknown = [key for key in keys if key not in {*journal.before, *spared}]
    for key in unknown:
        use = key_use(aws, key)
        if keys[key].active and use.when is not None:
            raise RefusedError(
                f"the key `{key}` was created after an interrupted run began, and somebody uses "
                f"it: {use}",
                remedy=f"find out who has it, then run `cml-iam key revoke {key}`",
            )
    return tuple(unknown)


def _words(
    aws: Aws,
    contents: Contents,
    verdict: str | None,
    others: list[KeyInfo],
    action: Action,
    shared: str | None,
) -> tuple[str, ...]:
    words = []
    if shared and action != "keep":
        words.append(f"`{shared}` is in some of the stores and will be copied to the others")
    words += contents.words if action != "keep" else ()
    if contents.key and verdict:
        account = account_of(contents.key.id)
        whose = f", of account {account}" if account and verdict.startswith("stale") else ""
        words.append(f"the store's key `{contents.key.id}` will be replaced: {verdict}{whose}")
    words += [f"left alone: {key_evidence(key, key_use(aws, key.id))}" for key in others]
    return tuple(words)
