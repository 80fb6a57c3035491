"""`cml-iam health`."""

from __future__ import annotations

import logging
from typing import Any

import click

from cml_iam.cli._exit import Exit, exit_code
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    note,
    print_json,
    print_table,
    progress,
    wants_json,
)
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_create import first_type, only_group, only_subnet
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.workers import PROBE, Check, Disk, Health, Launch, Verdict, health_lines

_MARK = {Verdict.ALLOWED: OK, Verdict.REFUSED: BAD, Verdict.UNCHECKED: UNKNOWN}


@click.command()
@click.option("--connection-only", is_flag=True, help="Ask for the regions, and try no permission.")
@shared_options("site", "output", "color", "quiet")
@aws_options
@click.pass_context
def health(context: click.Context, connection_only: bool) -> None:
    """Say whether the manager can reach EC2, and which of its permissions it has.

    Nothing is changed: EC2 is asked with DryRun, CloudWatch for one point. Exits with 3 when a
    permission is refused, with 4 or 5 when EC2 does not answer, and with 8 when a permission could
    not be checked, as before the first worker exists.
    """
    here = scene()
    with progress(f"asking EC2 in {here.home}"):
        found = here.manager.health(
            region=here.home, probe=probe_of(here), permissions=not connection_only
        )
    if wants_json():
        print_json(as_json(found))
    else:
        print_health(found)
    context.exit(_code(found))


def probe_of(here: Scene) -> Launch | None:
    """Return the launch the site's defaults make, to be tried; it may leave values open."""
    site = here.site
    if site is None:
        return None
    return Launch(
        PROBE,
        next(iter(site.restrict.images.get(here.home, ())), ""),
        first_type(site) or "",
        subnet_id=only_subnet(site),
        security_group_ids=only_group(site),
        disk=Disk() if site.restrict.encrypted_volumes else None,
    )


def print_health(found: Health) -> None:
    """Print the lines of the log as the documentation shows them, then each permission."""
    for level, line in health_lines(found):
        click.echo(f"{logging.getLevelName(level)}  {line}")
    if found.failure:
        if found.failure.remedy:
            note(f"  fix: {found.failure.remedy}")
        return
    print_table(
        ["permission", "verdict", "how it is known"],
        [
            [each.action, f"{_MARK[each.verdict]} {each.verdict}", each.detail]
            for each in found.checks
        ],
    )
    for remedy in dict.fromkeys(each.remedy for each in found.checks if each.remedy):
        note(f"  fix: {remedy}")


def _code(found: Health) -> Exit:
    if found.failure:
        return exit_code(found.failure)
    if found.having(Verdict.REFUSED):
        return Exit.FINDINGS
    return Exit.UNCHECKED if found.having(Verdict.UNCHECKED) else Exit.OK


def as_json(found: Health) -> dict[str, Any]:
    """Return *found* for a program."""
    return {
        "ok": found.ok,
        "connected": found.connected,
        "region": found.region,
        "regions": list(found.regions),
        "log": [f"{logging.getLevelName(level)}  {line}" for level, line in health_lines(found)],
        "failure": found.failure
        and {
            "kind": type(found.failure).__name__,
            "code": found.failure.code,
            "message": found.failure.message,
            "remedy": found.failure.remedy,
        },
        "permissions": [_check_json(each) for each in found.checks],
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "action": check.action,
        "verdict": check.verdict,
        "detail": check.detail,
        "remedy": check.remedy,
    }
