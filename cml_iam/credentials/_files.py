"""Files with secrets: private from the first byte, and either complete or absent.

The user's own file is read by its path. Files are written only in the private folder beside it,
which must belong to us. The folder is kept open while it is checked and its files are read or
changed, so that nobody can replace it in between.

Every change on disk goes through this module, so that the crash tests can stop before and after
each one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cml_iam.errors import InputError, RefusedError

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
LARGEST: Final = 1 << 20
"""Maximum size of a settings file, in bytes."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileState:
    """A regular file: its bytes, permission bits, owner, and number of names."""

    data: bytes
    mode: int
    owner: int
    group: int
    names: int


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Raise what the system says against *path* as InputError, without the written data."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else type(error).__name__
        raise InputError(f"cannot use `{path}`: {reason}") from None


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_file(path: Path, folder: int | None = None) -> FileState | None:
    """Return the user's regular file at *path*, or in the open *folder*; None if there is none.

    Raises RefusedError for a symbolic link, and InputError if the file cannot be read.
    """
    with usable(path):
        try:
            name = path if folder is None else path.name
            with _closing(os.open(name, _READ, dir_fd=folder)) as descriptor:
                return _read(descriptor, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise RefusedError(
                    f"`{path}` is a symbolic link, which is not followed",
                    remedy=f"name the file itself: `{os.path.realpath(path)}`",
                ) from None
            raise


def read_private(path: Path, owner: int | None = None) -> FileState | None:
    """Return the file at *path* in a private folder, or None if file or folder is missing.

    The file must belong to us, or to *owner*. Raises RefusedError if another user may have written
    it or the folder.
    """
    with private_folder(path.parent) as folder:
        file = None if folder is None else read_file(path, folder)
    if file is not None and (file.owner not in (os.geteuid(), owner) or file.mode & OTHERS_WRITE):
        raise _not_ours(path, file.owner, file.mode)
    return file


def _read(descriptor: int, path: Path) -> FileState:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"`{path}` is not a regular file")
    if status.st_size > LARGEST:
        raise InputError(
            f"`{path}` has {status.st_size} bytes and is too large for a file of settings"
        )
    chunks = []
    while chunk := os.read(descriptor, LARGEST):
        chunks.append(chunk)
    mode = stat.S_IMODE(status.st_mode)
    return FileState(b"".join(chunks), mode, status.st_uid, status.st_gid, status.st_nlink)


def write_private(path: Path, data: bytes) -> None:
    """Write *data* durably to *path* in a private folder; may overwrite our own file in place.

    A new file is private from its creation. Raises CmlIamError if the disk is full, for example;
    the file may then be incomplete.
    """
    with private_folder(path.parent) as folder:
        if folder is None:
            raise InputError(f"no folder `{path.parent}`")
        with usable(path), _closing(_claimed(path, folder)) as descriptor:
            # A umask may have taken bits away, and an older file may have too many.
            os.fchmod(descriptor, PRIVATE_FILE)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)


def _claimed(path: Path, folder: int) -> int:
    """Open *path*, a file that this call creates, or our own file that nobody else can access."""
    try:
        return os.open(path.name, _WRITE | os.O_CREAT | os.O_EXCL, PRIVATE_FILE, dir_fd=folder)
    except FileExistsError:
        descriptor = os.open(path.name, _WRITE, dir_fd=folder)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
        return descriptor
    os.close(descriptor)
    raise _not_ours(path, status.st_uid, stat.S_IMODE(status.st_mode))


def move_file(
    source: Path, target: Path, *, mode: int = PRIVATE_FILE, owner: tuple[int, int] | None = None
) -> None:
    """Rename *source*, in a private folder, to *target*, atomically replacing it.

    The file gets the permission bits *mode* and the *owner* (user, group), by default our own. The
    change is durable.
    """
    with usable(target):
        try:
            with (
                private_folder(source.parent) as folder,
                _closing(os.open(target.parent, _FOLDER)) as into,
            ):
                if folder is None:
                    raise InputError(f"no folder `{source.parent}`")
                _give(source.name, folder, mode, owner)
                os.replace(source.name, target.name, src_dir_fd=folder, dst_dir_fd=into)
                os.fsync(into)
                os.fsync(folder)
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.EXDEV):
                raise separate_mount(target) from None
            raise


