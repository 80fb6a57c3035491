"""`cml-iam health`, `doctor` and `serve`: whether the manager can work, and what prevents it."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam import workers
from cml_iam.check.answer import Diagnosis, State
from cml_iam.check.checks import DOCTOR, ask, check_named
from cml_iam.cli._exit import Exit, end_on_signal, exit_code, judged
from cml_iam.cli._options import (
    FILE,
    aws_options,
    on_command_line,
    option,
    settings,
    shared_options,
)
from cml_iam.cli._output import (
    BAD,
    OK,
    UNKNOWN,
    WARN,
    answer,
    complain_remedies,
    heading,
    note,
    progress,
    say,
)
from cml_iam.cli._site import (
    connect_as,
    connect_beside,
    own_store,
    refuse_account_of_others,
    site_path,
)
from cml_iam.cli._table import print_table
from cml_iam.cli.worker_act import cml_options
from cml_iam.cli.worker_scene import Scene, scene
from cml_iam.errors import AwsError, InputError, Problem
from cml_iam.report import plural

if TYPE_CHECKING:
    from cml_iam.check.doctor import Scene as Machine
    from cml_iam.workers import CmlAccess, Health, Monitor

_VERDICT_MARK = {"allowed": OK, "refused": BAD, "could not check": UNKNOWN}


@option("--connection-only", "Check only the connection, not the permissions.")
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
        healths = ask(check, _machine(here, explains=False)).details
    # If no credential could try the launch, advice on its tags would only distract.
    tried = any(region.connected for region in healths) and not connection_only
    warning = here.site.launch_warning if here.site and tried else None
    result = workers.health_json(healths) | {
        "warning": warning and warning.message,
        "remedy": warning and warning.remedy,
    }
    answer(result, lambda: _print_health(healths, warning), health_code(healths))


def _print_health(healths: Sequence[Health], warning: Problem | None) -> None:
    """Print the log lines in the documented form, then each permission and *warning*.

    The fix of a failure or of *warning* is below it.
    """
    for level, line in workers.health_lines(*healths):
        say(f"{logging.getLevelName(level)}  {line}")
    complain_remedies(health.failure.remedy for health in healths if health.failure)
    checks = [
        (health.region, check) for health in healths if health.connected for check in health.checks
    ]
    rows = [
        [region, check.action, f"{_VERDICT_MARK[check.verdict]} {check.verdict}", check.detail]
        for region, check in checks
    ]
    if rows:
        first = 0 if len(healths) > 1 else 1
        columns = ["region", "permission", "verdict", "evidence"]
        print_table(columns[first:], [row[first:] for row in rows])
    if warning:
        note(f"{WARN} {warning.message}")
        complain_remedies([warning.remedy])
    complain_remedies(check.remedy for _, check in checks)


def health_code(healths: Sequence[Health]) -> Exit:
    """Return the exit code: a refusal comes before an EC2 that does not answer."""
    failures = [health.failure for health in healths if health.failure]
    refused = any(health.having(workers.Verdict.REFUSED) for health in healths if health.connected)
    if failures and not refused:
        return exit_code(failures[0])
    unchecked = any(health.having(workers.Verdict.UNCHECKED) for health in healths)
    return judged(findings=refused, unchecked=unchecked)


_STATE_MARK = {State.OK: OK, State.ADVICE: WARN, State.FINDING: BAD, State.UNCHECKED: UNKNOWN}


@click.argument("areas", nargs=-1, type=click.Choice([check.id for check in DOCTOR]))
@option(
    "--env-file",
    "File from which the application reads its key.  [default: the site's, else .env]",
    type=FILE,
)
@option(
    "--admin-profile NAME",
    "AWS profile that may read IAM, to also check the key's status and age, and the "
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
    kind, _, name = own_store().partition(":")
    # Not below `progress`: this prints which credentials it uses, which a spinner would overwrite.
    machine = _machine(
        here,
        admin=connect_beside("administrator", here.site, admin_profile),
        env_file=env_file or Path(name if kind == "env" else ".env"),
    )
    with progress("checking the manager"):
        diagnoses = examine(machine, areas)
    states = {diagnosis.state for diagnosis in diagnoses}
    ranked = (State.FINDING, State.UNCHECKED, State.ADVICE)
    worst = next((state for state in ranked if state in states), State.OK)
    code = judged(findings=State.FINDING in states, unchecked=State.UNCHECKED in states)
    answer({"state": worst, "diagnoses": diagnoses}, lambda: _print_diagnoses(diagnoses), code)


def _machine(here: Scene, **fields: Any) -> Machine:
    """Return the subject of a machine's checks; *fields* are the fields that differ by command."""
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
        probe=lambda region: workers.launch_to_try(here.manager, here.site, region),
        **fields,
    )


