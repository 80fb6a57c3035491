"""Where a credential is delivered to: what every store can do, and several stores as one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cml_iam.credentials._files import close_folder, locked
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cml_iam.credentials._keys import AccessKey, SignIn


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds: the key in use, and one staged but not in use yet.

    *words* are for the user: what will be different about the store after a delivery. Of several
    stores taken as one, *key* is the one that all of them hold, and *held* every key that some
    hold.
    """

    key: AccessKey | None
    staged: AccessKey | None = None
    words: tuple[str, ...] = ()
    held: tuple[AccessKey, ...] = ()

    @property
    def keys(self) -> tuple[AccessKey, ...]:
        """Every key in use."""
        return self.held or ((self.key,) if self.key else ())


class Store(Protocol):
    """A place for one credential, changed in two steps: staged, then promoted.

    A staged key is durable and nobody reads it. Each step may be repeated.
    """

    @property
    def name(self) -> str:
        """How the user calls it: a path, a name in AWS."""

    @property
    def folder(self) -> Path:
        """The private folder for what must survive a crash."""

    def look(self) -> Contents:
        """Return what it holds; only reads.

        Raises RefusedError or InputError where a key could not, or should not, be stored.
        """

    def prepare(self) -> None:
        """Make the folder that is locked while the store is changed, where it is missing."""

    def reserve(self) -> None:
        """Make everything ready that storing a key needs, room on the disk included."""

    def stage(self, key: AccessKey) -> None:
        """Keep *key* durably beside the one in use."""

    def promote(self, key: AccessKey) -> None:
        """Put *key* in the place of the one in use, in one instant, and read it back.

        It is staged first where it is not.
        """

    def discard(self) -> None:
        """Forget what is reserved or staged."""

    def withdraw(self) -> None:
        """Discard, and take away what `reserve` made and no key ever was in."""

    def afterwards(self) -> tuple[str, ...]:
        """Return what its readers still have to do before they see a new key."""


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
class Together:
    """The *stores*, at least two, each with a name of its own.

    No promotion begins before the key is durable in every one of them. One that is stopped between
    two promotions goes on from the key that a store holds already.
    """

    stores: tuple[Store, ...]

    def __post_init__(self) -> None:
        names = [store.name for store in self.stores]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(f"the store `{min(twice)}` is named twice")

    @property
    def name(self) -> str:
        """The names, in an order that does not depend on how they were given."""
        return ", ".join(sorted(store.name for store in self.stores))

    @property
    def folder(self) -> Path:
        """The folder of one of them, always the same."""
        return min(store.folder for store in self.stores)

    def look(self) -> Contents:
        """Return the key that all hold, and one staged, or promoted in some of them only."""
        found = [store.look() for store in self.stores]
        keys = [each.key for each in found]
        held = tuple(key for key in dict.fromkeys(keys) if key is not None)
        common = keys[0] if len(set(keys)) == 1 else None
        staged = next((each.staged for each in found if each.staged is not None), None)
        words = tuple(word for each in found for word in each.words)
        return Contents(common, staged, words, held)

    def prepare(self) -> None:
        """Prepare every store."""
        for store in self.stores:
            store.prepare()

    def reserve(self) -> None:
        """Reserve in every store."""
        for store in self.stores:
            store.reserve()

    def stage(self, key: AccessKey) -> None:
        """Stage *key* in every store."""
        for store in self.stores:
            store.stage(key)

    def promote(self, key: AccessKey) -> None:
        """Stage *key* wherever it is neither staged nor in use, then promote it everywhere."""
        waiting = []
        for store in self.stores:
            found = store.look()
            if found.key == key and found.staged is None:
                continue
            if found.staged != key:
                store.stage(key)
            waiting.append(store)
        for store in waiting:
            store.promote(key)

    def discard(self) -> None:
        """Discard in every store, and leave no empty folder but the one of the journal."""
        for store in self.stores:
            store.discard()
            self._close(store)

    def withdraw(self) -> None:
        """Withdraw from every store, as `discard` does."""
        for store in self.stores:
            store.withdraw()
            self._close(store)

    def _close(self, store: Store) -> None:
        if store.folder != self.folder:
            close_folder(store.folder)

    def afterwards(self) -> tuple[str, ...]:
        """Return the words of every store."""
        return tuple(word for store in self.stores for word in store.afterwards())


def parts_of(store: Store) -> tuple[Store, ...]:
    """Return the stores that *store* consists of: itself, where it is a single one."""
    return store.stores if isinstance(store, Together) else (store,)


def folders_of(store: Store) -> tuple[Path, ...]:
    """Return the private folders of *store*; the journal is in the first."""
    return tuple(sorted({part.folder for part in parts_of(store)}))


@contextmanager
def store_locked(store: Store) -> Iterator[None]:
    """Hold the locks of *store*: of the folders that hold its private ones.

    Raises RefusedError when another process holds one of them.
    """
    store.prepare()
    with ExitStack() as stack:
        # Sorted, so that two runs with the same stores meet at the first lock.
        for parent in sorted({folder.parent for folder in folders_of(store)}):
            stack.enter_context(locked(parent))
        yield
