"""docs/architecture.md has the rooms in the order of the imports; what both pages name exists."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PAGES = {"architecture.md": PAGE, "contributing.md": (ROOT / "docs/contributing.md").read_text()}
NEW = re.compile(r"`[^`]+`(?:, `[^`]+`)* \(new\)")
"""What a procedure creates."""


def _layers() -> list[str]:
    """Return the rooms in the order that import-linter enforces, from the top."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return list(layers)


def _drawn() -> list[list[str]]:
    """Return the rooms of the picture in reading order, each with its packages."""
    picture = PAGE.split("```text\n")[1].split("```")[0]
    drawn = (re.split(r" {2,}", line[12:].strip())[0] for line in picture.splitlines())
    rooms = (room for line in drawn if line.strip("│") for room in line.split(" ─ "))
    return [room.split(", ") for room in rooms]


def test_the_picture_shows_every_room_in_the_order_of_the_imports() -> None:
    assert [name for room in _drawn() for name in room] == _layers()


def test_the_picture_can_be_taken_in_at_once() -> None:
    assert len(_drawn()) <= 20


def test_the_table_lists_the_rooms_from_the_ground_up() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)

    assert listed == [*reversed(_layers())]


def _named(page: str, pattern: str) -> list[str]:
    """Return the code on *page* that matches *pattern*, except what a procedure creates."""
    return re.findall(f"`({pattern})`", NEW.sub("", PAGES[page]))


@pytest.mark.parametrize("page", PAGES)
def test_the_paths_of_a_page_exist(page: str) -> None:
    paths = _named(page, r"(?:cml_iam|docs|policies|templates|tests)/[\w./-]*")

    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_modules_that_a_page_names_without_a_folder_exist(page: str) -> None:
    modules = {path.name for path in (ROOT / "cml_iam").rglob("*.py")}

    assert [name for name in _named(page, r"\w+\.py") if name not in modules] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_names_of_the_library_on_a_page_can_be_imported(page: str) -> None:
    for name in _named(page, r"cml_iam(?:\.\w+)+"):
        pkgutil.resolve_name(name)
