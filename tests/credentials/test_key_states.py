"""Every state of two keys, the store and a rotation, and every command in each of them.

A command ends in a better state, or in an error that names the command that leads on; and following
those names ends with one working key in the store.
"""

from __future__ import annotations

import itertools
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cml_iam import errors
from cml_iam.credentials import (
    AccessKey,
    Delivery,
    Rotator,
    Schedule,
    delete,
    deletion_step,
    deliver,
    list_keys,
    plan_key,
    resume,
    revocation_step,
    revoke,
    rollback,
    rollback_step,
    rotate,
    rotation_status,
    rotation_step,
    store_locked,
)
from cml_iam.credentials import _exposure as mounts
from cml_iam.credentials._files import open_folder
from cml_iam.credentials._keys import create_key
from cml_iam.credentials._rotation_state import (
    Journal,
    Lock,
    Rotation,
    read_journal,
    read_user,
    write_journal,
    write_lock,
    write_rotation,
)
from cml_iam.credentials._store import Contents
from cml_iam.secret import Secret
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import USER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SLOTS = ("absent", "active", "active, used", "inactive", "inactive, used")
STORED = ("none", "A", "B", "gone", "foreign")
PHASES = (
    "idle",
    "observing",
    "observing, over",
    "deactivated",
    "deactivated, over",
    "deactivated, revoked",
    "not begun",
    "lost",
    "staged",
    "delivering",
    "locked",
)
COMMANDS = (
    "rotate",
    "rotate --if-due",
    "resume",
    "rollback",
    "revoke A",
    "revoke B",
    "delete A",
    "delete B",
    "deliver",
    "status",
)
STEPS = 12
"""Commands named one after the other, at the most."""


@dataclass
class MemoryStore:
    """A store that is nowhere; only the journal of a run is on the disk."""

    folder: Path
    key: AccessKey | None = None
    staged: AccessKey | None = None
    name: str = "the store"

    def look(self) -> Contents:
        return Contents(self.key, self.staged)

    def prepare(self) -> None: ...

    def reserve(self) -> None:
        pass

    def stage(self, key: AccessKey) -> None:
        self.staged = key

    def promote(self, key: AccessKey) -> None:
        self.key, self.staged = key, None

    def discard(self) -> None:
        self.staged = None

    def withdraw(self) -> None:
        self.staged = None

    def afterwards(self) -> tuple[str, ...]:
        return ()


@dataclass
class State:
    """An account and a store; *ids* names the two keys of the beginning."""

    iam: FakeIam
    store: MemoryStore
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def rotator(self) -> Rotator:
        return Rotator(
            aws=self.iam.admin(),
            user=USER,
            delivery=Delivery(self.store, self.iam.sign_in),
            schedule=Schedule(),
            clock=lambda: self.iam.now,
            pause=lambda seconds: None,
        )

    @property
    def rotation(self) -> Rotation:
        return read_user(self.iam.admin(), USER).rotation

    def ours(self) -> dict[str, str]:
        return {key.id: key.status for key in list_keys(self.iam.admin(), USER)}

    def works(self, key: AccessKey | None) -> bool:
        held = self.iam.keys.get(key.id) if key else None
        return bool(
            key
            and held
            and (held.user, held.status, held.secret) == (USER, "Active", key.secret.reveal())
        )

    def foreign(self) -> bool:
        held = self.iam.keys.get(self.store.key.id) if self.store.key else None
        return held is not None and held.user != USER


def states() -> Iterator[tuple[str, str, str, str]]:
    for a, b, stored, phase in itertools.product(SLOTS, SLOTS, STORED, PHASES):
        if {"A": a, "B": b}.get(stored) == "absent":
            continue
        if phase == "staged" and (b == "absent" or stored == "B"):
            continue
        yield a, b, stored, phase


def state_of(folder: Path, a: str, b: str, stored: str, phase: str) -> State:
    iam = FakeIam(users={name: Principal(name, "/", {}, None) for name in (USER, "other")})
    state = State(iam, MemoryStore(folder / ".cml-iam"))
    made: dict[str, AccessKey] = {}
    for name, slot in (("A", a), ("B", b)):
        if slot != "absent":
            made[name] = create_key(iam.admin(), USER, frozenset())
            state.ids[name] = made[name].id
    iam.now += 40 * DAY
    since = iam.now - (10 * DAY if phase.endswith("over") else 2 * HOUR)
    for name, slot in (("A", a), ("B", b)):
        if slot != "absent":
            key = iam.keys[made[name].id]
            key.status = slot.partition(",")[0].capitalize()
            key.used = iam.now - HOUR / 2 if slot.endswith("used") else None
    foreign = create_key(iam.admin(), "other", frozenset())
    never = AccessKey("AKIA" + "Z" * 16, Secret("z" * 40))
    held = {"none": None, "gone": never, "foreign": foreign, **made}
    state.store.key = held[stored]
    _enter(state, phase, since, made.get("B"))
    return state


