"""Whether git would carry a file away."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 10.0


def refuse_in_git(path: Path) -> None:
    """Raise RefusedError unless *path* is outside every git work tree, or ignored there.

    Where a folder of the path is a symbolic link, the folder it leads to counts: `~/.aws` may be a
    link into a work tree. A file git already tracks counts as not ignored, whatever the patterns
    say.
    """
    path = path.parent.resolve() / path.name
    tree = next((each for each in path.parents if (each / ".git").exists()), None)
    if tree is None:
        return
    code = _check_ignore(path)
    if code == 0:
        return
    found = "is not ignored by git" if code == 1 else "is in a git work tree that git cannot read"
    raise RefusedError(
        f"`{path}` {found}: the key could be committed with `{tree}`",
        remedy=f"add `{path.name}` to `{tree / '.gitignore'}`, or allow it with --allow-tracked",
    )


def _check_ignore(path: Path) -> int | None:
    """Return git's verdict: 0 ignored, 1 not ignored, None or another when it cannot tell."""
    git = shutil.which("git")
    if git is None:
        return None
    # Its own variables would change the answer, and AWS's hold the operator's secret.
    foreign = ("GIT_", "AWS_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the path stands after `--`
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
    return done.returncode
