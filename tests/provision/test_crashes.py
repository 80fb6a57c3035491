"""Stopped anywhere and applied again, the account and the file end up the same."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.credentials import EnvFile
from cml_iam.site import Site
from tests.credentials.crashes import Bomb, Killed, ticking
from tests.provision.fake_iam import ACCOUNT, FakeIam
from tests.provision.worlds import BASE, OTHER, World, document, fake_world

ROLE = Site(account=ACCOUNT, user=None, role="cml-manager")


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that the system has taken; only a loss of power does."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def fresh(folder: Path) -> tuple[FakeIam, World]:
    folder.mkdir()
    iam = FakeIam()
    return iam, fake_world(folder, iam)


def grown(folder: Path) -> tuple[FakeIam, World]:
    """A policy with five versions that mean something else, and a file with a stale key."""
    iam, world = fresh(folder)
    for index in range(5):
        world.apply(document(f"ec2:Action{index}"), delivery=None)
    world.env.write_text("A=1\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n")
    return iam, world


def converged(iam: FakeIam, world: World) -> bool:
    """Whether there is one key, it is in the file and works, and nothing else is left."""
    key = EnvFile(world.env).look().key
    assert key is not None
    assert world.sign_in(key).identity().arn == world.plan().principal
    return list(iam.keys) == [key.id] and [f.name for f in world.folder.iterdir()] == [".env"]


def killed_at(moment: int, iam: FakeIam, world: World, text: str) -> bool:
    bomb = Bomb(moment)
    iam.tick = bomb.tick
    try:
        with ticking(bomb):
            world.apply(text)
    except Killed:
        return True
    finally:
        iam.tick = lambda: None
    return False


@pytest.mark.parametrize(("start", "text"), [(fresh, BASE), (grown, OTHER)])
def test_killed_at_any_moment_the_next_apply_finishes(
    tmp_path: Path, start: object, text: str
) -> None:
    assert callable(start)
    iam, world = start(tmp_path / "reference")
    world.apply(text)
    wanted = iam.snapshot()
    moment = 0
    while True:
        moment += 1 if start is fresh else 3
        iam, world = start(tmp_path / str(moment))
        if not killed_at(moment, iam, world, text):
            break
        assert len(iam.keys) <= 1, moment
        world.apply(text)
        assert iam.snapshot() == wanted, moment
        assert converged(iam, world), moment
        assert world.again(text) == [], moment
    assert moment > 100


def test_killed_again_and_again_it_still_ends_well(tmp_path: Path) -> None:
    iam, world = fresh(tmp_path / "reference")
    world.apply()
    wanted = iam.snapshot()
    chance = random.Random(5)  # noqa: S311 - repeatable
    for run in range(60):
        iam, world = fresh(tmp_path / str(run))
        for _ in range(6):
            killed_at(chance.randrange(1, 150), iam, world, BASE)
            assert len(iam.keys) <= 2, run
        world.apply()
        assert iam.snapshot() == wanted, run
        assert converged(iam, world), run


@pytest.mark.parametrize("fault", ["lost", "unreachable", "throttled", "denied"])
@pytest.mark.parametrize("role", [False, True])
def test_a_fault_at_any_call_is_survived(tmp_path: Path, fault: str, role: bool) -> None:
    options: dict[str, Any] = {"site": ROLE, "delivery": None} if role else {}
    iam, world = fresh(tmp_path / "reference")
    world.apply(**options)
    wanted, calls = iam.snapshot(), len(iam.calls)
    for at in range(1, calls + 1):
        iam, world = fresh(tmp_path / str(at))
        iam.faults[at] = fault
        try:
            world.apply(**options)
        except (errors.AwsError, errors.IncompleteError):
            sent = Counter(iam.calls)
            world.apply(**options)
            assert sent["create_access_key"] <= 1, at
        assert iam.snapshot() == wanted, (at, iam.calls[at - 1])
        assert role or converged(iam, world), at


def test_faults_by_chance_never_make_a_third_key_or_lose_one(tmp_path: Path) -> None:
    iam, world = fresh(tmp_path / "reference")
    world.apply()
    wanted = iam.snapshot()
    chance = random.Random(6)  # noqa: S311 - repeatable
    kinds = ["lost", "unreachable", "throttled", "denied"]
    for run in range(150):
        iam, world = fresh(tmp_path / str(run))
        iam.faults = {at: chance.choice(kinds) for at in range(1, 300) if chance.random() < 0.05}
        for _ in range(40):
            before = Counter(iam.calls)["create_access_key"]
            try:
                world.apply()
            except (errors.AwsError, errors.IncompleteError, errors.RefusedError):
                assert len(iam.keys) <= 2, run
            else:
                break
            finally:
                assert Counter(iam.calls)["create_access_key"] <= before + 1, run
        iam.faults.clear()
        assert iam.snapshot() == wanted, run
        assert converged(iam, world), run
