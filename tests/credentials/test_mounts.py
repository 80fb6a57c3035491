"""Who would not see a replaced file: found in the mounts and environments of other processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cml_iam import errors
from cml_iam.credentials import AccessKey, EnvFile, _exposure, rotate
from cml_iam.credentials._exposure import holders, is_mounted, mounted_elsewhere
from cml_iam.secret import Secret
from tests.conftest import REPOSITORY
from tests.credentials.rotations import one

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
LINUX = pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="no /proc here")
_UNSHARE = ["unshare", "--mount", "--map-root-user"]


def may_mount() -> bool:
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


MOUNTS = pytest.mark.skipif(not may_mount(), reason="no mount may be made here")


@contextmanager
def container(file: Path, at: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has *file* mounted alone at *at*, as a service of Docker Compose may."""
    at.touch()
    script = 'mount --bind "$1" "$2" && echo up && exec sleep 60'
    with subprocess.Popen(
        [*_UNSHARE, "sh", "-c", script, "sh", file, at], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


@MOUNTS
def test_a_process_that_has_the_file_mounted_alone_is_found(tmp_path: Path) -> None:
    file = tmp_path / "with space" / ".env"
    file.parent.mkdir()
    file.touch()
    assert mounted_elsewhere(file) == ()

    with container(file, tmp_path / "inside") as process:
        assert mounted_elsewhere(file) == (f"{process.pid} at {tmp_path / 'inside'}",)
        assert mounted_elsewhere(tmp_path / "other") == ()
        EnvFile(file).promote(KEY)
        (said,) = EnvFile(file).afterwards()
        held = subprocess.run(
            ["nsenter", "--mount", "--user", f"--target={process.pid}", "cat", tmp_path / "inside"],
            capture_output=True,
        )
    assert "these processes still see the old one" in said
    assert (held.returncode, held.stdout) == (0, b"")  # and that is true


@MOUNTS
def test_a_file_that_is_a_mount_is_refused_before_a_key_is_made(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.touch(0o600)
    (tmp_path / "real").touch(0o600)
    asked = (
        "from pathlib import Path; from cml_iam.credentials import EnvFile; "
        f"EnvFile(Path({str(file)!r})).look()"
    )
    script = 'mount --bind "$1" "$2" && exec "$3" -c "$4"'

    ran = subprocess.run(
        [*_UNSHARE, "sh", "-c", script, "sh", tmp_path / "real", file, sys.executable, asked],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )

    assert "is a separate mount" in ran.stderr
    assert ran.returncode != 0
    assert not is_mounted(file)


def test_a_rename_that_the_system_refuses_is_told_as_the_mount_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    def busy(*names: object, **folders: object) -> None:
        raise OSError(errno.EBUSY, "busy")

    from cml_iam.credentials._files import move_file

    tmp_path.chmod(0o700)
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "replace", busy)
    with pytest.raises(errors.RefusedError, match="separate mount"):
        move_file(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize("name", ["compose.yaml", "docker-compose.yml"])
def test_services_beside_the_file_are_to_be_created_again(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()

    (said,) = EnvFile(tmp_path / ".env").afterwards()

    assert name in said
    assert "up -d --force-recreate" in said


@LINUX
def test_a_process_that_started_with_the_old_key_is_told_when_it_is_replaced(
    tmp_path: Path,
) -> None:
    scene = one(tmp_path / "x")
    assert scene.start is not None
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        env={"AWS_ACCESS_KEY_ID": scene.start.id},
    ) as process:
        deadline = time.monotonic() + 10
        while not holders(scene.start.id) and time.monotonic() < deadline:
            time.sleep(0.01)
        rotate(scene.rotator(report=said.append))
        process.kill()

    (told,) = [word for word in said if "in the environment of" in word]
    assert f"{process.pid} (" in told
    assert holders("AKIAIOSFODNN7EXAMPLE"[:-1]) == ()


def test_where_there_is_no_proc_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exposure, "PROCESSES", tmp_path / "none")

    assert not is_mounted(tmp_path)
    assert mounted_elsewhere(tmp_path) == ()
    assert holders("x") == ()
