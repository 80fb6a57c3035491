"""One key for one store: decide what is to be done, then do it so that no crash loses a key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cml_iam.credentials._file_store import open_folder
from cml_iam.credentials._journal import Journal, end_journal, read_journal, write_journal
from cml_iam.credentials._keys import (
    MOST_KEYS,
    AccessKey,
    KeyInfo,
    SignIn,
    account_of,
    create_key,
    delete_key,
    key_use,
    list_keys,
)
from cml_iam.credentials._rotation_state import read_user
from cml_iam.credentials._together import folders_of
from cml_iam.errors import (
    CmlIamError,
    CredentialsError,
    IncompleteError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.credentials._store import Contents, Store

Verdict = Literal["works", "not known to AWS", "secret does not match", "another principal's"]

PAUSES: Final = (0.5, 1, 1, 2, 2, 4, 4, 8, 8, 15, 15, 15, 15)
"""Seconds between tries of a new key, in all 90: AWS names no bound, people saw 8."""
IN_A_ROW: Final = 3
"""AWS's endpoints learn of a new key one by one: so many successes count as known."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the key goes, and how to try it.

    *prove*, where given, must raise a CmlIamError unless a new key can do its work; AWS knows the
    key by then, and it is not in use yet.
    """

    store: Store
    sign_in: SignIn
    prove: Callable[[AccessKey], None] | None = None


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What is to be done about the key of *user* in *store*; holds no secret.

    *key_id* is the key kept, or to be promoted: staged by an interrupted run, or in use in some of
    several stores. *replaces* is the
    id in the store that will be overwritten. *orphans* are to be removed: made by an interrupted
    run, in no store, never used. *others* are the user's keys that stay. *unfinished* says that an
    interrupted run left files behind.
    """

    action: Literal["keep", "finish", "create"]
    user: str
    arn: str
    store: str
    key_id: str | None = None
    replaces: str | None = None
    orphans: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    unfinished: bool = False
    words: tuple[str, ...] = field(default=(), compare=False)

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return self.action != "keep" or self.unfinished or bool(self.orphans)


def plan_key(aws: Aws, user: str, arn: str, delivery: Delivery) -> KeyPlan:
    """Decide what is to be done so that the store holds a working key of *user*, the user at *arn*.

    Only reads. Raises RefusedError with the evidence when there is no room for another key, or
    when it cannot be told whose a key is.
    """
    store = delivery.store
    contents = store.look()
    journal = _own_journal(store, arn)
    keys = {key.id: key for key in list_keys(aws, user)}
    if contents.staged and journal is None:
        _refuse_while_locked(aws, user, store)
    stored = contents.key
    verdict = _verdict(stored, keys, delivery.sign_in, arn)
    kept = stored.id if stored and verdict is None else None
    shared = None if kept else _shared(contents, keys, delivery.sign_in, arn)
    staged = _finishable(contents, keys, delivery.sign_in, arn)
    wanted = kept or shared or staged
    known = {key for key in (wanted, staged) if key}
    # What an interrupted run staged is not needed where a key in use works.
    superseded = (staged,) if staged and staged != wanted else ()
    orphans = (*_orphans(aws, journal, keys, known), *superseded)
    others = tuple(key for key in keys if key not in known | set(orphans))
    action: Literal["keep", "finish", "create"]
    action = "keep" if kept else "finish" if wanted else "create"
    if action == "create" and len(others) >= MOST_KEYS:
        raise _no_room(aws, user, [keys[key] for key in others], verdict)
    return KeyPlan(
        action=action,
        user=user,
        arn=arn,
        store=store.name,
        key_id=wanted,
        replaces=stored.id if stored and not kept and stored.id != wanted else None,
        orphans=orphans,
        others=others,
        unfinished=contents.staged is not None
        or any(folder.exists() for folder in folders_of(store)),
        words=(
            *((f"`{shared}` is in some of the stores, and goes to the others",) if shared else ()),
            *_words(aws, contents, verdict, [keys[key] for key in others], action),
        ),
    )


