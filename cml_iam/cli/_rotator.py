"""What the commands about keys share: spans of time, and the rotator of the site's user."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._connect import connect_as
from cml_iam.cli._delivery import delivery_of, store_options, stores_from
from cml_iam.cli._output import INFO, note
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli._site import load_site
from cml_iam.clock import parse_length
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import Rotator
    from cml_iam.site import Site


def span(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    """Return *value*, such as `90d`, `12h`, `20m`, `90s` or `0`, as a length of time."""
    if value == "0":
        return timedelta(0)
    try:
        return parse_length(value)
    except InputError as error:
        raise click.BadParameter(
            f"{error.message} ({error.remedy}, or 0)", context, parameter
        ) from None


def key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command about keys."""
    shared = shared_options("site", "output")
    return store_options(aws_options(shared(command)))


def schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how long each phase lasts."""
    for flag, default, text in (
        ("--max-age", "90d", "The age no active key may reach."),
        ("--cool-off", "7d", "How long the old key stays inactive before it is deleted."),
        ("--overlap", "1d", "How long both keys work, and the old one must be quiet."),
    ):
        command = click.option(
            flag, callback=span, default=default, show_default=True, metavar="TIME", help=text
        )(command)
    return command


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
        clock=lambda: datetime.now(UTC),
        pause=time.sleep,
        report=lambda text: note(f"{INFO} {text}"),
    )
