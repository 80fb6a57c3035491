"""`make docs` builds the site, and fails where a page is wrong."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.long


def _build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of *folder* as the Makefile does."""
    recipe = re.search(r"/mkdocs (build.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", *shlex.split(recipe[1])],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository with pages that a test may change."""
    for entry in REPOSITORY.iterdir():
        if entry.name not in {"docs", "build"}:
            (tmp_path / entry.name).symlink_to(entry)
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs")
    return tmp_path


def test_the_site_builds(copy: Path) -> None:
    built = _build(copy)

    assert built.returncode == 0, built.stderr
    assert (copy / "build" / "site" / "who-else.html").is_file()


def test_a_broken_link_fails_the_build(copy: Path) -> None:
    with (copy / "docs" / "glossary.md").open("a") as page:
        page.write("\n[nowhere](nowhere.md)\n")

    built = _build(copy)

    assert built.returncode != 0
    assert "nowhere.md" in built.stderr


def test_a_page_that_the_navigation_lacks_fails_the_build(copy: Path) -> None:
    (copy / "docs" / "lost.md").write_text("# Lost\n")

    built = _build(copy)

    assert built.returncode != 0
    assert "lost.md" in built.stderr
