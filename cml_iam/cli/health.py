"""`cml-iam health` and `doctor`: whether the manager can work, and what prevents it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.check.answer import Diagnosis, State
from cml_iam.check.checks import DOCTOR, ask, check_named
from cml_iam.cli._delivery import own_store
from cml_iam.cli._exit import Exit, exit_code, judged
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    WARN,
    answer,
    complain_remedies,
    heading,
    note,
    print_table,
    progress,
    say,
)
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.cli._site import connect_beside
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.errors import Problem
from cml_iam.report import plural
from cml_iam.workers import Health, Verdict, health_json, health_lines, launch_to_try

if TYPE_CHECKING:
    from cml_iam.check.doctor import Scene as Machine

_VERDICT_MARK = {Verdict.ALLOWED: OK, Verdict.REFUSED: BAD, Verdict.UNCHECKED: UNKNOWN}


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

    Examples:
      cml-iam health
      cml-iam health --connection-only -o json
    """
    here = scene()
    check = check_named("connection" if connection_only else "permissions")
    where = (here.home,) if connection_only else here.regions
    with progress(f"asking EC2 in {', '.join(where)}"):
        found = ask(check, _machine(here, explains=False)).details
    # Under a launch that could not be tried for want of a credential, advice on its tags is noise.
    tried = any(each.connected for each in found) and not connection_only
    warning = here.site.launch_warning if here.site and tried else None
    told = health_json(found) | {
        "warning": warning and warning.message,
        "remedy": warning and warning.remedy,
    }
    answer(told, lambda: print_health(found, warning), health_code(found))


def print_health(found: Sequence[Health], warning: Problem | None = None) -> None:
    """Print the log lines in the documented form, then each permission and *warning*.

    The fix of a failure or of *warning* is below it.
    """
    for level, line in health_lines(*found):
        say(f"{logging.getLevelName(level)}  {line}")
    complain_remedies(each.failure.remedy for each in found if each.failure)
    checks = [(each, check) for each in found if each.connected for check in each.checks]
    several = len(found) > 1
    if checks:
        print_table(
            [*(["region"] if several else []), "permission", "verdict", "evidence"],
            [
                [
                    *([health.region] if several else []),
                    check.action,
                    f"{_VERDICT_MARK[check.verdict]} {check.verdict}",
                    check.detail,
                ]
                for health, check in checks
            ],
        )
    if warning:
        note(f"{WARN} {warning.message}")
        complain_remedies([warning.remedy])
    complain_remedies(check.remedy for _, check in checks)


def health_code(found: Sequence[Health]) -> Exit:
    """Return the exit code: a refusal comes before an EC2 that does not answer."""
    failures = [each.failure for each in found if each.failure]
    refused = any(each.having(Verdict.REFUSED) for each in found if each.connected)
    if failures and not refused:
        return exit_code(failures[0])
    unchecked = any(each.having(Verdict.UNCHECKED) for each in found)
    return judged(findings=refused, unchecked=unchecked)


_STATE_MARK = {State.OK: OK, State.ADVICE: WARN, State.FINDING: BAD, State.UNCHECKED: UNKNOWN}


@click.argument("areas", nargs=-1, type=click.Choice([check.id for check in DOCTOR]))
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File from which the application reads its key.  [default: the site's, else .env]",
)
@click.option(
    "--admin-profile",
    metavar="NAME",
    help="AWS profile that may read IAM, to also check the key's status and age, and the "
    "attached policies.",
)
@shared_options("site", "output")
@aws_options
def doctor(areas: tuple[str, ...], env_file: Path | None, admin_profile: str | None) -> None:
    """Diagnose why the manager cannot work, and say what to do about it.

    Checks the AREAS named, or all: the endpoint, the clock, the credential files, the credentials,
    the regions, every permission in every region (with DryRun), the metrics of every worker, and
    the age of the data. Changes nothing.

    Exits with 3 when a problem was found, and with 8 when something could not be checked.

    Examples:
      cml-iam doctor
      cml-iam doctor credentials permissions --admin-profile admin
    """
    from cml_iam.check.doctor import examine

    here = scene(examined=True)
    machine = _machine(  # names its credentials, which a spinner would overwrite
        here,
        admin=connect_beside("administrator", here.site, admin_profile),
        env_file=env_file or _own_file(),
    )
    with progress("checking the manager"):
        found = examine(machine, areas)
    answer({"state": _worst(found), "diagnoses": found}, lambda: _print(found), _doctor_code(found))


def _machine(here: Scene, **more: Any) -> Machine:
    """Return what the checks of a machine are asked of; *more* are the other fields."""
    from cml_iam.check.doctor import Scene as Machine

    chosen = settings()
    return Machine(
        aws=here.aws,
        manager=here.manager,
        regions=here.regions,
        home=here.home,
        site=here.site,
        now=lambda: datetime.now(UTC),
        profile=chosen.profile,
        endpoint_url=chosen.endpoint_url,
        probe=lambda region: launch_to_try(here.manager, here.site, region),
        **more,
    )


def _own_file() -> Path:
    kind, _, name = own_store().partition(":")
    return Path(name if kind == "env" else ".env")


def _print(found: Sequence[Diagnosis]) -> None:
    """Print the results by area, each remedy once, below the first problem that it fixes."""
    area, fixed = None, set[str]()
    for diagnosis in found:
        if diagnosis.area != area:
            area = diagnosis.area
            heading(area)
        mark = _STATE_MARK[diagnosis.state]
        say(f"  {mark} {diagnosis.state}: {diagnosis.subject}: {diagnosis.said}")
        if diagnosis.remedy and diagnosis.state is not State.OK and diagnosis.remedy not in fixed:
            fixed.add(diagnosis.remedy)
            say(f"    fix: {diagnosis.remedy}")
    counts = {state: sum(diagnosis.state is state for diagnosis in found) for state in State}
    parts = [
        plural(count, state) if state is State.FINDING else f"{count} {state}"
        for state, count in counts.items()
        if count
    ]
    note(f"  {', '.join(parts)}")


def _worst(found: Sequence[Diagnosis]) -> State:
    ranked = (State.FINDING, State.UNCHECKED, State.ADVICE)
    return next((state for state in ranked if any(one.state is state for one in found)), State.OK)


def _doctor_code(found: Sequence[Diagnosis]) -> Exit:
    states = {diagnosis.state for diagnosis in found}
    return judged(findings=State.FINDING in states, unchecked=State.UNCHECKED in states)
