"""A real disk of 256 KiB that is full, page by page: no key is lost, and the next run ends it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.credentials.test_mounts import _UNSHARE, MOUNTS


@MOUNTS
def test_on_a_disk_that_fills_up_at_any_page_nothing_is_lost(tmp_path: Path) -> None:
    script = (
        'mount -t tmpfs -o size=256k none "$1" && exec "$2" -m tests.credentials.full_disk "$1"'
    )

    ran = subprocess.run(
        [*_UNSHARE, "sh", "-c", script, "sh", tmp_path, sys.executable],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    said = ast.literal_eval(ran.stdout)
    assert set(said) == {"done", "no space left on device"}
    assert min(said.values()) > 10
