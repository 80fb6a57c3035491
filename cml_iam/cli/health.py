"""`cml-iam health`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import click

from cml_iam.cli._exit import Exit, exit_code, judged
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    WARN,
    answer,
    complain_remedies,
    note,
    print_table,
    progress,
    say,
)
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.cli.worker_scene import scene
from cml_iam.errors import Problem
from cml_iam.workers import (
    Check,
    Health,
    Verdict,
    fleet_lines,
    launch_to_try,
    try_permissions,
)

_MARK = {Verdict.ALLOWED: OK, Verdict.REFUSED: BAD, Verdict.UNCHECKED: UNKNOWN}


@click.command()
@click.option(
    "--connection-only", is_flag=True, help="Check only the connection, not the permissions."
)
@shared_options("site", "output")
@aws_options
def health(connection_only: bool) -> None:
    """Check that the manager can reach EC2, and which of its permissions it has.

    Tries every permission in every region of the site, or in --region, without changing anything:
    EC2 calls use DryRun, CloudWatch is asked for one data point. Exits with 3 when a permission is
    denied, with 4 or 5 when EC2 does not answer, and with 8 when a permission could not be checked,
    for example before the first worker exists.

    \b
    Examples:
      cml-iam health
      cml-iam health --connection-only -o json
    """  # noqa: D301 - click reads the backspace as "do not fill"
    here = scene()
    where = (here.home,) if connection_only else here.regions
    with progress(f"asking EC2 in {', '.join(where)}"):
        found = try_permissions(
            here.manager,
            where,
            lambda region: launch_to_try(here.manager, here.site, region),
            permissions=not connection_only,
            grants=here.grants,
        )
    warning = here.site.launch_warning if here.site and not connection_only else None
    told = as_json(found) | {"warning": warning and warning.message}
    answer(told, lambda: print_health(found, warning), _code(found))


def print_health(found: Sequence[Health], warning: Problem | None = None) -> None:
    """Print the log lines in the documented form, then each permission and *warning*."""
    for level, line in fleet_lines(found):
        say(f"{logging.getLevelName(level)}  {line}")
    checks = [(each, check) for each in found if each.connected for check in each.checks]
    several = len(found) > 1
    if checks:
        print_table(
            [*(["region"] if several else []), "permission", "verdict", "how it is known"],
            [
                [
                    *([health.region] if several else []),
                    check.action,
                    f"{_MARK[check.verdict]} {check.verdict}",
                    check.detail,
                ]
                for health, check in checks
            ],
        )
    if warning:
        note(f"{WARN} {warning.message}")
    remedies = [each.failure.remedy for each in found if each.failure]
    remedies.append(warning.remedy if warning else None)
    complain_remedies([*remedies, *(check.remedy for _, check in checks)])


def _code(found: Sequence[Health]) -> Exit:
    failures = [each.failure for each in found if each.failure]
    refused = any(each.having(Verdict.REFUSED) for each in found if each.connected)
    if failures and not refused:
        return exit_code(failures[0])
    unchecked = any(each.having(Verdict.UNCHECKED) for each in found)
    return judged(findings=refused, unchecked=unchecked)


def as_json(found: Sequence[Health]) -> dict[str, Any]:
    """Return *found* as JSON values; *failure* is that of the first region with one."""
    failure = next((each.failure for each in found if each.failure), None)
    return {
        "ok": all(each.ok for each in found),
        "connected": all(each.connected for each in found),
        "region": found[0].region,
        "checked": [each.region for each in found],
        "regions": list(found[0].regions),
        "log": [f"{logging.getLevelName(level)}  {line}" for level, line in fleet_lines(found)],
        "failure": failure and failure.as_json(),
        "permissions": [
            {"region": each.region, **_check_json(check)} for each in found for check in each.checks
        ],
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "action": check.action,
        "verdict": check.verdict,
        "detail": check.detail,
        "remedy": check.remedy,
    }
