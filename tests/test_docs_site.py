"""`make docs` builds the site, and fails where a page is wrong; `make man` writes the man pages."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from cml_iam.cli._main import cli
from cml_iam.cli.groups import leaves
from tests.conftest import REPOSITORY, needs

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.fixture(scope="module")
def man_pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The man pages by name, written as `make man` does."""
    folder = tmp_path_factory.mktemp("man")
    script = REPOSITORY / "docs" / "site" / "man.py"
    subprocess.run([sys.executable, script, folder], check=True, cwd=REPOSITORY)
    return {path.stem: path for path in folder.iterdir()}


def test_each_group_has_a_man_page_with_its_commands_and_options(
    man_pages: dict[str, Path],
) -> None:
    assert man_pages.keys() == {"cml-iam", *(f"cml-iam-{name}" for name in cli.lazy)}
    for leaf in leaves(cli):
        text = man_pages[f"cml-iam-{leaf.words.split()[0]}"].read_text().replace("\\-", "-")
        assert f".SS {leaf.words}\n" in text
        for parameter in leaf.command.params:
            assert parameter.opts[-1].lstrip("-") in text or isinstance(parameter, click.Argument)


@needs("groff")
def test_groff_reads_the_man_pages_without_a_warning(man_pages: dict[str, Path]) -> None:
    for path in man_pages.values():
        command = ["groff", "-man", "-Kutf8", "-Tutf8", "-ww", path]
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        assert printed.stderr == "", path.name
        assert path.stem.upper() in printed.stdout
