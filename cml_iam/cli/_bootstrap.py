"""The common part of the bootstrap commands: the options on what to create, and the plan."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._delivery import Where, delivery_of, file_options, stores_from, to_option
from cml_iam.cli._exit import Exit
from cml_iam.cli._headings import Heading, shared_option
from cml_iam.cli._output import BAD, INFO, OK, agreed, answer, complain, note, say, say_lines
from cml_iam.cli._settings import aws_options, options, pairs, settings, shared_options
from cml_iam.cli._site import connect_as, document_option, load_site
from cml_iam.errors import InputError
from cml_iam.site import TRUSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cml_iam.aws.port import Aws
    from cml_iam.provision import Applied, Piece, Plan, Watch
    from cml_iam.site import Site

SITES_OWN = "site"
"""The value of `--boundary` without an ARN: the site's own boundary."""

_WATCH_OPTIONS = (
    shared_option(
        Heading.TRAIL,
        "--timezone",
        default="UTC",
        metavar="ZONE",
        help="Time zone of --hours.  [default: UTC]",
    ),
    shared_option(
        Heading.TRAIL,
        "--hours",
        default="mon-fri 07:00-18:00",
        show_default=True,
        metavar="HOURS",
        help="Working hours: terminating an instance outside them raises an alarm.",
    ),
    shared_option(
        Heading.TRAIL, "--alert-email", metavar="ADDRESS", help="Send the alarms to ADDRESS."
    ),
)
_KEY_OPTIONS = (
    file_options,
    to_option,
    click.option("--no-key", is_flag=True, help="Leave out the access keys."),
)
_DOCUMENT_OPTION = document_option(
    "Policy to attach: base (no restrictions) or hardened (the site's restrictions)."
)
_PRINCIPAL_OPTIONS = (
    click.option(
        "--path", metavar="PATH", help="IAM path of the user or role.  [default: the site's]"
    ),
    click.option(
        "--boundary",
        metavar="[ARN]",
        is_flag=False,
        flag_value=SITES_OWN,
        help="Include the permissions boundary ARN; without ARN, the site's own.",
    ),
    click.option("--guard", is_flag=True, help="Include the site's guardrail, a Deny policy."),
    click.option(
        "--trust",
        type=click.Choice(TRUSTS),
        default="ec2",
        show_default=True,
        help="Service or identity that may assume the role.",
    ),
    click.option(
        "--only",
        type=click.Choice(["principal", "boundary", "guard", "audit"]),
        multiple=True,
        help="Include only this part, for an administrator with limited permissions. Repeatable.",
    ),
    click.option(
        "--with",
        "extras",
        type=click.Choice(["audit"]),
        multiple=True,
        help="Also include this part: audit is a CloudTrail trail and its alarms. Repeatable.",
    ),
    *_WATCH_OPTIONS,
    click.option(
        "--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Include this tag. Repeatable."
    ),
)


_COMMON_OPTIONS = (aws_options, shared_options("site", "output"))

wanted_options = options(_DOCUMENT_OPTION, *_KEY_OPTIONS, *_PRINCIPAL_OPTIONS, *_COMMON_OPTIONS)
"""Every option that selects what bootstrap creates, and the common AWS options."""

status_options = options(_DOCUMENT_OPTION, *_KEY_OPTIONS, *_COMMON_OPTIONS)
"""The options that name the policy and the stores for `bootstrap status`."""

drift_options = options(_DOCUMENT_OPTION, *_PRINCIPAL_OPTIONS, *_COMMON_OPTIONS)
"""The options that select what `bootstrap drift` compares: everything but the key."""

watch_options = options(*_WATCH_OPTIONS)
"""The options that configure the alarms."""

acting_options = options(aws_options, shared_options("site", "output", "yes", "dry_run"))
"""The options of a command that changes the account with nothing to select."""

shared_policy_option = click.option(
    "--change-shared",
    is_flag=True,
    help="Allow changes to a policy that other principals also have.",
)


def site_and_documents(document: str) -> tuple[Site, tuple[str, ...]]:
    """Return the site, and its policy *document* in as many parts as it takes."""
    from cml_iam.render import render_parts

    site = load_site()
    parts = render_parts(site, "base" if document == "base" else "hardened")
    return site, tuple(part.text for part in parts)


