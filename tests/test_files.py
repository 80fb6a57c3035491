"""A file is read only where it is regular and bounded, and written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cml_iam.errors import InputError
from cml_iam.files import open_regular, regular_text, write_whole


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_written_with_its_mode(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"

    write_whole(path, "é\n", mode=mode)

    assert path.read_bytes() == "é\n".encode()
    assert path.stat().st_mode & 0o777 == mode
    assert os.listdir(tmp_path) == ["file"]


def test_what_was_there_stays_where_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def full(_: int) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        write_whole(path, "after", mode=0o600)

    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write"):
        write_whole(tmp_path / "no" / "file", "x", mode=0o600)


def test_a_regular_file_is_read_also_by_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("é\r\n".encode())
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert open_regular(tmp_path / "link") == "é\r\n".encode()
    assert regular_text(tmp_path / "file") == "é\n"


@pytest.mark.parametrize("by_link", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_not_regular_is_refused_before_anything_is_read(
    tmp_path: Path, kind: str, by_link: bool
) -> None:
    path = {"device": Path("/dev/zero"), "folder": tmp_path}.get(kind, tmp_path / "pipe")
    if kind == "pipe":
        os.mkfifo(path)
    if by_link:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"

    with pytest.raises(InputError, match=f"`{path}`: it is a {kind}, not a regular file"):
        open_regular(path)


def test_a_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")

    assert open_regular(path, 5) == b"12345"
    with pytest.raises(InputError, match="more than 4 bytes"):
        open_regular(path, 4)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a\xe9")

    with pytest.raises(InputError, match="no such file"):
        open_regular(tmp_path / "none")
    with pytest.raises(InputError, match=r"not UTF-8 text \(byte 1\)"):
        regular_text(tmp_path / "latin")
    with pytest.raises(InputError, match="not a file name"):
        open_regular(tmp_path / "a\0b")
