"""Where a credential is delivered to: what every store can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from cml_iam.credentials._keys import AccessKey


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
        """Return what is still to be done, by whom reads it, before a new key is seen."""
