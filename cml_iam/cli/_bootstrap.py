"""The common part of the bootstrap commands: the options on what to create, and the plan."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam import provision, render
from cml_iam.cli._exit import Exit
from cml_iam.cli._options import (
    Heading,
    aws_options,
    option,
    options,
    pairs,
    repeatable,
    settings,
    shared_options,
)
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    agreed,
    answer,
    complain,
    note,
)
from cml_iam.cli._site import connect_as, document_option, load_site, refuse_trust
from cml_iam.cli.key_deliver import Where, delivery_of, file_options, to_option
from cml_iam.errors import InputError
from cml_iam.site import TRUSTS

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.site import Site

_SITES_OWN = "site"
"""The value of `--boundary` without an ARN: the site's own boundary."""

_trail_option = functools.partial(option, heading=Heading.TRAIL)
watch_options = options(
    _trail_option("--timezone ZONE", "Time zone of --hours.", default="UTC"),
    _trail_option(
        "--hours HOURS",
        "Working hours: terminating an instance outside them raises an alarm.",
        default="mon-fri 07:00-18:00",
    ),
    _trail_option("--alert-email ADDRESS", "Send the alarms to ADDRESS."),
)
policy_option = document_option(
    "Policy to attach: base (no restrictions) or hardened (the site's restrictions)."
)
key_options = options(file_options, to_option, option("--no-key", "Leave out the access keys."))
principal_options = options(
    option("--path PATH", "IAM path of the user or role.  [default: the site's]"),
    option(
        "--boundary [ARN]",
        "Include the permissions boundary ARN; without ARN, the site's own.",
        is_flag=False,
        flag_value=_SITES_OWN,
    ),
    option("--guard", "Include the site's guardrail, a Deny policy."),
    option(
        "--trust",
        "Service or identity that may assume the role.",
        type=click.Choice(TRUSTS),
        default="ec2",
    ),
    repeatable(
        "--only",
        "Include only this part, for an administrator with limited permissions.",
        type=click.Choice(["principal", "boundary", "guard", "audit"]),
    ),
    repeatable(
        "--with",
        "Also include this part: audit is a CloudTrail trail and its alarms.",
        name="extras",
        type=click.Choice(["audit"]),
    ),
    watch_options,
    repeatable("--tag KEY=VALUE", "Include this tag.", name="tags"),
)
common_options = options(aws_options, shared_options("site", "output"))
wanted_options = options(policy_option, key_options, principal_options, common_options)
"""Every option that selects what bootstrap creates, and the common AWS options."""

acting_options = options(aws_options, shared_options("site", "output", "yes", "dry_run"))
shared_policy_option = option(
    "--change-shared", "Allow changes to a policy that other principals also have."
)


def site_and_documents(wanted: Mapping[str, Any]) -> tuple[Site, tuple[str, ...]]:
    """Return the site, and its policy in as many parts as it takes."""
    site = load_site()
    return site, tuple(part.text for part in render.render_parts(site, wanted["document"]))


def where_of(wanted: Mapping[str, Any]) -> Where:
    return Where(
        None if wanted["env_file"] is None else Path(wanted["env_file"]),
        wanted["allow_tracked"],
        tuple(wanted["to"]),
    )


def wishes_of(site: Site, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options *wanted* as arguments of `plan_bootstrap`, without the delivery."""
    boundary = wanted["boundary"]
    own = boundary == _SITES_OWN
    if boundary and not own and not boundary.startswith("arn:"):
        raise InputError(f"not the ARN of a policy: `{boundary}`")
    refuse_trust(site, wanted["trust"])
    pieces = pieces_of(guard=wanted["guard"], boundary=own) | set(wanted["extras"])
    pieces = set(wanted["only"]) or pieces
    return {
        "path": wanted["path"],
        "boundary": site.boundary_arn if own else boundary,
        "tags": dict(pairs(wanted["tags"])),
        "trust": wanted["trust"],
        "pieces": frozenset(pieces),
        "watch": watch_of(wanted) if "audit" in pieces else None,
    }


def pieces_of(*, guard: bool, boundary: bool) -> set[provision.Piece]:
    pieces: dict[provision.Piece, bool] = {"principal": True, "guard": guard, "boundary": boundary}
    return {piece for piece, included in pieces.items() if included}


def watch_of(wanted: Mapping[str, Any]) -> provision.Watch:
    """Return the alarm settings of the options *wanted*."""
    hours = provision.parse_hours(wanted["hours"], wanted["timezone"])
    email = wanted["alert_email"]
    if email is not None and re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise InputError(f"not an e-mail address: `{email}`", remedy="write NAME@DOMAIN")
    return provision.Watch(datetime.now(UTC).year, hours, email)


def planned(wanted: Mapping[str, Any]) -> tuple[Aws, provision.Plan]:
    """Return the connection, and the plan for the options *wanted*."""
    site, documents = site_and_documents(wanted)
    wishes, has_key = wishes_of(site, wanted), site.user is not None and not wanted["no_key"]
    if has_key:
        where_of(wanted).check()
    aws = connect_as("administrator", site)
    delivery = delivery_of(site, where_of(wanted).open(aws)) if has_key else None
    shared = bool(wanted.get("change_shared"))
    plan = provision.plan_bootstrap(
        aws, site, documents, delivery=delivery, change_shared=shared, **wishes
    )
    return aws, provision.foresee(aws, plan)


def carry_out(
    aws: Aws, plan: provision.Plan, agree: Callable[[Aws, str], bool] = agreed
) -> provision.Applied | None:
    """Show *plan*, ask, and apply it; return None if nothing was done. Prints the result.

    For a dry run, the plan is the result; as for `bootstrap plan`, pending changes exit with 6.
    """
    if settings().dry_run:
        code = Exit.CHANGES if plan.changes else Exit.OK
        answer(provision.plan_data(plan), provision.plan_lines(plan), code)
        return None
    if not settings().quiet:
        for line in provision.plan_lines(plan, refusals=False):
            complain(line)
    plan.check()
    if plan.changes and not agree(aws, "apply?"):
        click.get_current_context().exit(Exit.CHANGES)
    done = provision.apply_plan(
        aws, plan, report=lambda step: note(f"{INFO} {step.resource}: {step.name}")
    )
    result = done.as_json() | {"store": plan.key.store if plan.key else None}
    count = len(plan.changes)
    answer(result, [f"{OK} {plan.principal}: {count} done" if count else f"{OK} nothing to do"])
    if "audit" in plan.desired.pieces and plan.desired.task == "bootstrap":
        _check_trail(aws, plan.desired.site)
    return done


def _check_trail(aws: Aws, site: Site) -> None:
    """Check that the trail really logs; exit with 3 if it does not."""
    from cml_iam.check.bootstrap import trail_problems

    problems = trail_problems(aws, site)
    for text in problems:
        note(f"{BAD} {text}")
    if problems:
        click.get_current_context().exit(Exit.FINDINGS)
    note(f"{OK} the trail {site.audit.trail} is logging")
