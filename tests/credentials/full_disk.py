"""Rotate on a disk that is full up to some pages, and say what came of it.

python -m tests.credentials.full_disk FOLDER, where FOLDER is on a small disk of its own
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from cml_iam import errors
from cml_iam.credentials import rotate
from tests.credentials.rotations import one
from tests.credentials.stores import EVERY

PAGE = 4096


def fill(path: Path, spare: int) -> None:
    """Fill the disk with the file *path*, up to *spare* pages."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * PAGE)
    with path.open("r+b") as file:
        file.truncate(max(0, path.stat().st_size - spare * PAGE))


def main() -> None:
    """Rotate with every amount of room and every store; print how often it was done or refused."""
    folder = Path(sys.argv[1])
    said = Counter[str]()
    for kind in EVERY:
        for spare in range(12):
            scene = one(folder / "scene", kind)
            fill(folder / "ballast", spare)
            try:
                rotate(scene.rotator())
                said["done"] += 1
            except errors.InputError as error:
                said[error.message.rpartition(": ")[2]] += 1
            assert scene.unsound() is None, (kind, spare)
            (folder / "ballast").unlink()
            assert rotate(scene.rotator()).state == "done", (kind, spare)
            assert scene.unfinished() is None, (kind, spare)
            shutil.rmtree(folder / "scene")
    print(dict(said))


if __name__ == "__main__":
    main()
