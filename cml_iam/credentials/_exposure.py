"""Who else can see a file with a secret: git, which would publish it, and containers that mount it.

A rename replaces the inode, so a container that mounts the single file keeps reading the old one.
Linux lists mounts per process, for the processes that the caller may inspect:
https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from cml_iam.errors import RefusedError

SECONDS = 10.0


def refuse_in_git(path: Path) -> None:
    """Raise RefusedError unless *path* is outside every git work tree, or ignored there.

    If a folder in the path is a symbolic link, its target decides: `~/.aws` may be a link into a
    work tree. A file that git already tracks counts as not ignored, whatever the patterns say.
    """
    path = path.parent.resolve() / path.name
    tree = next((parent for parent in path.parents if (parent / ".git").exists()), None)
    if tree is None:
        return
    code = _check_ignore(path)
    if code == 0:
        return
    finding = "is not ignored by git" if code == 1 else "is in a git work tree that git cannot read"
    raise RefusedError(
        f"`{path}` {finding}: the key could be committed with `{tree}`",
        remedy=f"add `{path.name}` to `{tree / '.gitignore'}`, or allow it with --allow-tracked",
    )


def _check_ignore(path: Path) -> int | None:
    """Return git's exit code: 0 ignored, 1 not ignored, anything else unknown."""
    git = shutil.which("git")
    if git is None:
        return None
    # Its own variables would change the answer, and AWS's hold the operator's secret.
    foreign = ("GIT_", "AWS_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    try:
        process = subprocess.run(  # noqa: S603 - no shell; the path stands after `--`
            [git, "-C", str(path.parent), "check-ignore", "--quiet", "--", path.name],
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return process.returncode


PROCESSES: Final = Path("/proc")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class _Mount:
    """*root*, a path in the file system *device*, is mounted at *point*."""

    device: str
    root: PurePosixPath
    point: PurePosixPath


def is_mounted(path: Path) -> bool:
    """Return whether the single file *path* is a separate mount, as far as is visible here."""
    real = PurePosixPath(path.parent.resolve() / path.name)
    return any(mount.point == real for mount in _mounts(PROCESSES / "self"))


def mounted_elsewhere(path: Path) -> tuple[str, ...]:
    """Return processes, as `PID at PATH`, that have the file *path* mounted.

    Returns one process for each mount namespace. Only root sees the processes of other users, so
    the answer may be incomplete.
    """
    real = PurePosixPath(path.parent.resolve() / path.name)
    ours = [mount for mount in _mounts(PROCESSES / "self") if real.is_relative_to(mount.point)]
    if not ours:
        return ()
    # Of two mounts at one point the later one is seen.
    home = max(reversed(ours), key=lambda mount: len(mount.point.parts))
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
    """Return processes, as `PID (name)`, that started with the key *key_id* in their environment.

    Only root sees the processes of other users. A process that read the key from a file does not
    appear.
    """
    variable = f"AWS_ACCESS_KEY_ID={key_id}".encode()
    return tuple(
        f"{process.name} ({_read(process / 'comm').decode('utf-8', 'replace').strip()})"
        for process in _processes()
        if variable in _read(process / "environ").split(b"\0")
    )


def _processes() -> Iterator[Path]:
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
