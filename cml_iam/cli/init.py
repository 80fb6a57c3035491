"""`cml-iam init`: write a site file."""

from __future__ import annotations

import sys

import click

from cml_iam.cli._output import OK, WARN, note, say
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli._site import site_path
from cml_iam.errors import InputError, RefusedError, SiteError
from cml_iam.site import DEFAULT_POLICY, DEFAULT_USER, Site, Tag, parse_site, site_text


@click.command()
@click.option("--account", metavar="ID", help="The AWS account's twelve digits.")
@click.option("--partition", type=click.Choice(["aws", "aws-cn", "aws-us-gov"]), default="aws")
@click.option("--user", metavar="NAME", help=f"The IAM user.  [default: {DEFAULT_USER}]")
@click.option("--role", metavar="NAME", help="An IAM role instead of a user.")
@click.option("--policy", metavar="NAME", default=DEFAULT_POLICY, show_default=True)
@click.option("--allow-region", "regions", metavar="REGION", multiple=True, help="Repeatable.")
@click.option("--guard-tag", metavar="KEY=VALUE", help="The tag that marks a worker.")
@click.option("--instance-type", "types", metavar="PATTERN", multiple=True, help="Repeatable.")
@click.option("--image-owner", "owners", metavar="ID", multiple=True, help="Repeatable.")
@click.option("--image", "images", metavar="REGION=AMI", multiple=True, help="Repeatable.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@shared_options("site", "dry_run")
def init(
    account: str | None,
    partition: str,
    user: str | None,
    role: str | None,
    policy: str,
    regions: tuple[str, ...],
    guard_tag: str | None,
    types: tuple[str, ...],
    owners: tuple[str, ...],
    images: tuple[str, ...],
    force: bool,
) -> None:
    """Write a site file: asks on a terminal what the options leave open.

    \b
    cml-iam init --account 111122223333 --allow-region us-east-1 \\
        --guard-tag ManagedBy=cml-cloud-manager --instance-type m5zn.metal
    """  # noqa: D301 - click reads the backspace as "do not fill"
    path = site_path()
    if path.exists() and not force:
        raise RefusedError(f"`{path}` is there already", remedy="--force writes over it")
    if sys.stdin.isatty() and account is None:
        account, regions, guard_tag, types = _ask(account, regions, guard_tag, types)
    if account is None:
        raise InputError("no account", remedy="give it: --account 111122223333")
    text = site_text(
        account=account,
        partition=partition,
        user=user,
        role=role,
        policy=policy,
        regions=regions,
        guard_tag=_tag(guard_tag),
        instance_types=types,
        image_owners=owners,
        images=_images(images),
    )
    site = _check(text)
    if settings().dry_run:
        click.echo(text, nl=False)
        return
    path.write_text(text, "utf-8")
    for doubt in site.doubts:
        note(f"{WARN} {doubt.message}" + (f" ({doubt.remedy})" if doubt.remedy else ""))
    say(f"{OK} wrote {path}")
    note("next: cml-iam policy render, cml-iam policy verify, cml-iam bootstrap plan")


def _ask(
    account: str | None, regions: tuple[str, ...], guard_tag: str | None, types: tuple[str, ...]
) -> tuple[str, tuple[str, ...], str | None, tuple[str, ...]]:
    click.echo("An empty answer leaves a restriction out.", err=True)
    account = account or click.prompt("AWS account id", type=str, err=True)
    regions = regions or _words(click.prompt("Regions", default="us-east-1", err=True))
    if guard_tag is None:
        default = "ManagedBy=cml-cloud-manager"
        guard_tag = click.prompt("Tag that marks a worker", default=default, err=True)
    types = types or _words(click.prompt("Instance types", default="m5zn.metal", err=True))
    return account, regions, guard_tag, types


def _words(answer: str) -> tuple[str, ...]:
    return tuple(answer.replace(",", " ").split())


def _tag(text: str | None) -> Tag | None:
    if not text:
        return None
    key, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"not a tag: `{text}`", remedy="write KEY=VALUE")
    return Tag(key, value)


def _images(pairs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    images: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        region, equals, image = pair.partition("=")
        if not equals:
            raise InputError(f"not an image of a region: `{pair}`", remedy="write REGION=AMI")
        images[region] = (*images.get(region, ()), image)
    return images


def _check(text: str) -> Site:
    """Refuse to write what could not be read back; the answers are at fault, not the file."""
    try:
        return parse_site(text)
    except SiteError as error:
        message = "; ".join(problem.message for problem in error.problems)
        raise InputError(message) from None
