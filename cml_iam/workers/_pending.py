"""Launches with unknown outcomes, stored on disk so that a re-run creates no duplicate."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.files import regular_text
from cml_iam.workers._changes import Disk, Launch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PendingLaunch:
    """A launch whose outcome is unknown; *since* is when it was first sent, or was about to be.

    *unanswered* is True if an attempt had no response, so EC2 may have created the worker.
    """

    launch: Launch
    region: str
    since: datetime
    unanswered: bool = False


class PendingLaunches:
    """The pending launches: private files in *folder*, each written completely or not at all.

    User data may contain secrets, so only its digest is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, key: str, user_data: str | None) -> PendingLaunch | None:
        """Return the pending launch *key*, or None.

        Raises InputError for an unreadable file, which never counts as absent. Also raises it if
        *user_data* differs from what was sent, because the same request could not be repeated.
        """
        path = self._path(key)
        if not os.path.lexists(path):
            return None
        try:
            text = regular_text(path)
        except InputError as error:
            raise _unreadable(path, error) from None
        try:
            raw = json.loads(text)
            found = _from_json(raw, user_data)
            digest = raw["user_data"]
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(path, error) from None
        if digest != _digest(user_data):
            raise InputError(
                f"a launch of `{found.launch.name}` has no answer yet, and was sent with "
                "different user data",
                remedy="restore the user data and repeat, or see `cml-iam worker list` for the "
                f"worker and then remove `{path}`",
            )
        return found

    def under_way(self, key: str) -> bool:
        """Return whether the outcome of the launch *key* is unknown."""
        return self._path(key).exists()

    def keep(self, key: str, pending: PendingLaunch) -> PendingLaunch:
        """Store *pending* as *key* unless another process was first; return the stored one."""
        spare = self._write(key, pending)
        try:
            os.link(spare, self._path(key))
        except FileExistsError:
            kept = self.find(key, pending.launch.user_data)
            return self.keep(key, pending) if kept is None else kept
        finally:
            spare.unlink()
        self._sync()
        return pending

    def change(self, key: str, pending: PendingLaunch) -> None:
        """Replace the launch stored as *key* with *pending*."""
        self._write(key, pending).replace(self._path(key))
        self._sync()

    def forget(self, key: str) -> None:
        """Record that the outcome is known; repeated calls do nothing."""
        self._path(key).unlink(missing_ok=True)
        if self.folder.is_dir():
            self._sync()

    def _path(self, key: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()[:32]}.json"

    def _write(self, key: str, pending: PendingLaunch) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        spare = self._path(key).with_suffix(f".{secrets.token_hex(8)}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(spare, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(_as_json(pending), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        return spare

    def _sync(self) -> None:
        """Sync the folder, so that a rename, a link or a removal survives a system crash."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _as_json(pending: PendingLaunch) -> dict[str, Any]:
    launch = asdict(pending.launch)
    return {
        "version": VERSION,
        "region": pending.region,
        "since": pending.since.isoformat(),
        "unanswered": pending.unanswered,
        "user_data": _digest(launch.pop("user_data")),
        "launch": launch,
    }


def _from_json(raw: Mapping[str, Any], user_data: str | None) -> PendingLaunch:
    if raw["version"] != VERSION:
        raise ValueError(f"version {raw['version']}")
    fields = dict(raw["launch"])
    fields["security_group_ids"] = tuple(fields["security_group_ids"])
    fields["disk"] = Disk(**fields["disk"]) if fields["disk"] else None
    return PendingLaunch(
        Launch(**fields, user_data=user_data),
        raw["region"],
        datetime.fromisoformat(raw["since"]),
        bool(raw["unanswered"]),
    )


def _digest(user_data: str | None) -> str | None:
    return None if user_data is None else sha256(user_data.encode()).hexdigest()


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"cannot read the pending launch `{path}`: {error}",
        remedy="see `cml-iam worker list` for the worker, then remove the file by hand",
    )
