"""`cml-iam worker idle`."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._output import (
    INFO,
    OK,
    UNKNOWN,
    WARN,
    answer,
    complain_remedies,
    early,
    note,
    progress,
    say,
    say_lines,
)
from cml_iam.cli._settings import aws_options, length, settings, shared_options
from cml_iam.cli.worker_act import change, confirm, failures, outcome_json, outcome_line
from cml_iam.cli.worker_scene import Scene, complete_worker, explain, scene
from cml_iam.cli.worker_show import wanted_workers
from cml_iam.cli.worker_wait import cml_access, cml_options
from cml_iam.clock import short_span
from cml_iam.report import plural
from cml_iam.secret import Secret
from cml_iam.site import IDLE_RULES, Fleet, Idle
from cml_iam.workers import (
    Activity,
    CmlLogin,
    Judged,
    Outcome,
    Use,
    Worker,
    check_rules,
    cml_activity,
    find_idle,
    stop_change,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_USER, _PASSWORD = "CML_IAM_CML_USER", "CML_IAM_CML_PASSWORD"
_MARK = {Use.IDLE: WARN, Use.BUSY: OK, Use.UNKNOWN: UNKNOWN, Use.HELD: INFO}


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@click.option(
    "--window",
    type=length,
    metavar="TIME",
    help="Time to look back, such as 2h or 1d.  [default: the site's, else 2h]",
)
@click.option(
    "--cpu",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Maximum CPU of an idle worker in any period.  [default: the site's, else 5]",
)
@click.option(
    "--network",
    type=click.FloatRange(0),
    metavar="KIB",
    help="Maximum network traffic of an idle worker in any period, in plus out, in KiB/s.  "
    "[default: the site's, else 20]",
)
@click.option(
    "--cml-nodes",
    type=click.IntRange(0),
    metavar="N",
    help="Maximum number of running CML lab nodes on an idle worker.  [default: the "
    "site's, else 0]",
)
@click.option(
    "--without",
    "left_out",
    type=click.Choice(list(IDLE_RULES)),
    multiple=True,
    help="Skip this rule. Without cml, a worker with quiet labs counts as idle. Repeatable.",
)
@click.option("--stop", is_flag=True, help="Stop the idle workers, after confirmation.")
@cml_options
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
def idle(
    workers: tuple[str, ...],
    window: timedelta | None,
    cpu: float | None,
    network: float | None,
    cml_nodes: int | None,
    left_out: tuple[str, ...],
    stop: bool,
) -> None:
    """Find running workers that are not in use, among all or WORKERS (IDs or names, * and ?).

    A worker is idle if it is idle by every rule over the whole window: CPU, network, and running
    nodes in CML's labs. It is busy if it is busy by any rule, and unknown if a rule lacks data. The
    command never stops unknown workers, workers with the hold tag, Spot instances, or members of an
    Auto Scaling group. It connects to CML with the user and password in CML_IAM_CML_USER and
    CML_IAM_CML_PASSWORD.

    Exits with 8 when a rule could not be checked, except for workers younger than the window.

    Examples:
      cml-iam worker idle
      cml-iam worker idle --window 4h --cpu 10 --stop
    """
    ask_cml = _ask_cml()
    here = scene(changes=stop)
    given = {"window": window, "cpu_percent": cpu, "network_kib": network, "cml_nodes": cml_nodes}
    rules = _rules(here, given, left_out)
    check_rules(rules)
    found = here.find_managed(workers, unmanaged=False) if workers else wanted_workers(here, ())
    judged = _judge(here, found, rules, ask_cml)
    outcomes = _stop(here, judged) if stop else ()
    dry, stopped = settings().dry_run, {outcome.worker.id: outcome for outcome in outcomes}

    def show() -> None:
        _print(judged, rules)
        say_lines(outcome_line(outcome, "stop", dry=dry) for outcome in outcomes)

    answer(
        [
            {
                **each.as_json(),
                "stopped": outcome_json(stopped[each.worker.id], None, dry=dry)
                if each.worker.id in stopped
                else None,
            }
            for each in judged
        ],
        show,
        failures(outcomes) or _judged_code(judged),
    )


def hold_tag(here: Scene) -> str:
    """Return the tag that keeps a worker from being stopped: the site's, or the default."""
    return here.site.fleet.hold_tag if here.site else Fleet().hold_tag


def _rules(here: Scene, given: dict[str, Any], left_out: Sequence[str]) -> Idle:
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen |= {IDLE_RULES[rule]: None for rule in left_out}
    idle = here.site.idle if here.site else Idle()
    return idle._replace(**chosen)


def _judge(
    here: Scene, workers: Sequence[Worker], rules: Idle, ask_cml: Callable[[Worker], Activity]
) -> tuple[Judged, ...]:
    asking = "CloudWatch and CML" if rules.cml_nodes is not None else "CloudWatch"
    with progress(f"asking {asking} about {plural(len(workers), 'worker')}"):
        return find_idle(
            here.manager,
            workers,
            rules,
            hold_tag(here),
            ask_cml=ask_cml,
            now=datetime.now(UTC),
            metric_data=here.metric_data,
        )


def _ask_cml() -> Callable[[Worker], Activity]:
    access = cml_access()
    user, password = os.environ.get(_USER), os.environ.get(_PASSWORD)
    if not user or not password:
        missing = Activity(
            unknown="CML was not queried: no user and password",
            remedy=f"set {_USER} and {_PASSWORD}, or skip the rule: --without cml",
        )
        return lambda _: missing
    login = CmlLogin(user, Secret(password))
    return lambda worker: cml_activity(worker, access, login)


def _stop(here: Scene, judged: Sequence[Judged]) -> tuple[Outcome, ...]:
    unused = [each.worker for each in judged if each.use is Use.IDLE]
    if not unused:
        note(f"{INFO} no worker is idle: nothing to stop")
        return ()
    if not settings().yes:
        early(note, *(line for each in judged if each.use is Use.IDLE for line in _lines(each)))
    confirm(here, unused, "stop")
    outcomes = change(here, unused, stop_change, "stop")
    explain(here, outcomes)
    return outcomes


def _print(judged: Sequence[Judged], rules: Idle) -> None:
    if not judged:
        note(f"{INFO} no worker is running")
        return
    for each in judged:
        say_lines(_lines(each))
    counts = {use: sum(each.use is use for each in judged) for use in Use}
    say(", ".join(f"{count} {use}" for use, count in counts.items() if count))
    note(f"  over the last {short_span(rules.window)}; --stop stops the idle ones")
    unknown = [each for each in judged if each.use is Use.UNKNOWN]
    complain_remedies(item.remedy for each in unknown for item in each.evidence)


def _lines(judged: Judged) -> list[str]:
    worker = judged.worker
    about = f"{worker.instance_type}, {worker.region}"
    lines = [f"{_MARK[judged.use]} {judged.use}: {worker.label}, {about}"]
    if judged.hold:
        lines.append(f"    held: {judged.hold}")
    return lines + [
        f"    {evidence.rule}: {evidence.use}: {evidence.words}" for evidence in judged.evidence
    ]


def _judged_code(judged: Sequence[Judged]) -> Exit:
    unknown = [each for each in judged if each.use is Use.UNKNOWN]
    young = [each for each in unknown if any(item.rule == "uptime" for item in each.evidence)]
    return Exit.OK if len(unknown) == len(young) else Exit.UNCHECKED
