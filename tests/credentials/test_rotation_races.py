"""Twenty rotations of one user at once: one wins, the others leave with a clear word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws.port import Aws
from cml_iam.credentials import Delivery, Rotator, Schedule, resume, rotate
from tests.credentials.rotations import AT_ONCE, Scene, empty, one

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
    assert all(each == "waiting" or "another cml-iam is running" in each for each in said)
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
    assert all(each == "waiting" or "another cml-iam is running" in each for each in said)
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


class Interrupted:
    """The port of one machine; *other* runs before its call number *moment*."""

    def __init__(self, aws: Aws, moment: int, other: Callable[[], Any]) -> None:
        self.aws, self.moment, self.other = aws, moment, other
        self.region = aws.region
        self.calls = 0

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.moment:
            self.other()

    def call(self, *arguments: Any, **parameters: Any) -> Any:
        self._count()
        return self.aws.call(*arguments, **parameters)

    def pages(self, *arguments: Any, **parameters: Any) -> Any:
        self._count()
        return self.aws.pages(*arguments, **parameters)

    def identity(self) -> Any:
        return self.aws.identity()


def _machine(scene: Scene, folder: Path, aws: Any) -> tuple[Scene, Rotator]:
    folder.mkdir(exist_ok=True)
    machine = Scene(scene.iam, folder, None, scene.kind, scene.cloud)
    delivery = Delivery(machine.store_on(aws), scene.iam.sign_in)
    return machine, replace(machine.rotator(AT_ONCE), aws=aws, delivery=delivery)


def _attempt(work: Callable[[Rotator], Any], rotator: Rotator) -> str | None:
    try:
        work(rotator)
    except errors.CmlIamError as error:
        return error.message
    return None


@pytest.mark.parametrize("kind", ["env", "secretsmanager", "ssm"])
@pytest.mark.parametrize("start", [empty, one])
def test_of_two_machines_at_any_moment_one_key_comes(
    tmp_path: Path, kind: str, start: Callable[..., Scene]
) -> None:
    """One rotates from begin to end between any two calls of the other; nobody is stuck."""
    moment, reached = 0, True
    while reached:
        moment += 1
        base = tmp_path / f"{moment}"
        base.mkdir()
        scene = start(base / "first", kind)
        _, second = _machine(scene, base / "second", scene.admin())
        port = Interrupted(scene.admin(), moment, partial(_attempt, rotate, second))
        here, first = _machine(scene, base / "first", port)
        _attempt(rotate, first)
        reached = port.calls >= moment

        scene.iam.now += timedelta(hours=2)
        said = [_attempt(resume, each) for each in (first, second)]

        assert said == [None, None], moment
        assert [key.status for key in scene.iam.keys.values()] == ["Active"], moment
        assert kind == "env" or here.stored_works(), moment
    assert moment > 15
