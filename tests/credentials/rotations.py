"""Starting states of a rotation, and what must hold at every moment of one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cml_iam.credentials import AccessKey, Delivery, Rotator, Schedule, Store, parts_of
from cml_iam.credentials._env_file import ID, SECRET
from cml_iam.credentials._keys import create_key
from cml_iam.credentials._rotation_state import Lock, write_lock
from tests.credentials.fake_cloud import Cloud, CloudAws
from tests.credentials.stores import EVERY, FILE_NAMES, readers_see
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import USER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cml_iam.aws.port import Aws

AT_ONCE = Schedule(overlap=timedelta(0), cool_off=timedelta(0))


@dataclass
class Scene:
    """An account, stores in *folder* and in *cloud*, and the key in them at the start."""

    iam: FakeIam
    folder: Path
    start: AccessKey | None = None
    kind: str = "env"
    cloud: Cloud = field(default_factory=Cloud)

    @property
    def store(self) -> Store:
        return self.store_on(self.admin())

    def store_on(self, aws: Aws) -> Store:
        return EVERY[self.kind](self.folder, aws)

    def admin(self) -> Aws:
        return CloudAws(self.cloud, self.iam.admin())

    def rotator(
        self,
        schedule: Schedule = AT_ONCE,
        prove: Callable[[AccessKey], None] | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> Rotator:
        return Rotator(
            aws=self.iam.admin(),
            user=USER,
            delivery=Delivery(self.store, self.iam.sign_in, prove),
            schedule=schedule,
            clock=lambda: self.iam.now,
            pause=lambda seconds: None,
            report=report,
        )

    def deliver(self, key: AccessKey) -> None:
        if self.kind == "env":
            text = f"A=1\n{ID}={key.id}\n{SECRET}={key.secret.reveal()}\n"
            (self.folder / ".env").write_text(text)
            (self.folder / ".env").chmod(0o600)
            return
        for part in parts_of(self.store):
            part.reserve()
            part.promote(key)
            part.discard()
        shutil.rmtree(self.folder / ".cml-iam", ignore_errors=True)

    def stored_works(self) -> bool:
        """Whether every reader gets a key that is active, with its secret; asks nobody."""
        return all(self._works(*pair) for pair in readers_see(self.kind, self.folder, self.cloud))

    def _works(self, key_id: str, secret: str) -> bool:
        key = self.iam.keys.get(key_id)
        return key is not None and key.status == "Active" and key.secret == secret

    def unsound(self) -> str | None:
        """Return what must never be so and is, None where all is well."""
        if len(self.iam.keys) > 2:
            return "three keys"
        if self.start is not None and not self.stored_works():
            return "the file holds a key that does not work"
        return None

    def unfinished(self) -> str | None:
        """Return what must not be left at the end and is, None where all is well."""
        strange = {each.name for each in self.folder.iterdir()} - FILE_NAMES
        if strange or any(name.endswith("pending") for name in self.cloud.parameters):
            return f"left behind: {strange or 'a pending parameter'}"
        if any("AWSPENDING" in labels for labels in self.cloud.labels.values()):
            return "left behind: AWSPENDING"
        if not self.stored_works():
            return "the file holds a key that does not work"
        if len(self.iam.keys) != 1:
            return f"{len(self.iam.keys)} keys"
        tags = self.iam.users[USER].tags
        if not tags.get("cml-iam:rotation", "idle").startswith("idle"):
            return tags["cml-iam:rotation"]
        if tags.get("cml-iam:rotation-lock", "free") != "free":
            return tags["cml-iam:rotation-lock"]
        return None


def empty(folder: Path, kind: str = "env") -> Scene:
    """No key at all, and no file."""
    folder.mkdir()
    return Scene(FakeIam(users={USER: Principal(USER, "/", {}, None)}), folder, kind=kind)


def one(folder: Path, kind: str = "env") -> Scene:
    """One key, in the file."""
    scene = empty(folder, kind)
    scene.start = create_key(scene.iam.admin(), USER, frozenset())
    scene.deliver(scene.start)
    return scene


def two(folder: Path, kind: str = "env") -> Scene:
    """One key in the file, and an inactive one that nobody uses."""
    scene = empty(folder, kind)
    other = create_key(scene.iam.admin(), USER, frozenset())
    scene.iam.keys[other.id].status = "Inactive"
    scene.start = create_key(scene.iam.admin(), USER, frozenset())
    scene.deliver(scene.start)
    return scene


def stale(folder: Path, kind: str = "env") -> Scene:
    """One key, and another one in the file that is gone from the account."""
    scene = one(folder, kind)
    assert scene.start is not None
    del scene.iam.keys[scene.start.id]
    scene.start = None
    create_key(scene.iam.admin(), USER, frozenset())
    return scene


def orphan(folder: Path, kind: str = "env") -> Scene:
    """One key in the file, and one that another machine made two hours ago and lost."""
    scene = one(folder, kind)
    write_lock(scene.iam.admin(), USER, Lock("lost", scene.iam.now))
    create_key(scene.iam.admin(), USER, frozenset())
    scene.iam.now += timedelta(hours=2)
    return scene


STARTS = {start.__name__: start for start in (empty, one, two, stale, orphan)}
