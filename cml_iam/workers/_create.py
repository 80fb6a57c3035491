"""Create exactly one worker per request; without capacity, in another zone or of another type.

A launch without a response may have created a worker. The request is therefore stored on disk until
its outcome is known. This module itself retries, because botocore would hide that the first attempt
had no response. A retry is the same request with the same client token.
https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from cml_iam import errors
from cml_iam.files import parse_json, regular_text, write_whole
from cml_iam.workers._changes import Disk, Launch
from cml_iam.workers._model import Worker
from cml_iam.workers._site_workers import Placement

if TYPE_CHECKING:
    from cml_iam.workers._manager import WorkerManager

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0

_SETTLED: Final = timedelta(minutes=5)
"""How long EC2 may take until every call that describes instances shows a new one.

https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

_VERSION: Final = 1


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
            raw = parse_json(regular_text(path))
            pending = _from_json(raw, user_data)
            digest = raw["user_data"]
        except (errors.InputError, ValueError, KeyError, TypeError) as error:
            raise errors.InputError(
                f"cannot read the pending launch `{path}`: {error}",
                remedy="see `cml-iam worker list` for the worker, then remove the file by hand",
            ) from None
        if digest != _digest(user_data):
            raise errors.InputError(
                f"a launch of `{pending.launch.name}` has no answer yet, and was sent with "
                "different user data",
                remedy="restore the user data and repeat, or see `cml-iam worker list` for the "
                f"worker and then remove `{path}`",
            )
        return pending

    def under_way(self, key: str) -> bool:
        """Return whether the outcome of the launch *key* is unknown."""
        return self._path(key).exists()

    def keep(self, key: str, pending: PendingLaunch) -> PendingLaunch:
        """Store *pending* as *key* unless another process was first; return the stored one."""
        path = self._path(key)
        spare = path.with_suffix(f".{secrets.token_hex(8)}.new")
        self._write(spare, pending)
        try:
            os.link(spare, path)
        except FileExistsError:
            kept = self.find(key, pending.launch.user_data)
            return self.keep(key, pending) if kept is None else kept
        finally:
            spare.unlink()
        self._sync()
        return pending

    def change(self, key: str, pending: PendingLaunch) -> None:
        self._write(self._path(key), pending)
        self._sync()

    def forget(self, key: str) -> None:
        """Record that the outcome is known; repeated calls do nothing."""
        self._path(key).unlink(missing_ok=True)
        if self.folder.is_dir():
            self._sync()

    def _path(self, key: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()[:32]}.json"

    def _write(self, path: Path, pending: PendingLaunch) -> None:
        launch = asdict(pending.launch)
        raw = {
            "version": _VERSION,
            "region": pending.region,
            "since": pending.since.isoformat(),
            "unanswered": pending.unanswered,
            "user_data": _digest(launch.pop("user_data")),
            "launch": launch,
        }
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(path, json.dumps(raw, indent=2), mode=0o600)

    def _sync(self) -> None:
        """Sync the folder, so that a rename, a link or a removal survives a system crash."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _from_json(raw: Mapping[str, Any], user_data: str | None) -> PendingLaunch:
    if raw["version"] != _VERSION:
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


@dataclass(frozen=True, slots=True)
class Patience:
    """How many times to send a request that is unanswered or throttled, and how long to wait."""

    attempts: int = 5
    sleep: Callable[[float], None] = time.sleep


def create_worker(
    manager: WorkerManager,
    launch: Launch,
    tries: Sequence[Placement],
    *,
    region: str,
    key: str,
    pending: PendingLaunches,
    now: Callable[[], datetime],
    patience: Patience | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Worker:
    """Launch one worker from *launch*, in the first of *tries* with capacity.

    If a launch with the same *key* is pending, it is finished and its worker returned, so no second
    worker is created. Call `pending.forget(key)` after the worker has been reported to the user.

    Raises IncompleteError if the outcome is unknown (repeating is safe), CapacityError if no place
    has capacity, and any other AwsError from EC2 if nothing was created.
    """
    before = pending.find(key, launch.user_data)
    if before is not None:
        tell(_repeating(before))
    if before is not None and now() - before.since > _SETTLED:
        worker = manager.find_by_client_token(before.launch.client_token, region=before.region)
        if worker is not None:
            return worker
        # By now every call would show it, so it was never created.
        pending.forget(key)
        before = None
    sender = _Sender(manager, key, pending, now, patience or Patience())
    refusals = []
    for place, request in _requests(launch, tries, region, now(), before):
        try:
            return sender.send(request, is_kept=request is before)
        except (errors.CapacityError, errors.NotOfferedError) as error:
            refusals.append(f"{place}: {error.code or error.message}")
            if request is not before:
                tell(f"{place}: {error.message}")
    raise errors.CapacityError(
        f"no capacity for `{launch.name}` anywhere: {'; '.join(refusals)}",
        operation="RunInstances",
        remedy="add zones or types to the worker profile, or try again later",
    )


def _repeating(pending: PendingLaunch) -> str:
    return (
        f"a launch from {pending.since:%Y-%m-%d %H:%M} UTC has no known answer: repeating it "
        f"({_place_of(pending)}) instead of launching another worker"
    )


def _place_of(pending: PendingLaunch) -> Placement:
    return Placement(pending.launch.instance_type, pending.launch.subnet_id)


def _requests(
    launch: Launch,
    tries: Sequence[Placement],
    region: str,
    now: datetime,
    before: PendingLaunch | None,
) -> Iterator[tuple[Placement, PendingLaunch]]:
    """Yield the launch *before*, then *launch* in each other place."""
    if before is not None:
        yield _place_of(before), before
    for place in tries:
        if before is None or place != _place_of(before):
            here = replace(
                launch,
                instance_type=place.instance_type,
                subnet_id=place.subnet_id,
                client_token=str(uuid4()),
            )
            yield place, PendingLaunch(here, region, now)


@dataclass(frozen=True, slots=True)
class _Sender:
    manager: WorkerManager
    key: str
    pending: PendingLaunches
    now: Callable[[], datetime]
    patience: Patience

    def send(self, request: PendingLaunch, *, is_kept: bool) -> Worker:
        """Send *request* until the outcome is known; raises EC2's error."""
        request = replace(request, since=self.now())
        if is_kept:
            self.pending.change(self.key, request)
        else:
            request = self.pending.keep(self.key, request)
        pause = _FIRST_PAUSE
        for attempt in range(1, self.patience.attempts + 1):
            try:
                launch, region = request.launch, request.region
                return self.manager.create_instance(launch, region=region, once=True)
            except (errors.UnreachableError, errors.ThrottledError) as error:
                if isinstance(error, errors.UnreachableError):
                    request = replace(request, unanswered=True, since=self.now())
                    self.pending.change(self.key, request)
                if attempt == self.patience.attempts:
                    raise self._given_up(error, request) from None
                self.patience.sleep(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE)
            except errors.AwsError as error:
                raise self._given_up(error, request) from None
            except errors.CmlIamError:  # refused by cml-iam: nothing was sent
                if not request.unanswered:
                    self.pending.forget(self.key)
                raise
        raise errors.InputError("a launch is sent at least once")

    def _given_up(self, error: errors.AwsError, request: PendingLaunch) -> errors.CmlIamError:
        """Return *error*, or IncompleteError if an attempt may have succeeded."""
        if not request.unanswered:
            self.pending.forget(self.key)
            return error
        return errors.IncompleteError(
            f"cannot tell whether the worker was created: {error.message}",
            remedy="repeat the same command: it never creates a second worker, and "
            f"{int(_SETTLED.total_seconds()) // 60} minutes after the first attempt it is certain",
        )
