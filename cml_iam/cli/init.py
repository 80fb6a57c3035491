"""`cml-iam init`: write a site file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam import site as room
from cml_iam.cli._options import option, pairs, repeatable, settings, shared_options
from cml_iam.cli._output import INFO, OK, WARN, complain_remedies, fitted, note, say
from cml_iam.cli._site import site_path
from cml_iam.errors import CmlIamError, InputError, RefusedError, SiteError
from cml_iam.facts import PARTITIONS
from cml_iam.tag import DEFAULT_TAG, Tag

if TYPE_CHECKING:
    from cml_iam.site import Site

NONE: Final = "none"
"""The answer that omits a restriction."""


@option("--account ID", "AWS account ID (12 digits).")
@option(
    "--partition", "AWS partition of the account.", type=click.Choice(PARTITIONS), default="aws"
)
@option("--user NAME", f"Name of the IAM user.  [default: {room.DEFAULT_USER}]")
@option("--role NAME", "Name of an IAM role to use instead of a user.")
@option("--policy NAME", "Name of the IAM policy.", default=room.DEFAULT_POLICY)
@repeatable("--allow-region REGION", "Region where workers may run.", name="regions")
@option("--guard-tag KEY=VALUE", "Guard tag that marks the workers.")
@repeatable(
    "--instance-type PATTERN",
    "Instance type that workers may have, such as m5zn.*.",
    name="instance_types",
)
@repeatable("--image-owner ID", "Account whose images workers may use.", name="image_owners")
@repeatable("--image REGION=AMI", "Image that workers may use in a region.", name="images")
@repeatable(
    "--application-tag KEY=VALUE",
    "Tag that CML Cloud Manager sets on the instances it launches.",
    name="application_tags",
)
@option(
    "--detailed-monitoring",
    "Grant ec2:MonitorInstances: CML Cloud Manager turns on one-minute metrics with it.",
)
@option(
    "--manager CREDENTIAL",
    "Credential of the manager: profile:NAME, env:PATH or none.  [default for a user: env:.env]",
)
@option(
    "--administrator CREDENTIAL",
    "Credential of the administrator: profile:NAME, env:PATH or none.  [default: none]",
)
@option("--force", "Overwrite an existing file.")
@shared_options("site", "dry_run")
def init(force: bool, **given: Any) -> None:
    r"""Write a site file; on a terminal, ask for the values that the options do not give.

    A restriction that you leave out has no effect. The site file also names the credential that
    later commands use: the key that `bootstrap apply` writes to `.env`, unless --manager names
    another.

    Examples:
      cml-iam init --account 111122223333 --allow-region us-east-1 \
          --guard-tag ManagedBy=lablet-cloud-manager --instance-type m5zn.metal
    """
    from cml_iam.restrict import launch_note

    path = site_path()
    if path.exists() and not force:
        raise RefusedError(f"`{path}` already exists", remedy="use --force to overwrite it")
    values = given | {
        "guard_tag": _tag(given["guard_tag"]),
        "images": _images(given["images"]),
        "application_tags": _tags(given["application_tags"]),
    }
    if sys.stdin.isatty() and values["account"] is None:
        values = _ask_all(values)
    if values["account"] is None:
        raise InputError("no account", remedy="add --account 111122223333")
    text = room.site_text(**_with_credentials(values))
    site = _check(text)
    if settings().dry_run:
        click.echo(text, nl=False)
        return
    path.write_text(text, "utf-8")
    _show_doubts(site)
    say(f"{OK} wrote {path}")
    if text := launch_note(site):
        note(f"{INFO} {text}")
        complain_remedies([site.launch_warning.remedy if site.launch_warning else None])
    if site.user:
        note("a role needs no access key: cml-iam init --role NAME (docs/keyless.md)")
    note("next: cml-iam policy render, cml-iam policy verify, cml-iam bootstrap plan")


def _show_doubts(site: Site) -> None:
    for doubt in site.doubts:
        note(f"{WARN} {doubt._replace(place=None)}")


def _with_credentials(values: dict[str, Any]) -> dict[str, Any]:
    """Add the credentials to *values*: by default a user's key is where apply puts it."""
    manager = values["manager"] or (NONE if values["role"] else "env:.env")
    named = {"manager": manager, "administrator": values["administrator"] or NONE}
    return values | {role: None if text == NONE else text for role, text in named.items()}


