"""What is found, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.errors import AwsError, CmlIamError, DeniedError

if TYPE_CHECKING:
    from cml_iam.aws import Aws, Identity, Source
    from cml_iam.site import Site
    from cml_iam.workers import Launch, WorkerManager


class State(StrEnum):
    """How something is: *advice* is not wrong yet, *could not check* is never fine."""

    OK = "ok"
    ADVICE = "advice"
    FINDING = "finding"
    UNCHECKED = "could not check"


class Area(StrEnum):
    """What is looked at, in this order."""

    ENDPOINT = "endpoint"
    CLOCK = "clock"
    FILES = "files"
    CREDENTIALS = "credentials"
    REGIONS = "regions"
    PERMISSIONS = "permissions"
    METRICS = "metrics"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """How *subject* is: what was *said* of it, and the *remedy* where there is one."""

    area: Area
    subject: str
    state: State
    said: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What is looked at.

    *manager* and *aws* act as the manager itself; *admin*, where given, may read IAM. *profile* and
    *endpoint_url* are those of the command line. *now* tells the time of this machine,
    *probe* what to try launching with in a region.
    """

    aws: Aws
    manager: WorkerManager
    regions: tuple[str, ...]
    home: str
    site: Site | None
    now: Callable[[], datetime]
    admin: Aws | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    env_file: Path = Path(".env")
    probe: Callable[[str], Launch | None] = lambda _region: None

    @property
    def reader(self) -> Aws:
        """Who is asked about IAM."""
        return self.admin or self.aws


@dataclass(frozen=True, slots=True)
class Who:
    """The credential in use, and whom AWS takes it for, or why for nobody."""

    source: Source | None
    identity: Identity | None = None
    failure: CmlIamError | None = None


ADMIN: Final = "ask as somebody who may read IAM: --admin-profile NAME"


def unchecked(area: Area, subject: str, error: CmlIamError, said: str = "") -> Diagnosis:
    """Return that *subject* could not be checked because of *error*."""
    message = error.message
    if isinstance(error, DeniedError) and error.action:
        message = f"`{error.action}` is not permitted"
    detail = f"{said}: {message}" if said else message
    return Diagnosis(area, subject, State.UNCHECKED, detail, error.remedy)


def known_or_unchecked(
    area: Area, subject: str, look: Callable[[], list[Diagnosis]]
) -> list[Diagnosis]:
    """Return what *look* finds; what AWS does not answer is unchecked."""
    try:
        return look()
    except AwsError as error:
        return [unchecked(area, subject, error)]