def deliver(
    aws: Aws, plan: KeyPlan, delivery: Delivery, *, pause: Callable[[float], None]
) -> str | None:
    """Do what *plan* says and return the id of the key now in the store.

    May be stopped anywhere: the next `plan_key` finds what was left. Raises IncompleteError when
    another run is needed, RefusedError when the user's keys are no longer those of the plan.
    """
    seen = {key.id for key in list_keys(aws, plan.user)}
    if seen - set(plan.orphans) - {plan.key_id} != set(plan.others):
        raise RefusedError(
            f"the keys of `{plan.user}` have changed since the plan was made",
            remedy="look at a new plan",
        )
    for orphan in plan.orphans:
        delete_key(aws, plan.user, orphan)
    store = delivery.store
    key_id = plan.key_id
    if plan.action == "create":
        key_id = _create(aws, plan, delivery, pause)
    elif plan.action == "finish":
        contents = store.look()
        store.reserve()  # one of several may be new
        found = [key for key in (contents.staged, *contents.keys) if key and key.id == key_id]
        # A store may hold a damaged copy.
        sound = (key for key in found if try_key(delivery.sign_in, key, plan.arn) == "works")
        _promote(plan, delivery, next(sound, found[0] if found else None), pause)
    if plan.changes:
        store.discard()
        end_journal(store.folder)
    return key_id


def _create(aws: Aws, plan: KeyPlan, delivery: Delivery, pause: Callable[[float], None]) -> str:
    journal = Journal(plan.arn, delivery.store.name, plan.others)
    return make_key(
        aws,
        plan.user,
        journal,
        delivery,
        pause=pause,
        give_up=lambda: end_journal(delivery.store.folder),
    )


