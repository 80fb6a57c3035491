"""The common part of file stores: two steps, privacy, and reserved disk space."""

from __future__ import annotations

import os
import re
import stat
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cml_iam.credentials import _files
from cml_iam.credentials._exposure import is_mounted, refuse_in_git
from cml_iam.credentials._files import FileState
from cml_iam.credentials._keys import AccessKey, is_key_id
from cml_iam.credentials._store import Contents, Store, check_held
from cml_iam.errors import InputError, RefusedError
from cml_iam.secret import Secret

STATE_FOLDER: Final = ".cml-iam"
LONGEST: Final = 128
"""Maximum length of an access key's id, in characters; a secret has 40.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
"""
_SECRET: Final = re.compile(r"[A-Za-z0-9/+=]{16,128}")


@dataclass(frozen=True, slots=True)
class FileStore(Store):
    """The file at the absolute *path*; its working files are in `.cml-iam` beside it.

    *allow_tracked* permits a file that git does not ignore. A subclass defines the format of the
    key in the file.
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
        self._check_folder()
        if not self.allow_tracked:
            refuse_in_git(self.path)
        file = self._file()
        staged = self._key_in(self._staged_file(file))
        text = _text(file, self.path) if file else ""
        self._check(text)
        words = (*_exposure(self.path, file), *self._doubts(text))
        return Contents(self._read(text), staged, words)

    def reserve(self) -> None:
        """Create the folder, and a placeholder of the final size, made of characters no key has."""
        _files.open_folder(self.folder)
        blank = AccessKey("x" * LONGEST, Secret("x" * LONGEST))
        _files.write_private(self._reserved, self._merged(blank, self._file()))

    def stage(self, key: AccessKey) -> None:
        """Write the new file into the reserved space, then rename it: complete or absent."""
        data = self._merged(key, self._file())
        if not self.folder.is_dir():
            _files.open_folder(self.folder)
        _files.write_private(self._reserved, data)
        _files.move_file(self._reserved, self._staged)

    def promote(self, key: AccessKey) -> None:
        """Rename the staged file to the real name; rewrite it if the real file has changed."""
        file = self._file()
        staged = self._staged_file(file)
        if staged is None or staged.data != self._merged(key, file):
            if staged is None and self._key_in(file) == key:
                return
            self.stage(key)
        owner, mode = None, _files.PRIVATE_FILE
        if file is not None:
            # The owner's bits of the old file stay.
            owner, mode = (file.owner, file.group), file.mode & 0o700 | 0o400
        _files.move_file(self._staged, self.path, mode=mode, owner=owner)
        check_held(self._key_in(_files.read_file(self.path)), key, str(self.path))

    def discard(self) -> None:
        """Remove the reserved and the staged file."""
        _files.remove_file(self._reserved)
        _files.remove_file(self._staged)

    def _read(self, text: str) -> AccessKey | None:
        """Return the key in *text*."""
        raise NotImplementedError

    def _write(self, text: str, key: AccessKey) -> str:
        """Return *text* with *key* in it and everything else unchanged."""
        raise NotImplementedError

    def _check(self, text: str) -> None:
        """Raise RefusedError or InputError if a key must not be put into *text*."""

    def _doubts(self, text: str) -> tuple[str, ...]:  # noqa: ARG002 - a subclass reads it
        """Return the parts of *text* that may prevent readers from using the key."""
        return ()

    def _check_folder(self) -> None:
        """Raise InputError unless the folder of the file exists and is writable."""
        check_folder(self.path.parent)

    @property
    def _stem(self) -> str:
        return self.path.name

    @property
    def _reserved(self) -> Path:
        return self.folder / f"{self._stem}.reserved"

    @property
    def _staged(self) -> Path:
        return self.folder / f"{self._stem}.staged"

    def _file(self) -> FileState | None:
        """Return the real file; raises RefusedError if a key must not be put into it."""
        file = _files.read_file(self.path)
        if file is not None:
            _check_file(self.path, file)
        return file

    def _staged_file(self, real: FileState | None) -> FileState | None:
        return _files.read_private(self._staged, real.owner if real else None)

    def _key_in(self, file: FileState | None) -> AccessKey | None:
        return self._read(_text(file, self.path)) if file else None

    def _merged(self, key: AccessKey, real: FileState | None) -> bytes:
        """Return the content of the file *real* with *key* in it."""
        text = self._write(_text(real, self.path) if real else "", key)
        return text.encode("utf-8", "surrogateescape")


def known_key(key_id: str, secret: str) -> AccessKey | None:
    """Return the key, None if *key_id* cannot be one; a damaged secret counts as absent."""
    if not is_key_id(key_id):
        return None
    return AccessKey(key_id, Secret(secret if _SECRET.fullmatch(secret) else ""))


def check_folder(folder: Path) -> None:
    """Raise InputError unless *folder* exists and is writable."""
    if not folder.is_dir():
        raise InputError(f"no folder `{folder}`", remedy="create it, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"no permission to write to the folder `{folder}`")


def _check_file(path: Path, file: FileState) -> None:
    if file.names > 1:
        raise RefusedError(
            f"`{path}` has {file.names} names (hard links); the others would keep the old key",
            remedy="remove the other names, or name another file",
        )
    if file.owner != os.geteuid():
        _check_foreign(path, file)
    if is_mounted(path):
        raise _files.separate_mount(path)


def _check_foreign(path: Path, file: FileState) -> None:
    """Refuse another user's file, unless we are root and only the owner can put files there."""
    owner = _files.user_name(file.owner)
    if os.geteuid() != 0:
        raise RefusedError(
            f"`{path}` belongs to {owner}, and replacing it would change its owner",
            remedy="run as its owner, or name another file",
        )
    folder = path.parent.stat()
    if folder.st_uid not in (file.owner, 0) or folder.st_mode & _files.OTHERS_WRITE:
        raise RefusedError(
            f"`{path}` belongs to {owner}, who would get the key, but somebody else may have put "
            "the file there",
            remedy=f"remove `{path}`, or work in a folder that only its owner may write to",
        )


def _exposure(path: Path, file: FileState | None) -> Iterator[str]:
    """Yield who else can read or replace the file."""
    if file is not None and file.owner != os.geteuid():
        yield f"`{path}` belongs to {_files.user_name(file.owner)}, who can read the key in it"
    if file is not None and file.mode & 0o077:
        yield f"`{path}` is open to others ({file.mode:04o}); it becomes private"
    if not path.parent.exists():
        return
    folder = path.parent.stat()
    if folder.st_uid not in (os.geteuid(), 0):
        owner = _files.user_name(folder.st_uid)
        yield f"the folder `{path.parent}` belongs to {owner}, who can replace the file in it"
    elif folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        yield f"anybody may write to the folder `{path.parent}` and replace the file in it"


def _text(file: FileState, path: Path) -> str:
    """Return the text of the file at *path*; raises InputError for UTF-16, which no reader accepts.

    PowerShell's `>` writes UTF-16. Other bytes that are not UTF-8 are kept.
    """
    if file.data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) or b"\0" in file.data:
        raise InputError(
            f"`{path}` is not UTF-8 text, but UTF-16 or binary",
            remedy="write it again in UTF-8, in PowerShell with `Set-Content -Encoding utf8`",
        )
    return file.data.decode("utf-8", "surrogateescape")
