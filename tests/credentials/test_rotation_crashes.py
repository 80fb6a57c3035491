"""A rotation killed at any moment: the file always holds a working key, and no key is lost."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from cml_iam.credentials import _exposure, resume, rotate
from tests.credentials.crashes import Bomb, Killed, ticking
from tests.credentials.fault_harness import one_faulty_run
from tests.credentials.kill_harness import one_run
from tests.credentials.rotations import STARTS, Scene
from tests.credentials.stores import EVERY, SEVERAL

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that the system has taken; only a loss of power does."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(_exposure, "PROCESSES", Path("/nonexistent"))  # they are many, and not ours


class Unsound(BaseException):
    """What must never be so was so."""


def killed_at(moment: int, scene: Scene) -> bool:
    """Rotate, be killed at *moment*, and look at every moment before."""
    bomb = Bomb(moment)

    def watched() -> None:
        unsound = scene.unsound()
        if unsound:
            raise Unsound(f"{unsound} at {bomb.moments} of {moment}")
        bomb.tick()

    scene.iam.tick = watched
    watching = Bomb()
    watching.tick = watched  # type: ignore[method-assign] # the same clock for disk and AWS
    try:
        with ticking(watching):
            rotate(scene.rotator())
    except Killed:
        return True
    finally:
        scene.iam.tick = lambda: None
    return False


@pytest.mark.parametrize("start", STARTS)
def test_killed_at_any_moment_the_next_run_converges(tmp_path: Path, start: str) -> None:
    moment = 0
    while True:
        moment += 1 if start == "one" else 3  # the kill harness sees the rest
        scene = STARTS[start](tmp_path / f"{start}{moment}")
        if not killed_at(moment, scene):
            break
        assert scene.unsound() is None, moment
        resume(scene.rotator())
        assert scene.unsound() is None, moment
        assert not scene.start or scene.unfinished() is None or start in ("two", "orphan"), moment
        assert rotate(scene.rotator()).state == "done", moment
        assert scene.unfinished() is None, moment
    assert moment > 150


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind != "env"])
def test_killed_at_any_moment_every_kind_of_store_converges(tmp_path: Path, kind: str) -> None:
    step = 37 if kind in SEVERAL else 11
    moment = 0
    while True:
        moment += step
        scene = STARTS["one"](tmp_path / str(moment), kind)
        if not killed_at(moment, scene):
            break
        assert scene.unsound() is None, moment
        resume(scene.rotator())
        assert rotate(scene.rotator()).state == "done", moment
        assert scene.unfinished() is None, moment
    assert moment > 40


def test_killed_again_and_again_it_never_becomes_unsound(tmp_path: Path) -> None:
    chance = random.Random(8)  # noqa: S311 - repeatable
    for run in range(60):
        start = chance.choice(list(STARTS))
        scene = STARTS[start](tmp_path / str(run))
        for _ in range(5):
            killed_at(chance.randrange(1, 200), scene)
            assert scene.unsound() is None, (run, start)
        assert rotate(scene.rotator()).state == "done", (run, start)
        assert scene.unfinished() is None, (run, start)


def test_faults_by_chance_never_make_it_unsound(tmp_path: Path) -> None:
    chance = random.Random(9)  # noqa: S311 - repeatable
    faults = sum(one_faulty_run(chance, tmp_path / str(run))[1] for run in range(120))
    assert faults > 400


def test_killed_for_good_in_a_process_of_its_own_it_still_converges(tmp_path: Path) -> None:
    chance = random.Random(10)  # noqa: S311 - repeatable
    kills = sum(one_run(chance, tmp_path / str(run))[1] for run in range(40))
    assert kills > 20
