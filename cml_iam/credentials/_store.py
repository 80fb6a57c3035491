"""The stores to which a credential is delivered: what each can do, and several as one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cml_iam.credentials._files import close_folder, locked
from cml_iam.credentials._keys import AccessKey, SignIn
from cml_iam.errors import CmlIamError, InputError


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a store: the key in use, and a key that is staged but not in use yet.

    *words* tell the user what else a delivery changes in the store. For several stores as one,
    *key* is the key in all of them, and *held* are the keys in any of them.
    """

    key: AccessKey | None
    staged: AccessKey | None = None
    words: tuple[str, ...] = ()
    held: tuple[AccessKey, ...] = ()

    @property
    def keys(self) -> tuple[AccessKey, ...]:
        """Every key in use."""
        return self.held or ((self.key,) if self.key else ())

    @property
    def ids(self) -> set[str]:
        """The ids of the keys in use."""
        return {key.id for key in self.keys}


class Store(ABC):
    """A place for one credential, which changes in two steps: stage, then promote.

    A staged key is durable, but no reader uses it. Each step may be repeated.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The store's name for the user: a path, or a name in AWS."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The private folder for what must survive a crash."""

    @abstractmethod
    def look(self) -> Contents:
        """Return the store's contents; only reads.

        Raises RefusedError or InputError if a key cannot, or must not, be stored.
        """

    def prepare(self) -> None:  # noqa: B027 - most folders exist
        """Create the folder that is locked while the store changes, if it is missing."""

    def reserve(self) -> None:  # noqa: B027 - nothing can be reserved in AWS
        """Prepare everything needed to store a key, including disk space."""

    @abstractmethod
    def stage(self, key: AccessKey) -> None:
        """Write *key* durably beside the one in use."""

    @abstractmethod
    def promote(self, key: AccessKey) -> None:
        """Replace the key in use with *key*, atomically, and read it back.

        Stages it first if necessary.
        """

    @abstractmethod
    def discard(self) -> None:
        """Remove what is reserved or staged."""

    def withdraw(self) -> None:
        """Discard, and remove what `reserve` created if it never held a key."""
        self.discard()

    def afterwards(self) -> tuple[str, ...]:
        """Return what readers must do before they see a new key."""
        return ()


def check_held(held: AccessKey | None, key: AccessKey, name: str) -> None:
    """Raise CmlIamError unless *name* contains *key* after a delivery."""
    if held != key:
        raise CmlIamError(f"`{name}` does not contain what was written to it")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The destination of a key, and its test.

    *prove*, if given, must raise a CmlIamError unless a new key has the manager's permissions. It
    is called when AWS knows the key, before the key is in use.
    """

    store: Store
    sign_in: SignIn
    prove: Callable[[AccessKey], None] | None = None


@dataclass(frozen=True, slots=True)
class Together(Store):
    """Several *stores* with different names, treated as one.

    No promotion begins before the key is durable in every store. If a run was interrupted between
    two promotions, the next one continues from the key that one store already has.
    """

    stores: tuple[Store, ...]

    def __post_init__(self) -> None:
        names = Counter(store.name for store in self.stores)
        if twice := [name for name, count in names.items() if count > 1]:
            raise InputError(f"the store `{min(twice)}` is named twice")

    @property
    def name(self) -> str:
        """The names of the stores, in a fixed order."""
        return ", ".join(sorted(store.name for store in self.stores))

    @property
    def folder(self) -> Path:
        """The folder of one of the stores, always the same one."""
        return min(store.folder for store in self.stores)

    def look(self) -> Contents:
        """Return the key in all stores, and a key that is staged, or promoted in only some."""
        parts = [store.look() for store in self.stores]
        keys = dict.fromkeys(part.key for part in parts)
        common = parts[0].key if len(keys) == 1 else None
        staged = next((part.staged for part in parts if part.staged is not None), None)
        words = tuple(word for part in parts for word in part.words)
        return Contents(common, staged, words, tuple(filter(None, keys)))

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
        """Stage *key* in every store that does not have it yet, then promote it everywhere."""
        waiting = []
        for store in self.stores:
            contents = store.look()
            if contents.key == key and contents.staged is None:
                continue
            if contents.staged != key:
                store.stage(key)
            waiting.append(store)
        for store in waiting:
            store.promote(key)

    def discard(self) -> None:
        """Discard in every store, and remove empty folders except the journal's."""
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
        """Return what the readers of every store must do."""
        return tuple(word for store in self.stores for word in store.afterwards())


def parts_of(store: Store) -> tuple[Store, ...]:
    """Return the stores that *store* consists of: itself if it is a single one."""
    return store.stores if isinstance(store, Together) else (store,)


def folders_of(store: Store) -> tuple[Path, ...]:
    """Return the private folders of *store*; the first holds the journal."""
    return tuple(sorted({part.folder for part in parts_of(store)}))


@contextmanager
def store_locked(store: Store) -> Iterator[None]:
    """Hold the locks of *store*, on its folders' parents; raises RefusedError if one is held."""
    store.prepare()
    with ExitStack() as stack:
        # Sorted, so that two runs with the same stores meet at the first lock.
        for parent in sorted({folder.parent for folder in folders_of(store)}):
            stack.enter_context(locked(parent))
        yield