@dataclass(frozen=True, slots=True)
class _Question:
    """A question for the value *name*; *read* parses the answer."""

    name: str
    text: str
    default: str
    read: Callable[[str], Any]


_KEYLESS: Final = (
    "A role needs no access key: it gets credentials from an instance profile, EKS Pod Identity, "
    "IRSA, OIDC or IAM Roles Anywhere (docs/keyless.md). Use a user with a key "
    "only where none of these is available."
)


def _ask_all(values: dict[str, Any]) -> dict[str, Any]:
    """Ask for every value that is still empty; each answer is checked immediately."""
    click.echo(
        f"Press Enter to accept the answer in brackets; `{NONE}` omits a restriction.", err=True
    )
    click.echo(fitted(_KEYLESS, sys.stderr), err=True)
    values = _ask(values, _Question("account", "AWS account id", _own_account(), str))
    for question in _QUESTIONS:
        if not values[question.name]:
            values = _ask(values, question)
    return values


def _ask(values: dict[str, Any], question: _Question) -> dict[str, Any]:
    while True:
        shown = f" [{question.default}]" if question.default else ""
        answer: str = click.prompt(
            fitted(f"{question.text}{shown}:", sys.stderr),
            default=question.default or None,
            show_default=False,
            prompt_suffix=" ",
            err=True,
        )
        if answer.strip() == NONE and question.name != "account":
            return values
        try:
            candidate = values | {question.name: question.read(answer.strip())}
            site = _check(room.site_text(**_with_credentials(candidate)))
        except InputError as error:
            click.echo(fitted(f"error: {error.message}", sys.stderr), err=True)
        else:
            if question.name == "regions":
                _show_doubts(site)
            return candidate


def _own_account() -> str:
    """Return the account of the available credentials, or "" if AWS does not answer."""
    from cml_iam.aws import connect

    try:
        return connect(attempts=1, connect_timeout=1, read_timeout=2).identity().account
    except CmlIamError:
        return ""


def _words(answer: str) -> tuple[str, ...]:
    return tuple(answer.replace(",", " ").split())


def _tag(text: str | None) -> Tag | None:
    return Tag(*pairs([text])[0]) if text else None


def _tags(texts: Iterable[str]) -> dict[str, str]:
    return dict(pairs(text.strip() for text in texts if text.strip()))


def _yes(answer: str) -> bool:
    if answer.lower() not in ("yes", "y", "no", "n"):
        raise InputError(f"not yes or no: `{answer}`")
    return answer.lower().startswith("y")


def _images(texts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    images: dict[str, tuple[str, ...]] = {}
    for region, image in pairs(texts, "an image of a region", "REGION=AMI"):
        images[region] = (*images.get(region, ()), image)
    return images


_QUESTIONS: Final = (
    _Question("role", "IAM role for the manager, which needs no access key", NONE, str),
    _Question("regions", "Regions", "us-east-1", _words),
    _Question("guard_tag", "Tag that marks a worker", str(DEFAULT_TAG), _tag),
    _Question(
        "application_tags",
        "Tags that CML Cloud Manager sets at launch (its `default_tags`)",
        str(DEFAULT_TAG),
        lambda text: _tags(text.split(",")),
    ),
    _Question("instance_types", "Instance types", "m5zn.metal", _words),
    _Question("image_owners", "Accounts that own the images, or amazon", NONE, _words),
    _Question("images", "Images, as REGION=AMI", NONE, lambda text: _images(_words(text))),
    _Question(
        "detailed_monitoring",
        "Let CML Cloud Manager turn on one-minute metrics (ec2:MonitorInstances)",
        "yes",
        _yes,
    ),
    _Question("administrator", "Your own credential, such as profile:admin", NONE, str),
)


def _check(text: str) -> Site:
    """Raise for a site file that could not be read back: the answers are wrong, not the file."""
    try:
        return room.parse_site(text)
    except SiteError as error:
        message = "; ".join(problem.message for problem in error.problems)
        raise InputError(message) from None
