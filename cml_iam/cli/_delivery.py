"""The common part of the key commands: stores, tests of a new key, durations, the rotator."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam import clock, credentials
from cml_iam.cli._options import (
    FILE,
    Heading,
    aws_options,
    length_or_zero,
    option,
    options,
    settings,
    shared_options,
)
from cml_iam.cli._output import INFO, note
from cml_iam.cli._site import connect_as, connect_with, load_site, own_store
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from pathlib import Path

    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

_store_option = functools.partial(option, heading=Heading.STORES)

STORE_HELP = (
    "Store of the key: env:PATH, profile:NAME, k8s:FILE[#[NAMESPACE/]NAME], "
    "secretsmanager:NAME or ssm:NAME. Repeatable.  [default: the --env-file]"
)
to_option = _store_option("--to STORE", STORE_HELP, multiple=True)

file_options = options(
    _store_option(
        "--env-file",
        "File that holds the user's access key.  [default: `credentials.manager` of the site file, "
        "else .env]",
        type=FILE,
    ),
    _store_option("--allow-tracked", "Allow a key file that git does not ignore."),
)
"""The options that name the key file."""


@dataclass(frozen=True, slots=True)
class Where:
    """The stores given to a command: *to*, otherwise *env_file*, otherwise the site's."""

    env_file: Path | None
    allow_tracked: bool
    to: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The stores as written by the user."""
        return self.to or (own_store(self.env_file),)

    def check(self) -> None:
        """Raise InputError, before any AWS call, if the folder of a store's file is missing.

        The folder of a profile is created if missing.
        """
        for file in map(credentials.file_of_store, self.texts):
            if file is not None and not file.parent.is_dir():
                raise InputError(
                    f"cannot write `{file}`: no such folder: `{file.parent}`",
                    remedy="create the folder, or name another one",
                )

    def open(self, aws: Aws) -> credentials.Store:
        """Return the stores as one; *aws* accesses those inside AWS."""
        stores = tuple(
            credentials.open_store(text, lambda: aws, allow_tracked=self.allow_tracked)
            for text in self.texts
        )
        return stores[0] if len(stores) == 1 else credentials.Together(stores)


def _with_where(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def called(
        *, env_file: Path | None, allow_tracked: bool, to: tuple[str, ...], **others: Any
    ) -> Any:
        return command(where=Where(env_file, allow_tracked, to), **others)

    return called


key_options = options(
    file_options, to_option, _with_where, aws_options, shared_options("site", "output")
)
"""The options that all key commands share; a command receives the stores as *where*."""

_phase_option = functools.partial(option, type=length_or_zero)
schedule_options = options(
    _phase_option(
        "--overlap TIME",
        "Time that both keys stay active; the old key must be unused for this long.",
        default="1d",
    ),
    _phase_option(
        "--cool-off TIME", "Time the old key stays inactive before it is deleted.", default="7d"
    ),
    _phase_option("--max-age TIME", "Maximum age of an active key.", default="90d"),
)
"""The options for the duration of each phase."""


def delivery_of(
    site: Site, store: credentials.Store, *, proved: bool = False, health_url: str | None = None
) -> credentials.Delivery:
    """Return the delivery to *store*.

    With *proved*, a new key must pass its test before it is used, and the application at
    *health_url* must be healthy.
    """

    def sign_in(key: credentials.AccessKey) -> Aws:
        return connect_with(
            site, profile=settings().profile, access_key=key.id, secret_key=key.secret
        )

    def prove(key: credentials.AccessKey) -> None:
        credentials.prove_key(sign_in, key, site, report=_report)
        if health_url is not None:
            credentials.ask_health(health_url)

    return credentials.Delivery(store, sign_in, prove if proved else None)


def _report(text: str) -> None:
    note(f"{INFO} {text}")


def user_of(site: Site) -> str:
    """Return the name of the site's user; raises InputError for a role."""
    if site.user is None:
        raise InputError(
            f"the site's principal is the role `{site.role}`, which has no access keys"
        )
    return site.user


def rotator_of(
    where: Where, spans: dict[str, timedelta] | None = None, health_url: str | None = None
) -> credentials.Rotator:
    """Return the rotator of the site's user for the stores of *where*."""
    site = load_site()
    user = user_of(site)
    where.check()
    aws = connect_as("administrator", site)
    return credentials.Rotator(
        aws=aws,
        user=user,
        delivery=delivery_of(site, where.open(aws), proved=True, health_url=health_url),
        schedule=credentials.Schedule(**(spans or {})),
        clock=clock.now,
        pause=time.sleep,
        report=_report,
    )
