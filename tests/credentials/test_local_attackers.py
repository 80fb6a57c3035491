"""Another user of the machine gets no secret, and makes nobody delete a key.

Where the tests run as root, the attacker is a process of its own with another user id.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import NoReturn

import pytest

from cml_iam import errors
from cml_iam.credentials import EnvFile, resume, rollback, rotate
from cml_iam.credentials._keys import create_key
from tests.credentials.rotations import Scene, empty, one
from tests.provision.fake_iam import FakeIam
from tests.provision.worlds import USER, fake_world

NOBODY = 65534
VICTIM = 1234
STICKY, OPEN = 0o1777, 0o777
ROUNDS = 120

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def run_as(user: int, work: Callable[[], None]) -> None:
    """Do *work* in another process as *user*; raises AssertionError where it fails."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            become(user)
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - pytest does not see the child, which shows its own error
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that everybody may write to, reachable for everybody."""
    inside = tmp_path.resolve().relative_to(Path(gettempdir()).resolve())
    for folder in (tmp_path, *tmp_path.parents[: len(inside.parts) - 1]):
        folder.chmod(0o755)
    made = tmp_path / "shared"
    made.mkdir()
    made.chmod(STICKY)
    return made


def planted_journal(folder: Path, user: str) -> None:
    state = folder / ".cml-iam"
    state.mkdir()
    state.chmod(OPEN)
    journal = {
        "version": 1,
        "user": user,
        "store": str(folder / ".env"),
        "before": [],
        "rotation": None,
        "lost": [],
        "begun": True,
    }
    (state / "journal.json").write_text(json.dumps(journal))
    (state / "journal.json").chmod(0o666)


def world_with_a_key(folder: Path) -> FakeIam:
    iam = FakeIam()
    fake_world(folder, iam).apply(delivery=None)
    create_key(iam.admin(), USER, frozenset())
    return iam


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    iam = world_with_a_key(tmp_path)
    planted_journal(tmp_path, iam.arn("user", USER))

    with pytest.raises(errors.RefusedError, match="0777") as caught:
        fake_world(tmp_path, iam).apply()

    assert len(iam.keys) == 1
    assert "remove" in str(caught.value.remedy)


@pytest.mark.parametrize("name", ["journal.json", ".env.staged", ".env.reserved"])
def test_a_file_that_others_may_write_to_is_not_believed(tmp_path: Path, name: str) -> None:
    scene = one(tmp_path / "x")
    scene.folder.joinpath(".cml-iam").mkdir(mode=0o700)
    planted = scene.folder / ".cml-iam" / name
    planted.write_text("{}")
    planted.chmod(0o666)
    before = dict(scene.iam.keys)

    if name == ".env.reserved":
        # Nothing in it is believed; it is made private before anything is written to it.
        rotate(scene.rotator())
        return
    with pytest.raises(errors.RefusedError, match="may be somebody else's"):
        rotate(scene.rotator())
    assert scene.iam.keys == before


@as_root
@pytest.mark.parametrize("command", [rotate, resume, rollback])
def test_a_folder_of_somebody_else_is_not_believed(
    shared: Path, command: Callable[..., object]
) -> None:
    scene = Scene(world_with_a_key(shared), shared)
    run_as(NOBODY, lambda: planted_journal(shared, scene.iam.arn("user", USER)))

    with pytest.raises(errors.RefusedError, match="belongs to"):
        command(scene.rotator())

    assert len(scene.iam.keys) == 1


@as_root
def test_a_planted_journal_makes_a_user_without_rights_delete_no_key(shared: Path) -> None:
    iam = world_with_a_key(shared)
    run_as(NOBODY, lambda: planted_journal(shared, iam.arn("user", USER)))

    def victim() -> None:
        with pytest.raises(errors.RefusedError, match="belongs to"):
            fake_world(shared, iam).apply()
        assert len(iam.keys) == 1

    run_as(VICTIM, victim)


@as_root
def test_root_gives_no_key_to_whoever_put_a_file_into_a_shared_folder(shared: Path) -> None:
    run_as(NOBODY, lambda: (shared / ".env").write_text("A=1\n") and None)

    with pytest.raises(errors.RefusedError, match="who would get the key"):
        EnvFile(shared / ".env").look()


@as_root
def test_root_says_whose_file_it_is_where_only_its_owner_can_have_put_it(tmp_path: Path) -> None:
    scene = one(tmp_path / "x")
    scene.folder.chmod(0o755)
    os.chown(scene.folder / ".env", NOBODY, NOBODY)

    (said,) = scene.store.look().words
    assert "who can read the key in it" in said
    assert rotate(scene.rotator()).state == "done"
    found = (scene.folder / ".env").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (NOBODY, NOBODY, 0o600)
    assert scene.unfinished() is None


def attacker(folder: Path, loot: Path) -> NoReturn:
    """Put everything in the way of a delivery, and keep what can be read of it."""
    become(NOBODY)
    state = folder / ".cml-iam"
    kept: list[int] = []
    seen = os.open(loot, os.O_WRONLY | os.O_APPEND)
    for turn in itertools.count():
        for name in (".env.reserved", ".env.staged", "journal.json.new"):
            with suppress(OSError):
                kept.append(os.open(state / name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
                os.fchmod(kept[-1], 0o666)
            with suppress(OSError):
                kept.append(os.open(state / name, os.O_RDONLY))
        with suppress(OSError):
            if turn % 3 == 0:
                state.mkdir()
                state.chmod(OPEN)
            elif turn % 3 == 1:
                state.rename(folder / f"gone-{turn}")
            else:
                state.symlink_to(folder)
        with suppress(OSError):
            if turn % 7 == 0:
                kept.append(os.open(folder / ".env", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
        with suppress(OSError):
            kept.append(os.open(folder / ".env", os.O_RDONLY))
        for descriptor in kept:
            with suppress(OSError):
                os.write(seen, os.pread(descriptor, 1 << 16, 0))
        for descriptor in kept[:-30]:
            os.close(descriptor)
        kept = kept[-30:]
        with suppress(OSError):
            if turn % 5 == 0:
                (folder / ".env").unlink()
        if turn % 10 == 0:
            time.sleep(0.01)  # or no run would come far enough to write anything
    raise AssertionError


@contextmanager
def under_attack(folder: Path, loot: Path) -> Iterator[None]:
    loot.touch()
    loot.chmod(0o666)
    child = os.fork()
    if child == 0:
        try:
            attacker(folder, loot)
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@as_root
@pytest.mark.parametrize("mode", [STICKY, OPEN])
def test_an_attacker_who_races_a_delivery_of_root_reads_no_secret(
    tmp_path: Path, shared: Path, mode: int
) -> None:
    shared.chmod(mode)
    loot, secrets, done = tmp_path / "loot", set(), 0
    with under_attack(shared, loot):
        for number in range(20 * ROUNDS):
            if number >= ROUNDS and done:
                break  # enough, and at least one run came to its end between two attacks
            scene = empty(tmp_path / f"round-{number}")
            scene.folder = shared
            with suppress(errors.CmlIamError):
                rotate(scene.rotator())
                done += 1
            secrets |= {key.secret for key in scene.iam.keys.values()}
            for path in (shared / ".cml-iam", shared / ".env"):
                with suppress(OSError):
                    path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)

    read = loot.read_text(errors="replace")
    assert not [secret for secret in secrets if secret in read]
    assert done, "the attacker kept every run from its end: nothing was tried"
