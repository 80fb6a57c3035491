"""`cml-iam bootstrap`: the principal, its policy and its credential."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._delivery import agreed, delivery_to, env_store, file_options
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, OK, WARN, note, print_json, print_table, say, wants_json
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.provision import Plan
    from cml_iam.site import Site


def _wanted_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is to be there."""
    for option in reversed(
        (
            click.option(
                "--policy-profile",
                type=click.Choice(["base", "hardened"]),
                default="hardened",
                show_default=True,
                help="Which policy: everything everywhere, or within the site's restrictions.",
            ),
            file_options,
            click.option("--no-key", is_flag=True, help="Leave access keys alone."),
            click.option("--path", metavar="PATH", help="IAM path of a new user or role."),
            click.option("--boundary", metavar="ARN", help="Permissions boundary to put on."),
            click.option(
                "--tag",
                "tags",
                multiple=True,
                metavar="KEY=VALUE",
                help="A tag to add; repeatable.",
            ),
            aws_options,
            shared_options("site", "output", "color", "quiet", "debug"),
        )
    ):
        command = option(command)
    return command


@click.group()
def bootstrap() -> None:
    """Create the user or role, its policy and its access key: first plan, then apply."""


@bootstrap.command()
@_wanted_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit 6 when changes are pending.")
def plan(detailed_exitcode: bool, **wanted: Any) -> None:
    """Show what apply would do; changes nothing."""
    from cml_iam.provision import plan_data, plan_lines

    _, made = _plan(**wanted)
    if wants_json():
        print_json(plan_data(made))
    else:
        for line in plan_lines(made):
            say(line)
    if detailed_exitcode and made.changes:
        click.get_current_context().exit(Exit.CHANGES)


@bootstrap.command()
@_wanted_options
@shared_options("yes", "dry_run")
def apply(**wanted: Any) -> None:
    """Do what plan shows; asks first on a terminal, needs --yes elsewhere.

    The access key goes into the file and is never printed. A second run changes nothing, and a run
    that was interrupted is finished by the next one.
    """
    from cml_iam.provision import apply_plan, plan_data, plan_lines

    aws, made = _plan(**wanted)
    for line in plan_lines(made):
        click.echo(line, err=True)
    if settings().dry_run:
        if wants_json():
            print_json(plan_data(made))
        return
    if made.changes and not agreed("apply?"):
        note(f"{WARN} nothing was changed")
        click.get_current_context().exit(Exit.CHANGES)
    done = apply_plan(aws, made, report=lambda step: note(f"{INFO} {step.resource}: {step.name}"))
    if wants_json():
        print_json(
            {
                "principal": done.principal,
                "done": [f"{step.mark} {step.resource} {step.name}" for step in done.done],
                "key_id": done.key_id,
                "store": made.key.store if made.key else None,
            }
        )
        return
    _say_done(made, done.key_id)


@bootstrap.command()
@_wanted_options
def status(**wanted: Any) -> None:
    """Show how the account differs from the site, and the user's access keys."""
    from cml_iam.provision import key_data, read_status, summary

    site, documents = _site_and_documents(wanted["policy_profile"])
    store = None if wanted["no_key"] else env_store(wanted["env_file"], wanted["allow_tracked"])
    found = read_status(settings().connect(site.home_region), site, documents, store)
    if wants_json():
        steps = [
            {"mark": step.mark, "resource": step.resource, "name": step.name}
            for step in found.plan.all_steps
        ]
        keys = [key_data(key) for key in found.keys]
        print_json(
            {
                "principal": found.plan.principal,
                "steps": steps,
                "keys": keys,
                "stored_id": found.stored_id,
                "stale": found.stale,
                "warnings": list(found.plan.warnings),
            }
        )
        return
    _say_status(found, summary(found.plan))


def _say_status(found: Any, summary: str) -> None:
    say(f"principal  {found.plan.principal}")
    say("")
    marks = {"create": f"{WARN} missing", "change": f"{WARN} differs", "keep": f"{OK} as wanted"}
    print_table(
        ("state", "resource", "name"),
        [(marks[step.mark], step.resource, step.name) for step in found.plan.all_steps],
    )
    if found.keys:
        say("")
        print_table(
            ("access key", "state", "made", "use", "stored"),
            [
                (
                    key.info.id,
                    key.info.status,
                    f"{key.info.created:%Y-%m-%d}" if key.info.created else "?",
                    str(key.use),
                    "yes" if key.stored else "no",
                )
                for key in found.keys
            ],
        )
    if found.stale:
        say(f"{WARN} the file holds `{found.stored_id}`, which is no key of this user")
    for warning in found.plan.warnings:
        say(f"{WARN} {warning}")
    say(summary)


def _say_done(made: Plan, key_id: str | None) -> None:
    if not made.changes:
        say(f"{OK} nothing to do")
    else:
        say(f"{OK} {made.principal}: {len(made.changes)} done")
    if key_id and made.key:
        say(f"{OK} access key {key_id} is in {made.key.store}")


def _plan(
    policy_profile: str,
    env_file: Path,
    no_key: bool,
    allow_tracked: bool,
    path: str | None,
    boundary: str | None,
    tags: tuple[str, ...],
) -> tuple[Any, Plan]:
    from cml_iam.provision import plan_bootstrap

    site, documents = _site_and_documents(policy_profile)
    aws = settings().connect(site.home_region)
    with_key = site.user is not None and not no_key
    made = plan_bootstrap(
        aws,
        site,
        documents,
        path=path,
        boundary=boundary,
        tags=dict(_pair(tag) for tag in tags),
        delivery=delivery_to(site, env_file, allow_tracked) if with_key else None,
    )
    return aws, made


def _site_and_documents(profile: str) -> tuple[Site, tuple[str, ...]]:
    from cml_iam.render import render_parts

    site = settings().load_site()
    parts = render_parts(site, "base" if profile == "base" else "hardened")
    return site, tuple(part.text for part in parts)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"not a tag: `{text}`", remedy="write KEY=VALUE")
    return key, value
