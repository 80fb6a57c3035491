"""Files that hold secrets: private from their first byte, whole or not there at all.

Every change of the disk goes through here, so that the crash tests can stop before and after each.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.errors import CmlIamError, InputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
LARGEST: Final = 1 << 20
"""Bytes; a file of settings is never as large."""


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file as it is: its bytes, its permission bits, its owner, its names."""

    data: bytes
    mode: int
    owner: int
    group: int
    names: int


def read_file(path: Path) -> Found | None:
    """Return the regular file at *path*, None where there is none.

    Raises RefusedError for a symbolic link and InputError for what cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedError(
                f"`{path}` is a symbolic link, which is not followed",
                remedy=f"name the file itself: `{os.path.realpath(path)}`",
            ) from None
        raise unusable(path, error) from None
    try:
        return _read(descriptor, path)
    except OSError as error:
        raise unusable(path, error) from None
    finally:
        os.close(descriptor)


def _read(descriptor: int, path: Path) -> Found:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"`{path}` is not a regular file")
    if found.st_size > LARGEST:
        raise InputError(f"`{path}` has {found.st_size} bytes; is it a file of settings?")
    chunks = []
    while chunk := os.read(descriptor, LARGEST):
        chunks.append(chunk)
    mode = stat.S_IMODE(found.st_mode)
    return Found(b"".join(chunks), mode, found.st_uid, found.st_gid, found.st_nlink)


def write_file(
    path: Path, data: bytes, *, mode: int = PRIVATE_FILE, owner: tuple[int, int] | None = None
) -> None:
    """Write *data* to *path* in place, durably; a new file is private from the start.

    Raises CmlIamError when the disk is full or the like; then the file may be torn.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
        try:
            # A umask may have taken bits away, and an older file may have too many.
            os.fchmod(descriptor, PRIVATE_FILE)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.ftruncate(descriptor, len(data))
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                _give(descriptor, *owner)
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unusable(path, error) from None


def _give(descriptor: int, user: int, group: int) -> None:
    if user != os.geteuid():
        os.fchown(descriptor, user, -1)
    # A group we are not in has no permission on a private file anyway.
    with suppress(PermissionError):
        os.fchown(descriptor, -1, group)


def move_file(source: Path, target: Path) -> None:
    """Rename *source* to *target*, over what is there, durably and in one instant."""
    try:
        source.replace(target)
        sync_folder(target.parent)
        if source.parent != target.parent:
            sync_folder(source.parent)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise RefusedError(
                f"`{target}` is a mount of its own and cannot be replaced in one instant",
                remedy="mount the folder that holds it instead of the single file",
            ) from None
        raise unusable(target, error) from None


def replace_file(path: Path, data: bytes, *, spare: Path) -> None:
    """Write *data* to *spare* and rename that to *path*: a reader sees the old or the new."""
    write_file(spare, data)
    move_file(spare, path)


def remove_file(path: Path) -> None:
    """Remove the file at *path* if there is one, durably."""
    try:
        path.unlink()
        sync_folder(path.parent)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unusable(path, error) from None


def make_folder(path: Path) -> None:
    """Make the private folder *path* unless it is there; raises RefusedError for a link."""
    try:
        try:
            path.mkdir(PRIVATE_FOLDER)
            sync_folder(path.parent)
        except FileExistsError:
            pass
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise RefusedError(f"`{path}` is not a folder", remedy="move it out of the way")
        path.chmod(PRIVATE_FOLDER)
    except OSError as error:
        raise unusable(path, error) from None


def remove_folder(path: Path) -> None:
    """Remove the folder *path* if it is empty."""
    try:
        path.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise unusable(path, error) from None


def sync_folder(path: Path) -> None:
    """Make the names in the folder *path* survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*; the system lets go of it when the process ends, however it ends.

    Raises RefusedError when another process holds it.
    """
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(folder, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RefusedError(
            f"another cml-iam is at work in `{folder}`", remedy="wait for it, then try again"
        ) from None
    finally:
        os.close(descriptor)


def unusable(path: Path, error: OSError) -> CmlIamError:
    """Return what to raise when the system refuses *path*: never holds what was written."""
    reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    return InputError(f"cannot use `{path}`: {reason}")