def separate_mount(path: Path) -> RefusedError:
    """Return the error for a single file that is a mount of its own."""
    return RefusedError(
        f"`{path}` is a separate mount and cannot be replaced atomically",
        remedy="mount its folder instead of the single file",
    )


def _give(name: str, folder: int, mode: int, owner: tuple[int, int] | None) -> None:
    """Give the file *name* the *owner* and the permission bits *mode*."""
    if owner in (None, (os.geteuid(), os.getegid())) and mode == PRIVATE_FILE:
        return
    with _closing(os.open(name, _READ, dir_fd=folder)) as descriptor:
        if owner is not None:
            user, group = owner
            if user != os.geteuid():
                os.fchown(descriptor, user, -1)
            # A group we are not in has no permission on a private file anyway.
            with suppress(PermissionError):
                os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def remove_file(path: Path) -> None:
    """Remove the file at *path* in a private folder, durably, if it exists."""
    with private_folder(path.parent) as folder:
        if folder is None:
            return
        with usable(path), suppress(FileNotFoundError):
            os.unlink(path.name, dir_fd=folder)
            os.fsync(folder)


@contextmanager
def private_folder(path: Path) -> Iterator[int | None]:
    """Hold the private folder *path* open, and yield its descriptor; None if it does not exist.

    Raises RefusedError if it is a link or not a folder, belongs to another user, or is writable by
    others, because its contents could then be someone else's.
    """
    descriptor = _open_folder(path)
    if descriptor is None:
        yield None
        return
    with _closing(descriptor):
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & OTHERS_WRITE:
            raise _not_ours(path, status.st_uid, stat.S_IMODE(status.st_mode))
        yield descriptor


def _open_folder(path: Path) -> int | None:
    with usable(path):
        try:
            return os.open(path, _FOLDER | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise RefusedError(
                    f"`{path}` is not a folder", remedy="move it out of the way"
                ) from None
            raise


def _not_ours(path: Path, owner: int, mode: int) -> RefusedError:
    who = f"belongs to {user_name(owner)}" if owner != os.geteuid() else f"has the mode {mode:04o}"
    return RefusedError(
        f"`{path}` {who}, so its contents may be somebody else's; nothing in it is read or changed",
        remedy=f"check the keys in IAM and remove `{path}`, or work in a private folder",
    )


def user_name(number: int) -> str:
    """Return the name of the user *number* on this machine, or the number if there is no name."""
    import pwd

    try:
        return f"`{pwd.getpwuid(number).pw_name}`"
    except KeyError:
        return f"the user {number}"


def make_missing_folder(path: Path) -> None:
    """Create the folder *path*, private; an existing one stays unchanged."""
    with usable(path), suppress(FileExistsError):
        path.mkdir(PRIVATE_FOLDER)
        with _closing(os.open(path.parent, _FOLDER)) as parent:
            # Its name must survive a power failure.
            os.fsync(parent)


def open_folder(folder: Path) -> None:
    """Create the private *folder*, and make git ignore all of it; raises as `private_folder`."""
    make_missing_folder(folder)
    with usable(folder), private_folder(folder) as descriptor:
        if descriptor is not None:
            os.fchmod(descriptor, PRIVATE_FOLDER)
    write_private(folder / ".gitignore", b"*\n")


def close_folder(folder: Path) -> None:
    """Remove the private *folder* if it is empty."""
    if not folder.is_dir():
        return
    with private_folder(folder) as descriptor:
        if descriptor is None:
            return
        with os.scandir(descriptor) as entries:
            if {entry.name for entry in entries} - {".gitignore"}:
                return
    remove_file(folder / ".gitignore")
    with usable(folder), suppress(FileNotFoundError):
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of *folder*; the system releases it when the process ends, in whatever way.

    Raises RefusedError if another process holds it.
    """
    import fcntl

    with usable(folder):
        descriptor = os.open(folder, _FOLDER)
    with _closing(descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefusedError(
                f"another cml-iam is running in `{folder}`", remedy="wait for it, then try again"
            ) from None
        yield
