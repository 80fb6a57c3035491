"""The common part of the key commands: stores, tests of a new key, durations, the rotator."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import clock
from cml_iam.cli._headings import Heading, shared_option
from cml_iam.cli._output import INFO, note
from cml_iam.cli._settings import aws_options, length_or_zero, options, settings, shared_options
from cml_iam.cli._site import connect_as, connect_with, find_site, load_site, place_of
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import AccessKey, Delivery, Rotator, Store
    from cml_iam.site import Site


STORE_HELP = (
    "Store of the key: env:PATH, profile:NAME, k8s:FILE[#[NAMESPACE/]NAME], "
    "secretsmanager:NAME or ssm:NAME. Repeatable.  [default: the --env-file]"
)

to_option = shared_option(Heading.STORES, "--to", multiple=True, metavar="STORE", help=STORE_HELP)


@dataclass(frozen=True, slots=True)
class Where:
    """The stores given to a command: *to*, otherwise *env_file*, otherwise the site's."""

    env_file: Path | None
    allow_tracked: bool
    to: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise InputError, before any AWS call, if the folder of a store's file is missing.

        The folder of a profile is created if missing.
        """
        from cml_iam.credentials import file_of_store

        for text in self.texts:
            file = file_of_store(text)
            if file is not None and not file.parent.is_dir():
                raise InputError(
                    f"cannot write `{file}`: no such folder: `{file.parent}`",
                    remedy="create the folder, or name another one",
                )

    @property
    def texts(self) -> tuple[str, ...]:
        """The stores as written by the user."""
        return self.to or (own_store(self.env_file),)


def own_store(env_file: Path | None = None) -> str:
    """Return the store of the manager's key: *env_file*, the site's, or `.env` here."""
    if env_file is not None:
        return f"env:{env_file}"
    site = find_site()
    return (place_of("manager", site) if site else None) or "env:.env"


file_options = options(
    shared_option(
        Heading.STORES,
        "--env-file",
        type=click.Path(path_type=Path),
        help="File that holds the user's access key.  [default: `credentials.manager` of the "
        "site file, else .env]",
    ),
    shared_option(
        Heading.STORES,
        "--allow-tracked",
        is_flag=True,
        help="Allow a key file that git does not ignore.",
    ),
)
"""The options that name the key file."""


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name the stores; the command receives them as *where*."""

    @functools.wraps(command)
    def called(
        *, env_file: Path | None, allow_tracked: bool, to: tuple[str, ...], **others: Any
    ) -> Any:
        return command(where=Where(env_file, allow_tracked, to), **others)

    return file_options(to_option(called))


def stores_from(where: Where, aws: Aws) -> Store:
    """Return the stores of *where* as one; *aws* accesses those inside AWS."""
    from cml_iam.credentials import Together, open_store

    found = [
        open_store(text, lambda: aws, allow_tracked=where.allow_tracked) for text in where.texts
    ]
    return found[0] if len(found) == 1 else Together(tuple(found))


def delivery_of(
    site: Site, store: Store, *, proved: bool = False, health_url: str | None = None
) -> Delivery:
    """Return the delivery to *store*.

    With *proved*, a new key must pass its test before it is used, and the application at
    *health_url* must be healthy.
    """
    from cml_iam.credentials import Delivery, ask_health, prove_key

    def sign_in(key: AccessKey) -> Aws:
        return connect_with(
            site, profile=settings().profile, access_key=key.id, secret_key=key.secret
        )

    def prove(key: AccessKey) -> None:
        prove_key(sign_in, key, site, report=lambda text: note(f"{INFO} {text}"))
        if health_url is not None:
            ask_health(health_url)

    return Delivery(store, sign_in, prove if proved else None)


key_options = options(store_options, aws_options, shared_options("site", "output"))
"""The options that all key commands share."""


def _phase_option(flag: str, default: str, text: str) -> Callable[[Any], Any]:
    return click.option(
        flag, type=length_or_zero, default=default, show_default=True, metavar="TIME", help=text
    )


schedule_options = options(
    _phase_option(
        "--overlap",
        "1d",
        "Time that both keys stay active; the old key must be unused for this long.",
    ),
    _phase_option("--cool-off", "7d", "Time the old key stays inactive before it is deleted."),
    _phase_option("--max-age", "90d", "Maximum age of an active key."),
)
"""The options for the duration of each phase."""


def user_of(site: Site) -> str:
    """Return the name of the site's user; raises InputError for a role."""
    if site.user is None:
        raise InputError(
            f"the site's principal is the role `{site.role}`, which has no access keys"
        )
    return site.user


def rotator_of(
    where: Where, spans: dict[str, timedelta] | None = None, health_url: str | None = None
) -> Rotator:
    """Return the rotator of the site's user for the stores of *where*."""
    from cml_iam.credentials import Rotator, Schedule

    site = load_site()
    user = user_of(site)
    where.check()
    aws = connect_as("administrator", site)
    store = stores_from(where, aws)
    return Rotator(
        aws=aws,
        user=user,
        delivery=delivery_of(site, store, proved=True, health_url=health_url),
        schedule=Schedule(**(spans or {})),
        clock=clock.now,
        pause=time.sleep,
        report=lambda text: note(f"{INFO} {text}"),
    )
