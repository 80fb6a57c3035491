"""`cml-iam policy render` and `permissions`."""

from __future__ import annotations

from dataclasses import asdict

import click

from cml_iam.catalogue import load_catalogue, permission_tables
from cml_iam.cli._output import WARN, note, print_json, wants_json
from cml_iam.cli._settings import settings, shared_options
from cml_iam.render import PROFILES, Profile, render_policy


@click.command()
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="hardened",
    show_default=True,
    help="base: everything, everywhere. hardened: within the site's restrictions.",
)
@shared_options("site", "quiet")
def render(profile: Profile) -> None:
    """Print the policy document on stdout, and nothing else.

    The hardened document replaces the base: attached beside it, it would restrict nothing.
    """
    site = settings().load_site() if profile == "hardened" else None
    rendered = render_policy(site, profile)
    if site and not site.restrict.active:
        note(f"{WARN} the site file has no [restrict]: this permits what the base policy permits")
    click.echo(rendered.text, nl=False)


@click.command()
@shared_options("output")
def permissions() -> None:
    """Print what the manager may do, and what for, as the documentation's tables."""
    catalogue = load_catalogue()
    if wants_json():
        print_json([asdict(each) for each in catalogue.permissions])
    else:
        click.echo(permission_tables(catalogue), nl=False)