def _enter(state: State, phase: str, since: Any, new: AccessKey | None) -> None:
    aws, kind = state.iam.admin(), phase.partition(",")[0]
    old_id, new_id = (state.ids.get(name, "AKIA" + name * 16) for name in "AB")
    if kind in ("observing", "deactivated"):
        known: Any = kind
        revoked = phase.endswith("revoked")
        write_rotation(aws, USER, Rotation(known, since, old_id, new_id, revoked))
    elif kind == "locked":
        write_lock(aws, USER, Lock("somebody", state.iam.now))
    elif kind != "idle":
        arn = state.iam.arn("user", USER)
        token = None if kind == "delivering" else "token"
        before = (old_id,) if kind != "not begun" else ()
        begun = kind != "not begun"
        open_folder(state.store.folder)
        write_journal(state.store.folder, Journal(arn, "the store", before, token, begun=begun))
        if token and begun:
            write_lock(aws, USER, Lock("token", since))
        if kind == "staged":
            state.store.staged = new


def do(state: State, command: str) -> Any:
    """Do *command*; the keys are A and B, or ids."""
    verb, _, rest = command.partition(" ")
    key = state.ids.get(rest, rest)
    match verb:
        case "rotate":
            return rotate(state.rotator, if_due=rest == "--if-due")
        case "resume":
            return resume(state.rotator)
        case "rollback":
            return rollback(state.rotator)
        case "revoke":
            return revoke(state.rotator, key)
        case "delete":
            return delete(state.rotator, key)
        case "status":
            return rotation_status(state.rotator)
        case "deliver":
            rotator, arn = state.rotator, state.iam.arn("user", USER)
            with store_locked(state.store):
                plan = plan_key(rotator.aws, USER, arn, rotator.delivery)
                return deliver(rotator.aws, plan, rotator.delivery, pause=rotator.pause)
    raise AssertionError(command)


PLANS: dict[str, Callable[[State, str], str]] = {
    "rotate": lambda state, rest: rotation_step(state.rotator, if_due=rest == "--if-due"),
    "resume": lambda state, rest: rotation_step(state.rotator, begin=False),
    "rollback": lambda state, rest: rollback_step(state.rotator),
    "revoke": lambda state, rest: revocation_step(state.rotator, state.ids.get(rest, rest)),
    "delete": lambda state, rest: deletion_step(state.rotator, state.ids.get(rest, rest)),
}


def commands(state: State) -> Iterator[str]:
    for command in COMMANDS:
        if command[-1] not in "AB" or command[-1] in state.ids:
            yield command


@dataclass(frozen=True)
class Before:
    """What is compared with afterwards."""

    keys: dict[str, str]
    used: dict[str, Any]
    key: AccessKey | None
    worked: bool
    foreign: bool
    journal: Journal | None
    staged: AccessKey | None

    @classmethod
    def of(cls, state: State) -> Before:
        return cls(
            state.ours(),
            {key.id: key.used for key in state.iam.keys.values()},
            state.store.key,
            state.works(state.store.key),
            state.foreign(),
            read_journal(state.store.folder),
            state.store.staged,
        )


def check(state: State, command: str, before: Before, outcome: Any) -> None:
    """Say what must not be after *command* and is."""
    after, target = state.ours(), state.ids.get(command[-1], command.rpartition(" ")[2])
    assert len(after) <= 2, "three keys"
    assert not before.foreign or state.store.key == before.key, "somebody's key is overwritten"
    revoked = command.startswith("revoke")
    if before.worked and not (revoked and before.key and before.key.id == target):
        assert state.works(state.store.key), "the store's key worked and does not any more"
    for key in {key for key, status in before.keys.items() if status == "Active"} - set(after):
        staged = before.staged is not None and before.staged.id == key
        orphan = before.journal is not None and key not in before.journal.before
        unknown = orphan and (staged or before.used[key] is None)
        assert unknown or (revoked and key == target), f"an active key is deleted: {key}"
    if revoked:
        assert after.get(target, "Inactive") == "Inactive"
    if command == "status":
        assert after == before.keys
    _check_words(state, command, after, outcome)