def wishes(site: Site, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options *wanted* as arguments of `plan_bootstrap`, without the delivery."""
    boundary = wanted["boundary"]
    if boundary not in (None, SITES_OWN) and not boundary.startswith("arn:"):
        raise InputError(f"not the ARN of a policy: `{boundary}`")
    if wanted["trust"] != "ec2" and not site.role:
        raise InputError(
            "--trust needs a role, and the site's principal is a user",
            remedy="name a `role` in the site",
        )
    return {
        "path": wanted["path"],
        "boundary": site.boundary_arn if boundary == SITES_OWN else boundary,
        "tags": dict(pairs(wanted["tags"])),
        "trust": wanted["trust"],
        "pieces": _pieces(wanted),
        "watch": watch_of(wanted) if "audit" in _pieces(wanted) else None,
    }


def where_of(wanted: Mapping[str, Any]) -> Where:
    """Return the stores of the options *wanted*."""
    return Where(_file(wanted["env_file"]), wanted["allow_tracked"], tuple(wanted["to"]))


def _file(text: Any) -> Path | None:
    return None if text is None else Path(text)


def planned(wanted: Mapping[str, Any]) -> tuple[Aws, Plan]:
    """Return the connection, and the plan for the options *wanted*."""
    from cml_iam.provision import foresee, plan_bootstrap

    site, documents = site_and_documents(wanted["document"])
    pieces, has_key = wishes(site, wanted), site.user is not None and not wanted["no_key"]
    if has_key:
        where_of(wanted).check()
    aws = connect_as("administrator", site)
    delivery = delivery_of(site, stores_from(where_of(wanted), aws)) if has_key else None
    shared = bool(wanted.get("change_shared"))
    made = plan_bootstrap(aws, site, documents, delivery=delivery, change_shared=shared, **pieces)
    return aws, foresee(aws, made)


def carry_out(aws: Aws, plan: Plan, agree: Callable[[Aws, str], bool] = agreed) -> Applied | None:
    """Show *plan*, ask, and apply it; return None if nothing was done. Prints the result.

    For a dry run, the plan is the result; as for `bootstrap plan`, pending changes exit with 6.
    """
    from cml_iam.provision import apply_plan, plan_data, plan_lines

    if settings().dry_run:
        code = Exit.CHANGES if plan.changes else Exit.OK
        answer(plan_data(plan), lambda: say_lines(plan_lines(plan)), code)
        return None
    if not settings().quiet:
        for line in plan_lines(plan, refusals=False):
            complain(line)
    plan.check()
    if plan.changes and not agree(aws, "apply?"):
        click.get_current_context().exit(Exit.CHANGES)
    done = apply_plan(aws, plan, report=lambda step: note(f"{INFO} {step.resource}: {step.name}"))
    told = done.as_json() | {"store": plan.key.store if plan.key else None}
    line = f"{OK} {plan.principal}: {len(plan.changes)} done"
    answer(told, lambda: say(line if plan.changes else f"{OK} nothing to do"))
    if "audit" in plan.desired.pieces and plan.desired.task == "bootstrap":
        _say_trail(aws, plan)
    return done


def _say_trail(aws: Aws, plan: Plan) -> None:
    """Check that the trail really logs; exit with 3 if it does not."""
    from cml_iam.check.bootstrap import trail_problems

    problems = trail_problems(aws, plan.desired.site)
    for text in problems:
        note(f"{BAD} {text}")
    if problems:
        click.get_current_context().exit(Exit.FINDINGS)
    note(f"{OK} the trail {plan.desired.site.audit.trail} is logging")


def _pieces(wanted: Mapping[str, Any]) -> frozenset[Piece]:
    if wanted["only"]:
        return frozenset(wanted["only"])
    pieces: set[Piece] = {"principal"}
    if wanted["boundary"] == SITES_OWN:
        pieces.add("boundary")
    if wanted["guard"]:
        pieces.add("guard")
    return frozenset(pieces | set(wanted["extras"]))


_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def watch_of(wanted: Mapping[str, Any]) -> Watch:
    """Return the alarm settings of the options *wanted*."""
    from datetime import UTC, datetime

    from cml_iam.provision import Watch, parse_hours

    hours = parse_hours(wanted["hours"], wanted["timezone"])
    email = wanted["alert_email"]
    if email is not None and _ADDRESS.fullmatch(email) is None:
        raise InputError(f"not an e-mail address: `{email}`", remedy="write NAME@DOMAIN")
    return Watch(datetime.now(UTC).year, hours, email)
