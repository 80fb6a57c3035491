"""The picture and the table of docs/architecture.md have the rooms in the order of the imports."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


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