def _check_words(state: State, command: str, after: dict[str, str], outcome: Any) -> None:
    """Say what is told of *outcome* and is not so."""
    told = getattr(outcome, "state", "")
    if told == "done":
        assert state.rotation.phase == "idle"
        assert state.works(state.store.key) or "no key" in outcome.evidence or state.foreign()
    if told == "not due":
        assert state.works(state.store.key)
    if told == "not working":
        assert not state.works(state.store.key)
    if told in ("not working", "done"):
        assert (outcome.remedy is None) == (not outcome.evidence)
    if isinstance(outcome, str) and command == "rollback":
        for key in re.findall(r"`(\w+)` is active again", outcome):
            assert after[key] == "Active"
        if "both active" in outcome:
            assert list(after.values()) == ["Active", "Active"], outcome


def named(error: errors.CmlIamError) -> str:
    """The command that *error* names, or what a person would do."""
    text = str(error.remedy or "")
    found = re.search(r"`cml-iam (?:key|bootstrap) ([^`]+)`", text)
    if found:
        command = found[1].replace("apply", "deliver")
        return "put there" if command.startswith("deliver --from") else command.partition(" --")[0]
    if "wait for it" in text:
        return "wait"
    assert "name another store" in text, f"no way on: {error.message}: {text}"
    return "empty the store"


def follow(state: State, command: str) -> str | None:
    """Do *command*, or what a person would; return the command it names, None where it worked."""
    if command == "wait":
        state.iam.now += 2 * HOUR
        return "rotate"
    if command == "empty the store":
        state.store.key = None
        return "rotate"
    if command == "put there":
        held = state.iam.keys[state.rotation.new or ""]
        state.store.key = AccessKey(held.id, Secret(held.secret))
        return "rotate"
    before = Before.of(state)
    try:
        outcome = do(state, command)
    except errors.CmlIamError as error:
        check(state, command, before, error)
        return named(error)
    check(state, command, before, outcome)
    if command == "status":
        return _after_status(outcome)
    if getattr(outcome, "state", "") == "not working":
        return "rotate"
    return None


def _after_status(shown: Any) -> str | None:
    return named(errors.RefusedError(shown.trouble, remedy=shown.remedy)) if shown.trouble else None


def lead_on(state: State, following: str | None) -> list[str]:
    """Follow the commands named until a rotation is under way; return them."""
    path = []
    for _ in range(STEPS):
        command = following or "rotate"
        path.append(command)
        following = follow(state, command)
        if command == "rotate" and following is None:
            return path
    raise AssertionError(f"it leads nowhere: {path}")


def converge(state: State) -> None:
    """Let time pass until the rotation is over: one key is left, the one in the store."""
    for _ in range(6):
        state.iam.now += 10 * DAY
        if resume(state.rotator).state == "done":
            break
    # A store without our key is no part of it: the new one is in use elsewhere.
    assert state.works(state.store.key) or state.store.key is None or state.foreign()
    assert set(state.ours().values()) == {"Active"}
    assert len(state.ours()) == 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(mounts, "PROCESSES", Path("/nonexistent"))


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_from_every_state_every_command_leads_on(tmp_path: Path, phase: str, every: int) -> None:
    tried, wrong = 0, []
    for number, (a, b, stored, _) in enumerate(s for s in states() if s[3] == phase):
        if number % every:
            continue
        for command in commands(state_of(_new(tmp_path, number, "x"), a, b, stored, phase)):
            state = state_of(_new(tmp_path, number, command), a, b, stored, phase)
            tried += 1
            try:
                lead_on(state, follow(state, command))
                converge(state)
            except (AssertionError, errors.CmlIamError) as error:
                wrong.append(f"A {a}; B {b}; store {stored}: {command}: {_line(error)}")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong[:12])
    assert tried > 500 // every


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _new(base: Path, number: int, command: str) -> Path:
    folder = base / f"{number}-{command.replace(' ', '-')}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize("phase", PHASES)
def test_a_plan_changes_nothing(tmp_path: Path, phase: str) -> None:
    for number, (a, b, stored, _) in enumerate(s for s in states() if s[3] == phase):
        if number % 3:
            continue
        state = state_of(_new(tmp_path, number, "plan"), a, b, stored, phase)
        for command in commands(state):
            verb, _, rest = command.partition(" ")
            if verb not in PLANS:
                continue
            writes = list(state.iam.writes)
            before = (state.ours(), state.store.key, state.store.staged, state.rotation)
            with suppress(errors.CmlIamError):
                assert PLANS[verb](state, rest)
            assert [
                write for write in state.iam.writes[len(writes) :] if "caller" not in write
            ] == []
            assert before == (state.ours(), state.store.key, state.store.staged, state.rotation)
