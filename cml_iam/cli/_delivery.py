"""What the commands that deliver a key share: the file, how to try a key, and asking first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._output import INFO, note
from cml_iam.cli._settings import settings
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import AccessKey, Delivery, EnvFile
    from cml_iam.site import Site

DEFAULT_ENV = Path(".env")


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the file for the key."""
    tracked = click.option(
        "--allow-tracked", is_flag=True, help="Let git see the file that holds the key."
    )
    file = click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        default=DEFAULT_ENV,
        show_default=True,
        help="Where the user's access key is, or goes.",
    )
    return file(tracked(command))


def env_store(path: Path, allow_tracked: bool) -> EnvFile:
    """Return the file at *path* as a store."""
    from cml_iam.credentials import EnvFile

    return EnvFile(path.absolute(), allow_tracked=allow_tracked)


def delivery_to(site: Site, path: Path, allow_tracked: bool, *, proved: bool = False) -> Delivery:
    """Return the delivery to the file at *path*; with *proved* a new key must do its work first."""
    from cml_iam.aws import connect
    from cml_iam.credentials import Delivery, prove_key

    given = settings()

    def sign_in(key: AccessKey) -> Aws:
        return connect(
            profile=given.profile,
            region=given.region or site.home_region,
            endpoint_url=given.endpoint_url,
            access_key=key.id,
            secret_key=key.secret,
        )

    def prove(key: AccessKey) -> None:
        prove_key(sign_in, key, site, report=lambda text: note(f"{INFO} {text}"))

    return Delivery(env_store(path, allow_tracked), sign_in, prove if proved else None)


def agreed(question: str) -> bool:
    """Ask *question* unless --yes was given; raises InputError where nobody can answer."""
    if settings().yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("this changes the account, and there is nobody to ask", remedy="add --yes")
    return click.confirm(question, err=True)
