"""Files that hold secrets: private from their first byte, whole or not there at all.

The user's own file is read by its path. All that is written is written in the private folder beside
it, which is ours alone or refused: it is held open while it is checked and while what is in it is
read or changed, so that nobody can put another one in its place in between.

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
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
LARGEST: Final = 1 << 20
"""Bytes; a file of settings is never as large."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileState:
    """A regular file as it is: its bytes, its permission bits, its owner, its names."""

    data: bytes
    mode: int
    owner: int
    group: int
    names: int


def read_file(path: Path) -> FileState | None:
    """Return the user's regular file at *path*, None where there is none.

    Raises RefusedError for a symbolic link and InputError for what cannot be read.
    """
    return _read_at(path, None)


def read_private(path: Path, owner: int | None = None) -> FileState | None:
    """Return the file at *path*, in a private folder; None where there is none, or no folder.

    It must be ours, or belong to *owner*. Raises RefusedError where it, or the folder, may be
    somebody else's work.
    """
    with private_folder(path.parent) as folder:
        found = None if folder is None else _read_at(path, folder)
    if found is not None and (
        found.owner not in (os.geteuid(), owner) or found.mode & OTHERS_WRITE
    ):
        raise _not_ours(path, found.owner, found.mode)
    return found


def _read_at(path: Path, folder: int | None) -> FileState | None:
    try:
        descriptor = os.open(_name(path, folder), _READ, dir_fd=folder)
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


def _name(path: Path, folder: int | None) -> str:
    return str(path) if folder is None else path.name


def _read(descriptor: int, path: Path) -> FileState:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"`{path}` is not a regular file")
    if found.st_size > LARGEST:
        raise InputError(f"`{path}` has {found.st_size} bytes; is it a file of settings?")
    chunks = []
    while chunk := os.read(descriptor, LARGEST):
        chunks.append(chunk)
    mode = stat.S_IMODE(found.st_mode)
    return FileState(b"".join(chunks), mode, found.st_uid, found.st_gid, found.st_nlink)


def write_private(path: Path, data: bytes) -> None:
    """Write *data* to *path* in a private folder, durably; over a file of ours in its room.

    A new file is made by this very call, private from the start. Raises CmlIamError when the disk
    is full or the like; then the file may be torn.
    """
    with private_folder(path.parent) as folder:
        if folder is None:
            raise InputError(f"no folder `{path.parent}`")
        try:
            descriptor = _claimed(path, folder)
            try:
                # A umask may have taken bits away, and an older file may have too many.
                os.fchmod(descriptor, PRIVATE_FILE)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.ftruncate(descriptor, len(data))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unusable(path, error) from None


def _claimed(path: Path, folder: int) -> int:
    """Open *path*, a file that this call makes, or one that we made before and nobody else has."""
    try:
        return os.open(path.name, _WRITE | os.O_CREAT | os.O_EXCL, PRIVATE_FILE, dir_fd=folder)
    except FileExistsError:
        descriptor = os.open(path.name, _WRITE, dir_fd=folder)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise _not_ours(path, found.st_uid, stat.S_IMODE(found.st_mode))


def move_file(
    source: Path,
    target: Path,
    *,
    mode: int = PRIVATE_FILE,
    owner: tuple[int, int] | None = None,
) -> None:
    """Rename *source*, in a private folder, to *target*: over what is there, in one instant.

    It gets the permission bits *mode* and the *owner* (user, group), by default ourselves. The
    change is durable.
    """
    try:
        with private_folder(source.parent) as folder, _opened(target.parent) as into:
            if folder is None:
                raise InputError(f"no folder `{source.parent}`")
            _give(source.name, folder, mode, owner)
            os.replace(source.name, target.name, src_dir_fd=folder, dst_dir_fd=into)
            os.fsync(into)
            os.fsync(folder)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise RefusedError(
                f"`{target}` is a mount of its own and cannot be replaced in one instant",
                remedy="mount the folder that holds it instead of the single file",
            ) from None
        raise unusable(target, error) from None