def make_key(
    aws: Aws,
    user: str,
    journal: Journal,
    delivery: Delivery,
    *,
    pause: Callable[[float], None],
    give_up: Callable[[], None],
) -> str:
    """Make a key for *user* and deliver it, as *journal* says; return its id.

    The journal is kept; where nothing came of it *give_up* is to end it. Raises IncompleteError
    where another run is needed.
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
            f"AWS gave no answer to the wish for a key of `{user}`: {error.message}",
            remedy="run the same again: it removes a key whose secret was lost",
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


def _promote(
    plan: KeyPlan, delivery: Delivery, key: AccessKey | None, pause: Callable[[float], None]
) -> None:
    if key is None:
        raise RefusedError("the staged key is gone", remedy="look at a new plan")
    promote_key(plan.arn, delivery, key, pause=pause)


def promote_key(
    arn: str, delivery: Delivery, key: AccessKey, *, pause: Callable[[float], None]
) -> None:
    """Put the staged *key* to use once AWS knows it, and it is proved to do its work."""
    await_key(delivery.sign_in, key, arn, pause=pause)
    if delivery.prove is not None:
        delivery.prove(key)
    delivery.store.promote(key)


def await_key(sign_in: SignIn, key: AccessKey, arn: str, *, pause: Callable[[float], None]) -> None:
    """Wait until AWS takes *key* for the principal *arn*, several times in a row.

    Raises IncompleteError when that does not happen.
    """
    verdict: Verdict = "not known to AWS"
    for seconds in (*PAUSES, 0):
        if all((verdict := try_key(sign_in, key, arn)) == "works" for _ in range(IN_A_ROW)):
            return
        if verdict == "another principal's":
            break
        pause(seconds)
    raise IncompleteError(
        f"the new key `{key.id}` cannot be used yet: {verdict}",
        remedy="run the same again in some minutes: it goes on with this key",
    )


def try_key(sign_in: SignIn, key: AccessKey, arn: str) -> Verdict:
    """Say whether *key* makes us the principal *arn*; raises AwsError where nobody can tell."""
    if not key.secret.reveal():
        return "secret does not match"
    try:
        identity = sign_in(key).identity()
    except CredentialsError as error:
        wrong = error.code == "SignatureDoesNotMatch"
        return "secret does not match" if wrong else "not known to AWS"
    return "works" if identity.arn == arn else "another principal's"


def _own_journal(store: Store, arn: str) -> Journal | None:
    journal = read_journal(store.folder)
    if journal and (journal.user, journal.store) != (arn, store.name):
        raise RefusedError(
            f"a run for `{journal.user}` and `{journal.store}` was interrupted here",
            remedy="run that one again first: it cleans up",
        )
    if journal and journal.rotation:
        raise RefusedError(
            "a rotation of this key was interrupted",
            remedy="finish it with `cml-iam key resume`, or undo it with `cml-iam key rollback`",
        )
    return journal


def _verdict(
    stored: AccessKey | None, keys: dict[str, KeyInfo], sign_in: SignIn, arn: str
) -> str | None:
    """Return why the stored key is not to be kept; None where it is, or where there is none."""
    if stored is None:
        return "none"
    if stored.id not in keys:
        return "stale: no key of this user"
    if not keys[stored.id].active:
        return "inactive"
    verdict = try_key(sign_in, stored, arn)
    # IAM lists it as active, so AWS has not heard of it everywhere yet.
    return None if verdict in ("works", "not known to AWS") else verdict


def _refuse_while_locked(aws: Aws, user: str, store: Store) -> None:
    """Leave alone what a rotation on another machine has staged."""
    try:
        lock = read_user(aws, user).lock
    except NotFoundError:
        return
    if lock is not None:
        raise RefusedError(
            f"a rotation begun elsewhere at {lock.since:%Y-%m-%d %H:%M} UTC has staged a key in "
            f"`{store.name}`",
            remedy="wait for it; an hour after its begin `cml-iam key rotate` takes it over",
        )


def _shared(contents: Contents, keys: dict[str, KeyInfo], sign_in: SignIn, arn: str) -> str | None:
    """Return the first key in use in some of several stores that works."""
    for key in contents.held:
        if key != contents.key and _verdict(key, keys, sign_in, arn) is None:
            return key.id
    return None


def _finishable(
    contents: Contents, keys: dict[str, KeyInfo], sign_in: SignIn, arn: str
) -> str | None:
    staged = contents.staged
    if staged is None or (staged.id in keys and not keys[staged.id].active):
        return None
    # A list of IAM may be seconds old; the key itself knows better.
    if staged.id in keys or try_key(sign_in, staged, arn) == "works":
        return staged.id
    return None


def _orphans(
    aws: Aws, journal: Journal | None, keys: dict[str, KeyInfo], known: set[str]
) -> tuple[str, ...]:
    if journal is None:
        return ()
    unknown = [key for key in keys if key not in {*journal.before, *known}]
    for key in unknown:
        use = key_use(aws, key)
        if use.when is not None:
            raise RefusedError(
                f"the key `{key}` was made after an interrupted run began, and somebody uses it: "
                f"{use}",
                remedy="find out who holds it; delete it, or store it, by hand",
            )
    return tuple(unknown)


def _no_room(aws: Aws, user: str, keys: list[KeyInfo], verdict: str | None) -> RefusedError:
    evidence = "; ".join(_evidence(aws, key) for key in keys)
    return RefusedError(
        f"`{user}` has {len(keys)} access keys already, as many as AWS allows, and the store's is "
        f"not to be used ({verdict}): {evidence}",
        remedy="delete the one that nobody uses, or go without: --no-key",
    )


def _evidence(aws: Aws, key: KeyInfo) -> str:
    made = f", made {key.created:%Y-%m-%d}" if key.created else ""
    return f"`{key.id}` {key.status}{made}, {key_use(aws, key.id)}"


def _words(
    aws: Aws, contents: Contents, verdict: str | None, others: list[KeyInfo], action: str
) -> list[str]:
    words = list(contents.words) if action != "keep" else []
    if contents.key and verdict:
        account = account_of(contents.key.id)
        whose = f", of account {account}" if account and verdict.startswith("stale") else ""
        words.append(f"the store's key `{contents.key.id}` is replaced: {verdict}{whose}")
    words += [f"left alone: {_evidence(aws, key)}" for key in others]
    return words
