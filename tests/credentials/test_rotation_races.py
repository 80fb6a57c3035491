"""Twenty rotations of one user at once: one wins, the others leave with a clear word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.credentials import Schedule, rotate
from tests.credentials.rotations import Scene, one

MANY = 20


def at_once(work: list[Callable[[], str]]) -> list[str]:
    barrier = threading.Barrier(len(work))

    def begin(each: Callable[[], str]) -> str:
        barrier.wait()
        try:
            return each()
        except (errors.RefusedError, errors.LimitError) as error:
            return error.message

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(begin, work))


@pytest.mark.parametrize("attempt", range(5))
def test_on_one_machine_no_third_key_is_made(tmp_path: Path, attempt: int) -> None:
    scene = one(tmp_path / "x")

    said = at_once([lambda: rotate(scene.rotator(Schedule())).state] * MANY)

    # Who comes after the winner finds its rotation under way, and nothing to do but wait.
    assert "waiting" in said
    assert all(each == "waiting" or "another cml-iam is at work" in each for each in said)
    assert (
        scene.iam.writes.count("create_access_key") == 2
    )  # the one at the start, and the winner's
    assert scene.stored_works()
    assert scene.unsound() is None


@pytest.mark.parametrize("kind", ["three files", "two profiles", "both in AWS", "all"])
def test_with_several_stores_one_wins_too(tmp_path: Path, kind: str) -> None:
    scene = one(tmp_path / "x", kind)

    said = at_once([lambda: rotate(scene.rotator(Schedule())).state] * MANY)

    assert "waiting" in said
    assert all(each == "waiting" or "another cml-iam is at work" in each for each in said)
    assert scene.iam.writes.count("create_access_key") == 2
    assert scene.unsound() is None


def test_stores_that_overlap_wait_for_each_other(tmp_path: Path) -> None:
    scene = one(tmp_path / "x", "all")
    kinds = ["env", "profile", "three files", "all"] * 5
    scenes = [Scene(scene.iam, scene.folder, scene.start, kind, scene.cloud) for kind in kinds]

    at_once([lambda each=each: rotate(each.rotator(Schedule())).state for each in scenes])

    assert len(scene.iam.keys) <= 2
    assert scene.unsound() is None
    assert scene.stored_works()


@pytest.mark.parametrize("attempt", range(5))
def test_on_twenty_machines_one_new_key_is_made(tmp_path: Path, attempt: int) -> None:
    scene = one(tmp_path / "first")
    assert scene.start is not None
    machines = [Scene(scene.iam, tmp_path / str(index), scene.start) for index in range(MANY)]
    for machine in machines:
        machine.folder.mkdir()
        machine.deliver(scene.start)

    said = at_once(
        [lambda machine=machine: rotate(machine.rotator(Schedule())).state for machine in machines]
    )

    assert len(scene.iam.keys) <= 2
    assert all(machine.stored_works() for machine in machines)
    new = [m for m in machines if m.store.look().key != scene.start]
    assert len(new) <= 1, said
    assert scene.iam.writes.count("create_access_key") <= 3
