"""Rotate while calls to AWS and changes of the disk fail by chance.

    python -m tests.credentials.fault_harness 10000

A call is lost after it was carried out (and sent again, as boto3 does, unless it must be sent
once), not answered, throttled or refused; a change of the disk finds it full. After every attempt
the same must hold as after a kill.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cml_iam import errors
from cml_iam.credentials import rotate
from tests.credentials.crashes import CHANGES
from tests.credentials.kill_harness import be_quick
from tests.credentials.rotations import STARTS, Scene
from tests.credentials.stores import EVERY

KINDS = ("lost", "unreachable", "throttled", "denied")
EXPECTED = (errors.AwsError, errors.IncompleteError, errors.RefusedError, errors.InputError)
ATTEMPTS = 60


@dataclass
class Disk:
    """Fails with the probability *rate*; counts in *failures*."""

    chance: random.Random
    rate: float
    failures: int = 0

    def failing(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def tried(*arguments: Any, **options: Any) -> Any:
            if self.chance.random() < self.rate:
                self.failures += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return work(*arguments, **options)

        return tried


@contextmanager
def unreliable(disk: Disk) -> Iterator[None]:
    """Have every change of the disk go through *disk*."""
    patches = [patch.object(os, name, disk.failing(getattr(os, name))) for name in CHANGES]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def attempt(scene: Scene, disk: Disk) -> bool:
    """Rotate once; say whether it came to an end."""
    sent = scene.iam.calls.count("create_access_key")
    try:
        with unreliable(disk):
            rotate(scene.rotator())
    except EXPECTED:
        return False
    finally:
        assert scene.iam.calls.count("create_access_key") <= sent + 1, "two wishes in one attempt"
    return True


def one_faulty_run(chance: random.Random, folder: Path, kind: str | None = None) -> tuple[str, int]:
    """Rotate under faults until it is done, then once more without; return the store and faults.

    Raises AssertionError where what must hold does not.
    """
    kind = kind or chance.choice(list(EVERY))
    start = chance.choice(list(STARTS))
    scene = STARTS[start](folder, kind)
    made = scene.iam.writes.count("create_access_key") - scene.iam.calls.count("create_access_key")
    rate = chance.choice((0.01, 0.03, 0.06))
    faults = {at: chance.choice(KINDS) for at in range(1, 4000) if chance.random() < rate}
    scene.iam.faults = dict(faults)
    disk = Disk(chance, chance.choice((0.0, 0.003, 0.01)))
    for _ in range(ATTEMPTS):
        done = attempt(scene, disk)
        unsound = scene.unsound()
        assert unsound is None, (kind, start, unsound)
        if done:
            break
    scene.iam.faults.clear()
    met = sum(1 for at in faults if at <= len(scene.iam.calls)) + disk.failures
    assert rotate(scene.rotator()).state == "done", (kind, start)
    unfinished = scene.unfinished()
    assert unfinished is None, (kind, start, unfinished)
    carried_out = scene.iam.writes.count("create_access_key")
    assert carried_out - scene.iam.calls.count("create_access_key") <= made, "one was sent twice"
    shutil.rmtree(folder)
    return kind, met


def main() -> None:
    """Make as many runs as the first argument says, and print what was found."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)  # noqa: S311 - repeatable
    be_quick()
    faults, kinds = 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for run in range(wanted):
            kind, met = one_faulty_run(chance, Path(folder) / str(run))
            faults += met
            kinds[kind] += 1
    print(f"{faults} faults in {wanted} runs: what must hold held after each, and all converged")
    print(f"runs by store: {dict(kinds)}")


if __name__ == "__main__":
    main()