def _give(name: str, folder: int, mode: int, owner: tuple[int, int] | None) -> None:
    """Have the file *name* belong to *owner*, with the permission bits *mode*."""
    if owner in (None, (os.geteuid(), os.getegid())) and mode == PRIVATE_FILE:
        return
    descriptor = os.open(name, _READ, dir_fd=folder)
    try:
        if owner is not None:
            user, group = owner
            if user != os.geteuid():
                os.fchown(descriptor, user, -1)
            # A group we are not in has no permission on a private file anyway.
            with suppress(PermissionError):
                os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes, *, spare: Path) -> None:
    """Write *data* to *spare* and rename that to *path*: a reader sees the old or the new."""
    write_private(spare, data)
    move_file(spare, path)


def remove_file(path: Path) -> None:
    """Remove the file at *path*, in a private folder, if there is one, durably."""
    with private_folder(path.parent) as folder:
        if folder is None:
            return
        try:
            os.unlink(path.name, dir_fd=folder)
            os.fsync(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise unusable(path, error) from None


@contextmanager
def private_folder(path: Path) -> Iterator[int | None]:
    """Hold the private folder *path* open, and give its descriptor; None where there is none.

    Raises RefusedError where it is a link or no folder, and unless it is ours and nobody else may
    write to it: then what is in it may be somebody else's work, and is not believed.
    """
    try:
        descriptor: int | None = os.open(path, _FOLDER | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise RefusedError(
                f"`{path}` is not a folder", remedy="move it out of the way"
            ) from None
        raise unusable(path, error) from None
    if descriptor is None:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & OTHERS_WRITE:
            raise _not_ours(path, found.st_uid, stat.S_IMODE(found.st_mode))
        yield descriptor
    finally:
        os.close(descriptor)


def _not_ours(path: Path, owner: int, mode: int) -> RefusedError:
    who = f"belongs to {user_name(owner)}" if owner != os.geteuid() else f"has the mode {mode:04o}"
    return RefusedError(
        f"`{path}` {who}, so what is in it may be somebody else's work: nothing in it is read or "
        "changed",
        remedy=f"look at the access keys in IAM, then remove `{path}`; or work in a folder that "
        "only you may write to",
    )


def user_name(number: int) -> str:
    """Return the name of the user *number* of this machine, the number where it has none."""
    import pwd

    try:
        return f"`{pwd.getpwuid(number).pw_name}`"
    except KeyError:
        return f"the user {number}"


def make_folder(path: Path) -> None:
    """Make the private folder *path* unless it is there; raises as `private_folder` does."""
    make_missing_folder(path)
    try:
        with private_folder(path) as descriptor:
            if descriptor is not None:
                os.fchmod(descriptor, PRIVATE_FOLDER)
    except OSError as error:
        raise unusable(path, error) from None


def make_missing_folder(path: Path) -> None:
    """Make the folder *path*, private, where there is none; one that is there stays as it is."""
    try:
        path.mkdir(PRIVATE_FOLDER)
        _sync(path.parent)
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(path, error) from None


def names_in(path: Path) -> frozenset[str]:
    """Return the names in the private folder *path*; none if it does not exist."""
    with private_folder(path) as descriptor:
        if descriptor is None:
            return frozenset()
        with os.scandir(descriptor) as entries:
            return frozenset(entry.name for entry in entries)


def remove_folder(path: Path) -> None:
    """Remove the folder *path* if it is empty."""
    try:
        path.rmdir()
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise unusable(path, error) from None


def open_folder(folder: Path) -> None:
    """Make the private *folder* and have git ignore all of it."""
    make_folder(folder)
    write_private(folder / ".gitignore", b"*\n")


def close_folder(folder: Path) -> None:
    """Remove the private *folder* when nothing is left in it."""
    if not folder.is_dir() or names_in(folder) - {".gitignore"}:
        return
    remove_file(folder / ".gitignore")
    remove_folder(folder)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(folder: Path) -> None:
    """Make the names in *folder* survive a loss of power."""
    with _opened(folder) as descriptor:
        os.fsync(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*; the system lets go of it when the process ends, however it ends.

    Raises RefusedError when another process holds it.
    """
    import fcntl

    try:
        descriptor = os.open(folder, _FOLDER)
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
