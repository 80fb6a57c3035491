"""`cml-iam key schedule`: what rotates the key every day, as text."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Literal

import click

from cml_iam.cli._delivery import STORE_HELP
from cml_iam.cli._output import print_json, wants_json
from cml_iam.cli._settings import settings, shared_options


@click.command()
@click.option(
    "--kind",
    type=click.Choice(["systemd", "cron", "github", "kubernetes"]),
    required=True,
    help="What is to run it: a timer, a crontab, a workflow, a CronJob.",
)
@click.option("--to", multiple=True, metavar="STORE", help=STORE_HELP)
@click.option("--at", default="03:17", show_default=True, metavar="HH:MM", help="When, in UTC.")
@click.option("--health-url", metavar="URL", help="Asked before a new key is put to use.")
@click.option("--role-arn", metavar="ARN", help="The role a GitHub workflow takes.")
@click.option("--source", metavar="URL", help="The repository of cml-iam, for a GitHub workflow.")
@click.option("--commit", metavar="SHA", help="The commit of it that runs there, all 40 digits.")
@click.option("--image", metavar="IMAGE", help="What a CronJob runs: an image with cml-iam in it.")
@shared_options("site", "region", "output")
def schedule(
    kind: Literal["systemd", "cron", "github", "kubernetes"],
    to: tuple[str, ...],
    at: str,
    health_url: str | None,
    role_arn: str | None,
    source: str | None,
    commit: str | None,
    image: str | None,
) -> None:
    """Print what runs `key rotate --if-due` every day; installs nothing, holds no credential.

    A workflow and a CronJob have no disk that lasts: they rotate a key in Secrets Manager or in
    the parameter store.
    """
    from cml_iam.credentials import Timetable, schedule_text

    site = settings().site
    arguments = [word for store in to for word in ("--to", store)]
    if health_url:
        arguments += ["--health-url", health_url]
    if site and kind != "kubernetes":
        arguments = ["--site", str(site), *arguments]
    hour, minute = _at(at)
    table = Timetable(
        hour=hour,
        minute=minute,
        folder=str(Path.cwd()),
        program=_program() if kind in ("systemd", "cron") else "cml-iam",
        region=settings().region or "us-east-1",
        role=role_arn,
        source=source,
        commit=commit,
        image=image,
    )
    text = schedule_text(kind, tuple(arguments), table, stores=to or ("env:.env",))
    if wants_json():
        print_json({"kind": kind, "text": text})
    else:
        click.echo(text, nl=False)


def _program() -> str:
    """Return the full path of this program: timers and cron have another PATH."""
    called = Path(sys.argv[0])
    if called.name == "cml-iam" and called.is_file():
        return str(called.absolute())
    return shutil.which("cml-iam") or "cml-iam"


def _at(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if match is None:
        raise click.BadParameter(f"not a time of day: `{text}` (write 03:17)", param_hint="--at")
    return int(match[1]), int(match[2])
