"""What the commands that deliver a key share: the stores, how to try a key, and asking first."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._connect import place_of, region_of
from cml_iam.cli._output import INFO, note
from cml_iam.cli._settings import settings
from cml_iam.cli._site import find_site
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import AccessKey, Delivery, Store
    from cml_iam.site import Site

STORE_HELP = (
    "A store of the key, repeatable: env:PATH, profile:NAME, k8s:FILE[#[NAMESPACE/]NAME], "
    "secretsmanager:NAME, ssm:NAME.  [default: the --env-file]"
)


@dataclass(frozen=True, slots=True)
class Where:
    """Which stores a command was given: *to*, or else the *env_file*, or else the site's."""

    env_file: Path | None
    allow_tracked: bool
    to: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise InputError, before AWS is asked, for a file of a store whose folder is not there.

        The folder of a profile is made where it is missing.
        """
        for text in self.texts:
            kind, _, rest = text.partition(":")
            folder = Path(rest.partition("#")[0]).parent
            if kind in {"env", "k8s"} and rest and not folder.is_dir():
                raise InputError(
                    f"cannot write `{rest}`: there is no folder `{folder}`",
                    remedy="make the folder, or name another place",
                )

    @property
    def texts(self) -> tuple[str, ...]:
        """The stores as they are written."""
        return self.to or (own_store(self.env_file),)


def own_store(env_file: Path | None = None) -> str:
    """Return the store of the manager's key: *env_file*, else the site's, else `.env` here."""
    if env_file is not None:
        return f"env:{env_file}"
    site = find_site()
    return (place_of("manager", site) if site else None) or "env:.env"


def file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the file for the key."""
    tracked = click.option(
        "--allow-tracked", is_flag=True, help="Let git see the file that holds the key."
    )
    file = click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        help="Where the user's access key is, or goes.  [default: `credentials.manager` of the "
        "site file, else .env]",
    )
    return file(tracked(command))


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the stores; the command gets them as *where*."""

    @functools.wraps(command)
    def called(
        *, env_file: Path | None, allow_tracked: bool, to: tuple[str, ...], **others: Any
    ) -> Any:
        return command(where=Where(env_file, allow_tracked, to), **others)

    to = click.option("--to", multiple=True, metavar="STORE", help=STORE_HELP)
    return file_options(to(called))


def stores_from(where: Where, aws: Aws) -> Store:
    """Return the stores of *where* as one; *aws* reads and changes those inside AWS."""
    from cml_iam.credentials import Together, open_store

    found = [
        open_store(text, lambda: aws, allow_tracked=where.allow_tracked) for text in where.texts
    ]
    return found[0] if len(found) == 1 else Together(tuple(found))


def delivery_of(
    site: Site, store: Store, *, proved: bool = False, health_url: str | None = None
) -> Delivery:
    """Return the delivery to *store*.

    With *proved* a new key must do its work before it is used, and the application at *health_url*
    must be well.
    """
    from cml_iam.aws import connect
    from cml_iam.credentials import Delivery, ask_health, prove_key

    given = settings()

    def sign_in(key: AccessKey) -> Aws:
        return connect(
            profile=given.profile,
            region=region_of(site),
            endpoint_url=given.endpoint_url,
            access_key=key.id,
            secret_key=key.secret,
        )

    def prove(key: AccessKey) -> None:
        prove_key(sign_in, key, site, report=lambda text: note(f"{INFO} {text}"))
        if health_url is not None:
            ask_health(health_url)

    return Delivery(store, sign_in, prove if proved else None)
