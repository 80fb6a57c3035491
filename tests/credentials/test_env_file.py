"""The file on the disk: private, whole, its owner's, and not git's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.aws.port import Aws
from cml_iam.credentials import AccessKey, EnvFile, open_store
from cml_iam.secret import Secret

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def deliver(store: EnvFile) -> None:
    store.look()
    store.reserve()
    store.stage(KEY)
    store.promote(KEY)


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_under_any_umask_everything_is_private_at_every_moment(tmp_path: Path) -> None:
    store = EnvFile(tmp_path / ".env")
    for step in (store.reserve, lambda: store.stage(KEY), lambda: store.promote(KEY)):
        step()
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [mode(path) for path in files] == [0o600] * len(files)
        assert mode(store.folder) == 0o700
    assert store.look().key == KEY


def test_a_file_open_to_others_is_said_to_be_and_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o644)
    store = EnvFile(path)

    assert store.look().words == (f"`{path}` is open to others (0644); it becomes private",)
    deliver(store)
    assert mode(path) == 0o600
    assert store.look().words == ()


@pytest.mark.parametrize("kept", [0o600, 0o400, 0o700])
def test_the_owners_own_permissions_are_kept(tmp_path: Path, kept: int) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(kept)

    deliver(EnvFile(path))

    assert mode(path) == kept


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"A=\xff\xfe\x80\nB=1")
    path.chmod(0o600)

    deliver(EnvFile(path))

    assert path.read_bytes().startswith(b"A=\xff\xfe\x80\nB=1\n\n# ===")


def test_a_symbolic_link_is_refused_and_its_target_named(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("A=1\n")
    (tmp_path / ".env").symlink_to(target)

    with pytest.raises(errors.RefusedError, match="symbolic link") as caught:
        EnvFile(tmp_path / ".env").look()

    assert str(target) in str(caught.value.remedy)


def test_a_link_in_the_place_of_the_private_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".cml-iam").symlink_to(elsewhere)

    with pytest.raises(errors.RefusedError, match="not a folder"):
        EnvFile(tmp_path / ".env").reserve()
    assert list(elsewhere.iterdir()) == []


def test_a_link_put_in_the_place_of_a_file_of_ours_is_not_written_through(tmp_path: Path) -> None:
    store = EnvFile(tmp_path / ".env")
    store.reserve()
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (store.folder / ".env.reserved").unlink()
    (store.folder / ".env.reserved").symlink_to(victim)

    with pytest.raises(errors.InputError):
        store.stage(KEY)
    assert victim.read_text() == "untouched"


def test_a_file_of_several_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("A=1\n")
    (tmp_path / ".env").hardlink_to(tmp_path / "other")

    with pytest.raises(errors.RefusedError, match="2 names"):
        EnvFile(tmp_path / ".env").look()


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing folder", "huge"])
def test_what_is_no_file_of_settings_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".env"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_bytes(b"A" * (1 << 20) + b"A")
    else:
        path = tmp_path / "nowhere" / ".env"

    with pytest.raises(errors.InputError):
        EnvFile(path).look()


@pytest.mark.parametrize("name", ["AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"])
def test_a_session_token_beside_the_key_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{name}=x\n")

    with pytest.raises(errors.RefusedError, match=name):
        EnvFile(path).look()


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
def test_a_profile_beside_the_key_is_pointed_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"{name}=prod\n")
    path.chmod(0o600)

    (said,) = EnvFile(path).look().words
    assert name in said


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_that_powershell_wrote_in_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes("AWS_ACCESS_KEY_ID=\n".encode(encoding))

    with pytest.raises(errors.InputError, match="not UTF-8"):
        EnvFile(path).look()


def test_a_staged_key_survives_and_is_found(tmp_path: Path) -> None:
    store = EnvFile(tmp_path / ".env")
    store.reserve()
    assert store.look().staged is None
    store.stage(KEY)

    assert store.look().staged == KEY
    assert store.look().key is None


def test_a_change_made_between_staging_and_promotion_is_kept(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    store = EnvFile(path)
    store.reserve()
    store.stage(KEY)
    path.write_text("A=2\nNEW=1\n")

    store.promote(KEY)

    assert path.read_text().startswith("A=2\nNEW=1\n")
    assert store.look().key == KEY


def test_discarding_leaves_no_secret(tmp_path: Path) -> None:
    store = EnvFile(tmp_path / ".env")
    store.reserve()
    store.stage(KEY)
    store.discard()

    assert [path.name for path in store.folder.iterdir()] == [".gitignore"]


def test_a_full_disk_is_noticed_before_a_key_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.InputError, match="no space left"):
        EnvFile(tmp_path / ".env").reserve()


def test_storing_needs_no_more_room_than_was_reserved(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1\n" * 500)
    store = EnvFile(path)
    store.reserve()
    (reserved,) = [each for each in store.folder.iterdir() if each.suffix == ".reserved"]
    room = reserved.stat().st_size

    store.stage(KEY)

    assert (store.folder / ".env.staged").stat().st_size <= room


# git


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def test_a_file_git_would_commit_is_refused_unless_allowed(tree: Path) -> None:
    with pytest.raises(errors.RefusedError, match="not ignored by git") as caught:
        EnvFile(tree / ".env").look()

    assert "--allow-tracked" in str(caught.value.remedy)
    assert EnvFile(tree / ".env", allow_tracked=True).look().key is None


@pytest.mark.parametrize("kind", ["env:{}/x", "k8s:{}/x", "profile:default"])
def test_a_link_to_a_folder_in_a_work_tree_does_not_pass_the_guard(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "dotfiles"], check=True)
    (tmp_path / "dotfiles" / "aws").mkdir()
    (tmp_path / ".aws").symlink_to("dotfiles/aws")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / ".aws" / "credentials"))

    with pytest.raises(errors.RefusedError, match="not ignored by git") as caught:
        open_store(kind.format(tmp_path / ".aws"), _no_aws).look()

    assert "dotfiles" in caught.value.message


def _no_aws() -> Aws:
    raise AssertionError("a file needs no AWS")


def test_an_ignored_file_is_fine_and_so_is_all_that_comes_beside_it(tree: Path) -> None:
    (tree / ".gitignore").write_text(".env\n")
    store = EnvFile(tree / ".env")
    store.look()
    store.reserve()
    store.stage(KEY)

    seen = subprocess.run(
        ["git", "-C", tree, "status", "--porcelain", "--untracked-files=all"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout == "?? .gitignore\n"


def test_a_tracked_file_is_refused_although_a_pattern_ignores_it(tree: Path) -> None:
    (tree / ".env").write_text("A=1\n")
    subprocess.run(["git", "-C", tree, "add", ".env"], check=True)
    (tree / ".gitignore").write_text(".env\n")

    with pytest.raises(errors.RefusedError, match="not ignored"):
        EnvFile(tree / ".env").look()


def test_without_git_a_work_tree_cannot_be_checked_and_is_refused(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / ".gitignore").write_text(".env\n")
    monkeypatch.setenv("PATH", str(tree))

    with pytest.raises(errors.RefusedError, match="cannot read"):
        EnvFile(tree / ".env").look()


def test_a_leftover_open_to_others_is_private_before_anything_is_written_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EnvFile(tmp_path / ".env")
    store.reserve()
    (store.folder / ".env.reserved").chmod(0o666)
    seen = []
    write = os.write

    def watched(descriptor: int, data: bytes) -> int:
        seen.append(os.fstat(descriptor).st_mode & 0o777)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    store.stage(KEY)

    assert seen == [0o600]
