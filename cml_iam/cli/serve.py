"""`cml-iam serve`: health, metrics and a fleet page over HTTP."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final

import click

from cml_iam.cli._exit import end_on_signal
from cml_iam.cli._output import note
from cml_iam.cli._settings import aws_options, on_command_line, shared_options
from cml_iam.cli._site import connect_as, refuse_account_of_others, site_path
from cml_iam.cli.worker_wait import cml_access, cml_options
from cml_iam.errors import AwsError, InputError
from cml_iam.workers.http_service import LOOPBACK, make_server

if TYPE_CHECKING:
    from cml_iam.workers import Monitor

PROBE_ATTEMPTS: Final = 2
PROBE_SECONDS: Final = 1.4
"""Timeout for connecting and for reading, in seconds. All attempts fit into the 4 s that a response
may take, so that it can give the reason for a failure.
"""


@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=8030,
    show_default=True,
    help="Port to listen on; 0 is any free port.",
)
@click.option(
    "--token",
    envvar="CML_IAM_SERVE_TOKEN",
    hidden=True,
    help="Token that clients must send; read from the environment, never from the command line.",
)
@click.option(
    "--status-only",
    is_flag=True,
    help="Listen on other addresses without a token; /health then shows only whether the manager "
    "is healthy.",
)
@cml_options
@shared_options("site")
@aws_options
def serve(host: str, port: int, token: str | None, status_only: bool) -> None:
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
    if host.strip("[]") not in LOOPBACK and not token and not status_only:
        raise InputError(
            f"refusing to listen on `{host}`, which others can reach, without a token",
            remedy="set CML_IAM_SERVE_TOKEN, add --status-only, or listen on 127.0.0.1",
        )
    if status_only and not token:
        token = token_urlsafe()  # which nobody knows
    monitor = _monitor()
    # The log is what this command has to say: `docker logs … | grep` reads stdout alone.
    logging.basicConfig(format="%(levelname)s  %(message)s", stream=sys.stdout)
    logging.getLogger("cml_iam").setLevel(logging.INFO)
    server = make_server(monitor, host, port, token)
    # `shutdown` waits for the loop, which the handler of a signal interrupts.
    end_on_signal(lambda: threading.Thread(target=server.shutdown).start())
    named = f"[{host.strip('[]')}]" if ":" in host else host
    note(
        f"• http://{named}:{server.server_address[1]}/, /health and /metrics; press Ctrl-C to stop"
    )
    # The log tells before the first reader asks.
    threading.Thread(target=monitor.report, daemon=True).start()
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _monitor() -> Monitor:
    from cml_iam.cli.worker_scene import scene
    from cml_iam.workers import Monitor, WorkerManager, launch_to_try

    here, access = scene(), cml_access()
    impatient = connect_as(
        "manager",
        here.site,
        region=here.home,
        read_only=True,
        told=False,
        attempts=PROBE_ATTEMPTS,
        connect_timeout=PROBE_SECONDS,
        read_timeout=PROBE_SECONDS,
    )
    with suppress(AwsError):  # the monitor goes on asking, and says why
        refuse_account_of_others(impatient, here.site)
    return Monitor(
        here.manager,
        here.regions,
        here.home,
        probe=lambda region: launch_to_try(here.manager, here.site, region),
        grants=here.grants,
        prober=WorkerManager(impatient, guard=here.manager.guard),
        identify=impatient.identity,
        cml=access.ask,
        site=str(site_path()) if here.site else "",
    )
