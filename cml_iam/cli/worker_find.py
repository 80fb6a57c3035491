"""`cml-iam worker idle`, `orphans` and `adopt`: find workers not in use, and lost ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cml_iam import errors
from cml_iam import workers as room
from cml_iam.cli._exit import Exit
from cml_iam.cli._options import aws_options, length, option, repeatable, settings, shared_options
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
    say_lines,
)
from cml_iam.cli.worker_act import (
    change,
    cml_options,
    confirm,
    failures,
    outcome_json,
    outcome_line,
)
from cml_iam.cli.worker_scene import Scene, complete_worker, explain, report_failures, scene
from cml_iam.clock import short_span
from cml_iam.report import plural
from cml_iam.secret import Secret
from cml_iam.site import IDLE_RULES

if TYPE_CHECKING:
    from cml_iam.site import Idle
    from cml_iam.workers import Judged, Outcome, Worker

_USER, _PASSWORD = "CML_IAM_CML_USER", "CML_IAM_CML_PASSWORD"
_MARK = {"idle": WARN, "busy": OK, "unknown": UNKNOWN, "held": INFO}


@click.argument("workers", nargs=-1, shell_complete=complete_worker)
@option(
    "--window TIME",
    "Time to look back, such as 2h or 1d.  [default: the site's, else 2h]",
    type=length,
)
@option(
    "--cpu PERCENT",
    "Maximum CPU of an idle worker in any period.  [default: the site's, else 5]",
    name="cpu_percent",
    type=click.FloatRange(0, 100),
)
@option(
    "--network KIB",
    "Maximum network traffic of an idle worker in any period, in plus out, in KiB/s.  "
    "[default: the site's, else 20]",
    name="network_kib",
    type=click.FloatRange(0),
)
@option(
    "--cml-nodes N",
    "Maximum number of running CML lab nodes on an idle worker.  [default: the site's, else 0]",
    type=click.IntRange(0),
)
@repeatable(
    "--without",
    "Skip this rule. Without cml, a worker with quiet labs counts as idle.",
    name="left_out",
    type=click.Choice(list(IDLE_RULES)),
)
@option("--stop", "Stop the idle workers, after confirmation.")
@cml_options
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
def idle(
    workers: tuple[str, ...],
    left_out: tuple[str, ...],
    stop: bool,
    cml: room.CmlAccess,
    **limits: timedelta | float | None,
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
    from cml_iam.site import Idle

    ask_cml = _ask_cml(cml)
    here = scene(changes=stop)
    chosen: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
    chosen |= {IDLE_RULES[rule]: None for rule in left_out}
    rules = (here.site.idle if here.site else Idle())._replace(**chosen)
    room.check_rules(rules)
    candidates = here.find_managed(workers, unmanaged=False) if workers else here.living(())
    judged = _judge(here, candidates, rules, ask_cml)
    outcomes = _stop(here, judged) if stop else ()
    dry = settings().dry_run
    stopped = {outcome.worker.id: outcome_json(outcome, None, dry=dry) for outcome in outcomes}

    def show() -> None:
        _print(judged, rules)
        say_lines(outcome_line(outcome, "stop", dry=dry) for outcome in outcomes)

    results = [{**worker.as_json(), "stopped": stopped.get(worker.worker.id)} for worker in judged]
    answer(results, show, failures(outcomes) or _judged_code(judged))


def _ask_cml(access: room.CmlAccess) -> Callable[[Worker], room.Activity]:
    user, password = os.environ.get(_USER), os.environ.get(_PASSWORD)
    if not user or not password:
        missing = room.Activity(
            unknown="CML was not queried: no user and password",
            remedy=f"set {_USER} and {_PASSWORD}, or skip the rule: --without cml",
        )
        return lambda _: missing
    secret = Secret(password)
    return lambda worker: room.cml_activity(worker, access, user, secret)


def _judge(
    here: Scene,
    workers: Sequence[Worker],
    rules: Idle,
    ask_cml: Callable[[Worker], room.Activity],
) -> tuple[Judged, ...]:
    from cml_iam.site import Fleet

    asking = "CloudWatch and CML" if rules.cml_nodes is not None else "CloudWatch"
    hold_tag = here.site.fleet.hold_tag if here.site else Fleet().hold_tag
    with progress(f"asking {asking} about {plural(len(workers), 'worker')}"):
        return room.find_idle(
            here.manager,
            workers,
            rules,
            hold_tag,
            ask_cml=ask_cml,
            now=datetime.now(UTC),
            metric_data=here.metric_data,
        )


def _stop(here: Scene, judged: Sequence[Judged]) -> tuple[Outcome, ...]:
    unused = [worker for worker in judged if worker.use is room.Use.IDLE]
    if not unused:
        note(f"{INFO} no worker is idle: nothing to stop")
        return ()
    if not settings().yes:
        early(note, *(line for worker in unused for line in _lines(worker)))
    workers = [worker.worker for worker in unused]
    confirm(here, workers, "stop")
    outcomes = change(here, workers, room.stop_change, "stop")
    explain(here, outcomes)
    return outcomes


def _print(judged: Sequence[Judged], rules: Idle) -> None:
    if not judged:
        note(f"{INFO} no worker is running")
        return
    for worker in judged:
        say_lines(_lines(worker))
    counts = {use: sum(worker.use is use for worker in judged) for use in room.Use}
    say_lines([", ".join(f"{count} {use}" for use, count in counts.items() if count)])
    note(f"  over the last {short_span(rules.window)}; --stop stops the idle ones")
    unknown = [worker for worker in judged if worker.use is room.Use.UNKNOWN]
    complain_remedies(item.remedy for worker in unknown for item in worker.evidence)


def _lines(judged: Judged) -> Iterator[str]:
    worker = judged.worker
    about = f"{worker.instance_type}, {worker.region}"
    yield f"{_MARK[judged.use]} {judged.use}: {worker.label}, {about}"
    if judged.hold:
        yield f"    held: {judged.hold}"
    for evidence in judged.evidence:
        yield f"    {evidence.rule}: {evidence.use}: {evidence.words}"


def _judged_code(judged: Sequence[Judged]) -> Exit:
    """Return 8 if a worker is unknown for another reason than its youth."""
    unknown = [worker for worker in judged if worker.use is room.Use.UNKNOWN]
    explained = all(any(item.rule == "uptime" for item in worker.evidence) for worker in unknown)
    return Exit.OK if explained else Exit.UNCHECKED


@shared_options("site", "output")
@aws_options
@click.pass_context
def orphans(context: click.Context) -> None:
    """Find instances that look like CML workers but lack the guard tag, with the reasons.

    Likely instances match by name, image or tags; possible ones only by an instance type of the
    site. The manager cannot operate them; `worker adopt` makes them workers. Exits with 3 when
    there are likely instances.

    Examples:
      cml-iam worker orphans
    """
    here = scene()
    with progress(f"asking EC2 in {', '.join(here.regions)}"):
        listing = here.listing(managed_only=False)
        lost = room.find_orphans(here.manager, listing.workers, here.site)
    answered = [region for region in here.regions if region not in listing.failures]
    likely = [orphan.worker.id for orphan in lost if orphan.likely]
    if answered:  # otherwise an empty list would be an answer
        answer(lost, _orphan_lines(lost, here))
        if lost:
            ids = " ".join(likely) or "ID"
            early(
                note,
                f"  to adopt them as workers, as an administrator: cml-iam worker adopt {ids}",
            )
        else:
            early(note, f"  looked in {', '.join(answered)}")
    context.exit(report_failures(listing) or (Exit.FINDINGS if likely else Exit.OK))


def _orphan_lines(lost: Sequence[room.Orphan], here: Scene) -> Iterator[str]:
    if not lost:
        yield f"{OK} no instance without the tag {here.manager.guard} looks like a worker"
    for orphan in lost:
        worker = orphan.worker
        mark = f"{WARN} likely" if orphan.likely else f"{INFO} possible"
        yield f"{mark}: {worker.label}, {worker.instance_type}, {worker.state}, {worker.region}"
        yield from (f"    {reason}" for reason in orphan.reasons)


@click.argument("ids", nargs=-1, required=True)
@shared_options("site", "output", "yes", "dry_run", "no_site")
@aws_options
def adopt(ids: tuple[str, ...]) -> None:
    """Add the guard tag to the instances IDS, which makes them workers.

    Needs the administrator's credential: the hardened policy deliberately denies it to the manager,
    because anyone who may set the guard tag can take over any instance. With --dry-run, EC2 only
    checks whether the call is permitted.

    Examples:
      cml-iam worker adopt i-0a1b2c3d4e5f67890 --profile admin
    """
    here = scene("administrator", changes=True)
    instances = here.find(ids)
    lost = room.check_adoption(instances, here.manager.guard)
    for worker in instances:
        if worker not in lost:
            note(f"{INFO} {worker.label} already has the guard tag")
    if not lost:
        answer([], [f"{OK} nothing to do"], Exit.OK)
    note(f"{INFO} the tag {here.manager.guard}, set by {here.aws.identity().arn}")
    confirm(here, lost, "adopt")
    outcomes = change(here, lost, partial(room.adopt_change, guard=here.manager.guard), "tag")
    for outcome in outcomes:
        if isinstance(outcome.error, errors.DeniedError):
            outcome.error.message = f"refused: {_why(here, outcome.worker)}"
            outcome.error.remedy = (
                "run it as an administrator who may use ec2:CreateTags on the instance, for "
                "example with --profile ADMIN"
            )
    dry = settings().dry_run
    answer(
        [outcome_json(outcome, None, dry=dry) for outcome in outcomes],
        [outcome_line(outcome, "adopt", dry=dry) for outcome in outcomes],
        failures(outcomes),
    )


def _why(here: Scene, worker: Worker) -> str:
    """Return who may not set the guard tag, or which statements of the site's policy prevent it."""
    from cml_iam.engine import authorization, compile_policies
    from cml_iam.render import render_parts

    site, guard = here.site, here.manager.guard
    who = here.aws.identity().arn
    if site is None or who != site.principal_arn:
        return f"`{who}` may not use ec2:CreateTags on {worker.id}"
    caller = authorization.Caller(site.principal_arn)
    instance = authorization.Instance(
        worker.id, worker.region, site.account, worker.instance_type, worker.tags, worker.zone
    )
    (request,) = authorization.use(caller, "ec2:CreateTags", instance, {guard.key: guard.value})
    parts = [part.document for part in render_parts(site)]
    decision = compile_policies(parts).decide(request)
    reasons = [
        f"statement `{reason.label}` does not allow it: {reason.reason}"
        for reason in decision.reasons
        if reason.effect == "Allow" and all(element.matched for element in reason.elements)
    ]
    return "by design: " + ("; ".join(reasons) or "no statement of the site's policy allows it")
