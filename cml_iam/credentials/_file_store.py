"""What the stores that are files share: two steps, privacy, and the room reserved beside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.credentials import _files
from cml_iam.credentials._git import refuse_in_git
from cml_iam.credentials._keys import AccessKey
from cml_iam.credentials._mounts import is_mounted
from cml_iam.credentials._store import Contents
from cml_iam.errors import CmlIamError, InputError, RefusedError
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from cml_iam.credentials._files import Found

STATE_FOLDER: Final = ".cml-iam"
LONGEST: Final = 128
"""Characters of an access key's id; a secret has 40.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
"""
_ID: Final = re.compile(r"[A-Z0-9]{16,128}")
_SECRET: Final = re.compile(r"[A-Za-z0-9/+=]{16,128}")
_PRIVATE: Final = 0o700


@dataclass(frozen=True, slots=True)
class FileStore:
    """The file at *path*, which must be absolute; what it needs meanwhile is in `.cml-iam`.

    *allow_tracked* lets it be a file that git does not ignore. A subclass says how the text of the
    file holds a key.
    """

    path: Path
    allow_tracked: bool = False

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def folder(self) -> Path:
        """The private folder beside the file; git ignores all of it."""
        return self.path.parent / STATE_FOLDER

    def look(self) -> Contents:
        """Return the key in the file and the staged one; see the protocol."""
        _check_folder(self.path.parent)
        if not self.allow_tracked:
            refuse_in_git(self.path)
        found = _files.read_file(self.path)
        if found is None:
            return Contents(None, self._staged_key())
        _check_file(self.path, found)
        text = _text(found)
        self._check(text)
        words = (f"`{self.path}` is open to others ({found.mode:04o}); it becomes private",)
        open_words = words if found.mode & 0o077 else ()
        return Contents(self._read(text), self._staged_key(), open_words)

    def reserve(self) -> None:
        """Make the folder, and a file as large as the coming one, of characters no key has."""
        open_folder(self.folder)
        blank = AccessKey("x" * LONGEST, Secret("x" * LONGEST))
        _files.write_file(self._reserved, self._merged(blank)[0])

    def stage(self, key: AccessKey) -> None:
        """Write the coming file over the reserved room, then give it its name: whole or absent."""
        data, found = self._merged(key)
        owner = (found.owner, found.group) if found else None
        if not self.folder.is_dir():
            open_folder(self.folder)
        _files.write_file(self._reserved, data, mode=_mode(found), owner=owner)
        _files.move_file(self._reserved, self._staged)

    def promote(self, key: AccessKey) -> None:
        """Rename the staged file to the real name; made anew if the real one changed meanwhile."""
        staged = _files.read_file(self._staged)
        if staged is None or staged.data != self._merged(key)[0]:
            if staged is None and self._stored_key() == key:
                return
            self.stage(key)
        _files.move_file(self._staged, self.path)
        if self._stored_key() != key:
            raise CmlIamError(f"`{self.path}` does not hold what was written to it")

    def discard(self) -> None:
        """Remove the reserved and the staged file."""
        _files.remove_file(self._reserved)
        _files.remove_file(self._staged)

    def withdraw(self) -> None:
        """Discard: the file itself is not made before the key is in it."""
        self.discard()

    def afterwards(self) -> tuple[str, ...]:
        """Return nothing; a subclass knows who reads it."""
        return ()

    def _read(self, text: str) -> AccessKey | None:
        """Return the key in *text*."""
        raise NotImplementedError

    def _write(self, text: str, key: AccessKey) -> str:
        """Return *text* with *key* in it and all else unchanged."""
        raise NotImplementedError

    def _check(self, text: str) -> None:
        """Raise RefusedError or InputError where no key should be put into *text*."""

    @property
    def _stem(self) -> str:
        return self.path.name

    @property
    def _reserved(self) -> Path:
        return self.folder / f"{self._stem}.reserved"

    @property
    def _staged(self) -> Path:
        return self.folder / f"{self._stem}.staged"

    def _stored_key(self) -> AccessKey | None:
        found = _files.read_file(self.path)
        return self._read(_text(found)) if found else None

    def _staged_key(self) -> AccessKey | None:
        found = _files.read_file(self._staged)
        return self._read(_text(found)) if found else None

    def _merged(self, key: AccessKey) -> tuple[bytes, Found | None]:
        found = _files.read_file(self.path)
        text = _text(found) if found else ""
        return _bytes(self._write(text, key)), found


def known_key(key_id: str, secret: str) -> AccessKey | None:
    """Return the key of these two values, None where *key_id* can be none.

    A damaged secret is as good as none, and is compared with nothing.
    """
    if not _ID.fullmatch(key_id):
        return None
    return AccessKey(key_id, Secret(secret if _SECRET.fullmatch(secret) else ""))


def open_folder(folder: Path) -> None:
    """Make the private *folder* and have git ignore all of it."""
    _files.make_folder(folder)
    _files.write_file(folder / ".gitignore", b"*\n")


def close_folder(folder: Path) -> None:
    """Remove the private *folder* when nothing is left in it."""
    if not folder.is_dir() or {each.name for each in folder.iterdir()} - {".gitignore"}:
        return
    _files.remove_file(folder / ".gitignore")
    _files.remove_folder(folder)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"no folder `{folder}`", remedy="make it, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"the folder `{folder}` may not be written to")


def _check_file(path: Path, found: Found) -> None:
    if found.names > 1:
        raise RefusedError(
            f"`{path}` has {found.names} names (hard links); the others would keep the old key",
            remedy="remove the other names, or name another file",
        )
    if found.owner != os.geteuid() and os.geteuid() != 0:
        raise RefusedError(
            f"`{path}` belongs to another user, and would not after it is replaced",
            remedy="run as its owner, or name another file",
        )
    if is_mounted(path):
        raise RefusedError(
            f"`{path}` is a mount of its own and cannot be replaced in one instant",
            remedy="mount the folder that holds it instead of the single file",
        )


def _mode(found: Found | None) -> int:
    """Return the permission bits of the coming file: the owner's kept, nobody else's."""
    return _files.PRIVATE_FILE if found is None else found.mode & _PRIVATE | 0o400


def _text(found: Found) -> str:
    return found.data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
