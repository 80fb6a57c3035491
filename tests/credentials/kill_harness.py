"""Rotate in a process of its own and kill it (SIGKILL) before or after any call or file operation.

The account lives in this process, the rotation in a forked one that asks it over a socket; so what
was done before the kill stays done, and nothing of the rotation's memory survives.

    python -m tests.credentials.kill_harness 10000
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from cml_iam import errors
from cml_iam.aws.port import Identity
from cml_iam.credentials import AccessKey, Delivery, _exposure, rotate
from cml_iam.secret import Secret
from tests.credentials.crashes import Bomb, ticking
from tests.credentials.rotations import STARTS, Scene
from tests.credentials.stores import EVERY


@dataclass
class RemoteAws:
    """The port, asking the process that holds the account; ticks before and after each answer."""

    wire: BinaryIO
    bomb: Bomb
    key: AccessKey | None = None
    region: str | None = "us-east-1"

    def identity(self) -> Identity:
        found: Identity = self._ask("identity", {}, once=False)
        return found

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(operation, parameters, once=once, service=service)
        return answer

    def pages(
        self, service: str, operation: str, key: str, *, region: str | None = None, **rest: Any
    ) -> Iterator[Any]:
        yield from self.call(service, operation, **rest)[key]

    def _ask(
        self, operation: str, parameters: dict[str, Any], *, once: bool, service: str = "iam"
    ) -> Any:
        key = (self.key.id, self.key.secret.reveal()) if self.key else None
        self.bomb.tick()
        plain = {
            name: Plain(value.reveal()) if isinstance(value, Secret) else value
            for name, value in parameters.items()
        }
        pickle.dump((key, service, operation, plain, once), self.wire)
        self.wire.flush()
        kind, answer = pickle.load(self.wire)  # noqa: S301 - from our own other half
        self.bomb.tick()
        if kind == "error":
            name, message, code = answer
            raise getattr(errors, name)(message, code=code)
        return _hidden(answer)


class Plain(str):
    """A secret on its way between the two halves."""

    __slots__ = ()


def _hidden(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _hidden(value) for name, value in answer.items()}
    return Secret(str(answer)) if isinstance(answer, Plain) else answer


def serve(scene: Scene, wire: BinaryIO) -> None:
    """Answer for the account of *scene* until the other half is gone."""
    while True:
        try:
            key, service, operation, parameters, once = pickle.load(wire)  # noqa: S301 - as above
        except (EOFError, pickle.UnpicklingError, ConnectionResetError):
            return
        iam = scene.iam
        aws = iam.sign_in(AccessKey(key[0], Secret(key[1]))) if key else scene.admin()
        try:
            if operation == "identity":
                answer: Any = ("ok", aws.identity())
            else:
                given = _hidden(parameters)
                answer = ("ok", _plain(aws.call(service, operation, once=once, **given)))
        except errors.AwsError as error:
            answer = ("error", (type(error).__name__, error.message, error.code))
        try:
            pickle.dump(answer, wire)
            wire.flush()
        except BrokenPipeError:
            return


def _plain(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: _plain(value) for name, value in answer.items()}
    return Plain(answer.reveal()) if isinstance(answer, Secret) else answer


def killed_at(moment: int, scene: Scene) -> bool:
    """Rotate in another process that dies at *moment*; say whether it came to that."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _rotate_and_die(moment, scene, theirs)
    theirs.close()
    with ours, ours.makefile("rwb") as wire:
        serve(scene, wire)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.WEXITSTATUS(status):
        raise AssertionError(f"the rotation failed by itself at {moment}")
    return False


def _rotate_and_die(moment: int, scene: Scene, connection: socket.socket) -> NoReturn:
    def die() -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    code = 1
    try:
        bomb = Bomb(moment, die)
        wire = connection.makefile("rwb")
        aws = RemoteAws(wire, bomb)
        delivery = Delivery(scene.store_on(aws), lambda key: replace(aws, key=key))
        os.fsync = lambda descriptor: None  # a kill loses nothing the system has taken
        with ticking(bomb):
            rotate(replace(scene.rotator(), aws=aws, delivery=delivery))
        code = 0
    finally:
        os._exit(code)


MOMENTS = {"three files": 520, "two profiles": 400, "both in AWS": 220, "all": 900}
"""About as many as a whole rotation has; 220 with a single store."""


def one_run(chance: random.Random, folder: Path, kind: str = "env") -> tuple[str, int]:
    """Kill a rotation up to three times, then let it finish; return the start and the kills.

    Raises AssertionError where what must hold does not.
    """
    start = chance.choice(list(STARTS))
    scene = STARTS[start](folder, kind)
    kills = 0
    for _ in range(chance.choice((1, 1, 2, 3))):
        moment = chance.randrange(1, MOMENTS.get(kind, 220))
        kills += killed_at(moment, scene)
        unsound = scene.unsound()
        assert unsound is None, f"{kind}, {start}: killed at {moment}: {unsound}"
    assert rotate(scene.rotator()).state == "done", (kind, start)
    unfinished = scene.unfinished()
    assert unfinished is None, f"{kind}, {start}: {unfinished}"
    shutil.rmtree(folder)
    return start, kills


def be_quick() -> None:
    """Wait for no disk, which a kill does not need, and look at no process of this machine."""
    os.fsync = lambda descriptor: None
    _exposure.PROCESSES = Path("/nonexistent")


def main() -> None:
    """Make as many kills as the first argument says, and print what was found."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)  # noqa: S311 - repeatable
    be_quick()
    kills, runs, starts, kinds = 0, 0, Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        while kills < wanted:
            kind = chance.choice(list(EVERY))
            start, made = one_run(chance, Path(folder) / str(runs), kind)
            runs, kills = runs + 1, kills + made
            starts[start] += 1
            kinds[kind] += made
    print(f"{kills} kills in {runs} runs from {dict(starts)}: every one converged")
    print(f"kills by store: {dict(kinds)}")


if __name__ == "__main__":
    main()