def _print_diagnoses(diagnoses: Sequence[Diagnosis]) -> None:
    """Print the results by area, each remedy once, below the first problem that it fixes."""
    area, fixed = None, set[str]()
    for diagnosis in diagnoses:
        if diagnosis.area != area:
            area = diagnosis.area
            heading(area)
        mark = _STATE_MARK[diagnosis.state]
        say(f"  {mark} {diagnosis.state}: {diagnosis.subject}: {diagnosis.said}")
        if diagnosis.remedy and diagnosis.state is not State.OK and diagnosis.remedy not in fixed:
            fixed.add(diagnosis.remedy)
            say(f"    fix: {diagnosis.remedy}")
    counts = {state: sum(diagnosis.state is state for diagnosis in diagnoses) for state in State}
    parts = [
        plural(count, state) if state is State.FINDING else f"{count} {state}"
        for state, count in counts.items()
        if count
    ]
    note(f"  {', '.join(parts)}")


PROBE_ATTEMPTS: Final = 2
PROBE_SECONDS: Final = 1.4
"""Timeout for connecting and for reading, in seconds. All attempts fit into the 4 s that a response
may take, so that it can give the reason for a failure.
"""


@option("--host ADDRESS", "Address to listen on.", default="127.0.0.1")
@option(
    "--port PORT",
    "Port to listen on; 0 is any free port.",
    type=click.IntRange(0, 65535),
    default=8030,
)
@option(
    "--token TEXT",
    "Token that clients must send; read from the environment, never from the command line.",
    envvar="CML_IAM_SERVE_TOKEN",
    hidden=True,
)
@option(
    "--status-only",
    "Listen on other addresses without a token; /health then shows only whether the "
    "manager is healthy.",
)
@cml_options
@shared_options("site")
@aws_options
def serve(host: str, port: int, token: str | None, status_only: bool, cml: CmlAccess) -> None:
    """Serve /health (200, or 503 with the reason), /metrics (Prometheus) and a page at /.

    Listens only on this machine. To listen on other addresses, set CML_IAM_SERVE_TOKEN: programs
    send it as `Authorization: Bearer TOKEN`, browsers ask for it as a password. Without the token,
    /health shows only healthy or not. Checks whether CML is ready on every running worker, which
    needs no CML user. Ctrl-C and SIGTERM end it with exit code 0.

    Examples:
      cml-iam serve
      cml-iam serve --host 0.0.0.0 --port 8030
    """
    if on_command_line("token"):
        raise InputError(
            "a token on the command line can be read by every process",
            remedy="set CML_IAM_SERVE_TOKEN",
        )
    from cml_iam.workers.http_service import LOOPBACK, make_server

    if host.strip("[]") not in LOOPBACK and not token and not status_only:
        raise InputError(
            f"refusing to listen on `{host}`, which others can reach, without a token",
            remedy="set CML_IAM_SERVE_TOKEN, add --status-only, or listen on 127.0.0.1",
        )
    if status_only and not token:
        token = token_urlsafe()  # a token that nobody knows
    monitor = _monitor(cml)
    # On stdout, because the log is the output of this command: `docker logs … | grep` reads it.
    logging.basicConfig(format="%(levelname)s  %(message)s", stream=sys.stdout)
    logging.getLogger("cml_iam").setLevel(logging.INFO)
    server = make_server(monitor, host, port, token)
    # In a thread: `shutdown` waits for the loop, which stands still during a signal handler.
    end_on_signal(lambda: threading.Thread(target=server.shutdown).start())
    named = f"[{host.strip('[]')}]" if ":" in host else host
    note(
        f"• http://{named}:{server.server_address[1]}/, /health and /metrics; press Ctrl-C to stop"
    )
    # The log has a first report before anyone asks for one.
    threading.Thread(target=monitor.report, daemon=True).start()
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _monitor(cml: CmlAccess) -> Monitor:
    here = scene()
    impatient = connect_as(
        "manager",
        here.site,
        region=here.home,
        read_only=True,
        announced=False,
        attempts=PROBE_ATTEMPTS,
        connect_timeout=PROBE_SECONDS,
        read_timeout=PROBE_SECONDS,
    )
    with suppress(AwsError):  # the monitor repeats the call, and reports why it fails
        refuse_account_of_others(impatient, here.site)
    return workers.Monitor(
        here.manager,
        here.regions,
        here.home,
        probe=lambda region: workers.launch_to_try(here.manager, here.site, region),
        grants=here.grants,
        prober=workers.WorkerManager(impatient, guard=here.manager.guard),
        identify=impatient.identity,
        cml=cml.ask,
        site=str(site_path()) if here.site else "",
    )
