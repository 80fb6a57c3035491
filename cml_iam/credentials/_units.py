"""Schedules as text: what runs `key rotate --if-due` every day, written when asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from cml_iam.credentials._handover import page
from cml_iam.errors import InputError

Kind = Literal["systemd", "cron", "github", "kubernetes"]
KINDS: Final[tuple[Kind, ...]] = ("systemd", "cron", "github", "kubernetes")
_TEMPLATE: Final = {
    "systemd": "rotate.systemd.j2",
    "cron": "rotate.cron.j2",
    "github": "rotate.github.yaml.j2",
    "kubernetes": "rotate.cronjob.yaml.j2",
}
_SOURCE: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]+)?/[A-Za-z0-9._/~-]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_FOLDERLESS: Final = ("github", "kubernetes")
"""What runs there has a disk that is gone the next day."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When and with what: *hour* and *minute* in UTC, *folder* the one to run in.

    *role* is the role a GitHub workflow takes, *source* and *commit* the repository of cml-iam and
    the commit of it that runs there; *image* is what a CronJob runs.
    """

    hour: int
    minute: int
    folder: str
    program: str = "cml-iam"
    region: str = "us-east-1"
    role: str | None = None
    source: str | None = None
    commit: str | None = None
    image: str | None = None


def schedule_text(
    kind: Kind, arguments: tuple[str, ...], table: Timetable, *, stores: tuple[str, ...]
) -> str:
    """Return the schedule of *kind* that rotates with *arguments*, those after `key rotate`.

    Raises InputError where the key would go to a disk that is gone the next day, or where a part
    the schedule needs is missing.
    """
    lasting = [each for each in stores if each.startswith(("secretsmanager:", "ssm:"))]
    if kind in _FOLDERLESS and len(lasting) < len(stores):
        raise InputError(
            f"a job of {kind} has no disk that lasts, so the key must go into AWS",
            remedy="name --to secretsmanager:NAME or --to ssm:NAME only",
        )
    if kind == "github" and table.role is None:
        raise InputError(
            "the workflow needs a role to take", remedy="name it: --role-arn arn:aws:iam::…:role/…"
        )
    if kind == "github":
        _check_source(table)
    if kind == "kubernetes" and table.image is None:
        raise InputError("the CronJob needs an image with cml-iam in it", remedy="name it: --image")
    words = (table.program, "key", "rotate", "--if-due", "--yes", *arguments)
    if any(character in word for word in (*words, table.folder) for character in "\r\n\0"):
        raise InputError("a line end in an argument cannot be written into a schedule")
    values = (*words, *filter(None, (table.role, table.region, table.image, table.source)))
    if kind in _FOLDERLESS and any(mark in word for word in values for mark in ("${{", "$(")):
        raise InputError(f"{kind} would take `${{{{` or `$(` in an argument for its own")
    return page(_TEMPLATE[kind], words=words, table=table)


def _check_source(table: Timetable) -> None:
    """Raise InputError unless it is said what runs with the role: no name in an index is ours."""
    if not table.source or not _SOURCE.fullmatch(table.source):
        raise InputError(
            "the workflow must be told where cml-iam comes from"
            if not table.source
            else f"not the address of a repository: `{table.source}`",
            remedy="name its repository and a commit of it: --source https://HOST/GROUP/cml-iam "
            "--commit COMMIT",
        )
    if not table.commit or not _COMMIT.fullmatch(table.commit):
        raise InputError(
            "the workflow must be told which commit of cml-iam runs in it",
            remedy="name it with all its 40 digits, as `git rev-parse HEAD` prints it: --commit",
        )
