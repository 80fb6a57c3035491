"""Starting states of a rotation, and what must hold at every moment of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cml_iam.credentials import AccessKey, Delivery, EnvFile, Rotator, Schedule, create_key
from cml_iam.credentials._dotenv import ID, SECRET, variables
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import USER

AT_ONCE = Schedule(overlap=timedelta(0), cool_off=timedelta(0))


@dataclass
class Scene:
    """An account, a `.env` in *folder*, and the key that was in it at the start."""

    iam: FakeIam
    folder: Path
    start: AccessKey | None = None

    @property
    def store(self) -> EnvFile:
        return EnvFile(self.folder / ".env")

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
        text = f"A=1\n{ID}={key.id}\n{SECRET}={key.secret.reveal()}\n"
        (self.folder / ".env").write_text(text)
        (self.folder / ".env").chmod(0o600)

    def stored_works(self) -> bool:
        """Whether the key in the file is active and its secret right; asks nobody."""
        with (self.folder / ".env").open(encoding="utf-8") as file:
            values = variables(file.read())
        key = self.iam.keys.get(values.get(ID, ""))
        return key is not None and key.status == "Active" and key.secret == values[SECRET]

    def unsound(self) -> str | None:
        """Return what must never be so and is, None where all is well."""
        if len(self.iam.keys) > 2:
            return "three keys"
        if self.start is not None and not self.stored_works():
            return "the file holds a key that does not work"
        return None

    def unfinished(self) -> str | None:
        """Return what must not be left at the end and is, None where all is well."""
        if sorted(each.name for each in self.folder.iterdir()) != [".env"]:
            return f"left behind: {[each.name for each in self.folder.iterdir()]}"
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


def empty(folder: Path) -> Scene:
    """No key at all, and no file."""
    folder.mkdir()
    return Scene(FakeIam(users={USER: Principal(USER, "/", {}, None)}), folder)


def one(folder: Path) -> Scene:
    """One key, in the file."""
    scene = empty(folder)
    scene.start = create_key(scene.iam.admin(), USER, frozenset())
    scene.deliver(scene.start)
    return scene


def two(folder: Path) -> Scene:
    """One key in the file, and an inactive one that nobody uses."""
    scene = empty(folder)
    other = create_key(scene.iam.admin(), USER, frozenset())
    scene.iam.keys[other.id].status = "Inactive"
    scene.start = create_key(scene.iam.admin(), USER, frozenset())
    scene.deliver(scene.start)
    return scene


def stale(folder: Path) -> Scene:
    """One key, and another one in the file that is gone from the account."""
    scene = one(folder)
    assert scene.start is not None
    del scene.iam.keys[scene.start.id]
    scene.start = None
    create_key(scene.iam.admin(), USER, frozenset())
    return scene


STARTS = {start.__name__: start for start in (empty, one, two, stale)}
