"""Who would not see a file replaced: a mount of the single file keeps the old one.

A rename puts a new inode in the place of the old; a container that mounts the file alone goes on
reading the old inode. Linux says what is mounted where, of each process one may look at:
https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES: Final = Path("/proc")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Mount:
    """*root*, a path within the file system *device*, is seen at *point*."""

    device: str
    root: PurePosixPath
    point: PurePosixPath


def is_mounted(path: Path) -> bool:
    """Say whether the single file *path* is a mount of its own, as far as can be known here."""
    real = PurePosixPath(path.parent.resolve() / path.name)
    return any(mount.point == real for mount in _mounts(PROCESSES / "self"))


def mounted_elsewhere(path: Path) -> tuple[str, ...]:
    """Return the processes, as `PID at PATH`, that see the file *path* as a mount of its own.

    One for each mount namespace; those of other users show only to root.
    """
    real = PurePosixPath(path.parent.resolve() / path.name)
    ours = [mount for mount in _mounts(PROCESSES / "self") if real.is_relative_to(mount.point)]
    if not ours:
        return ()
    # Of two mounts at one point the later one is seen.
    home = max(enumerate(ours), key=lambda each: (len(each[1].point.parts), each[0]))[1]
    # A file that was replaced, and lives on where it is mounted, is shown as `PATH//deleted`.
    inside = home.root / real.relative_to(home.point)
    seen: dict[str, str] = {}
    for process in _processes():
        namespace = _namespace(process)
        if namespace is None or namespace in seen:
            continue
        points = [
            mount.point
            for mount in _mounts(process)
            if mount.device == home.device and mount.root in (inside, inside / "deleted")
        ]
        seen[namespace] = f"{process.name} at {points[0]}" if points else ""
    return tuple(filter(None, seen.values()))


def holders(key_id: str) -> tuple[str, ...]:
    """Return the processes, as `PID (name)`, whose environment at start held the key *key_id*.

    Those of other users show only to root; a process that read a file shows nowhere.
    """
    wanted = f"AWS_ACCESS_KEY_ID={key_id}".encode()
    return tuple(
        f"{process.name} ({_word(process)})"
        for process in _processes()
        if wanted in _read(process / "environ").split(b"\0")
    )


def _processes() -> Iterator[Path]:
    import os

    if not PROCESSES.is_dir():
        return
    for process in sorted(PROCESSES.iterdir()):
        if process.name.isdecimal() and process.name != str(os.getpid()):
            yield process


def _namespace(process: Path) -> str | None:
    try:
        return str((process / "ns" / "mnt").readlink())
    except OSError:
        return None


def _word(process: Path) -> str:
    return _read(process / "comm").decode("utf-8", "replace").strip()


def _mounts(process: Path) -> Iterator[_Mount]:
    for line in _read(process / "mountinfo").decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(" ")
        if len(fields) > 4:
            yield _Mount(fields[2], _path(fields[3]), _path(fields[4]))


def _path(text: str) -> PurePosixPath:
    return PurePosixPath(_OCTAL.sub(lambda match: chr(int(match[1], 8)), text))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
