"""Several stores as one: all staged, then all promoted."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cml_iam.credentials._file_store import FileStore, close_folder
from cml_iam.credentials._files import locked
from cml_iam.credentials._store import Contents
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cml_iam.credentials._keys import AccessKey
    from cml_iam.credentials._store import Store


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
    for part in parts_of(store):
        if isinstance(part, FileStore):
            part.prepare()
    with ExitStack() as stack:
        # Sorted, so that two runs with the same stores meet at the first lock.
        for parent in sorted({folder.parent for folder in folders_of(store)}):
            stack.enter_context(locked(parent))
        yield
