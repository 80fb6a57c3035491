"""`cml-iam serve`: health and metrics over HTTP."""

from __future__ import annotations

import json
import logging
import sys
from hmac import compare_digest
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import click

from cml_iam.cli._output import note
from cml_iam.cli._settings import aws_options, shared_options
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.workers import Monitor, Report

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CML workers: {status}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
td, th {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886 }}
div {{ overflow-x: auto }}
</style></head><body>
<h1>CML workers: {status}</h1>
{reasons}
<div>{workers}</div>
</body></html>
"""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8030, show_default=True)
@click.option(
    "--token",
    envvar="CML_IAM_SERVE_TOKEN",
    hidden=True,
    help="What readers must know; from the environment, never from the command line.",
)
@shared_options("site", "quiet")
@aws_options
@click.pass_context
def serve(context: click.Context, host: str, port: int, token: str | None) -> None:
    """Answer GET /health (200 or 503, with the reason) and /metrics (Prometheus).

    Listens on this machine only. To listen elsewhere, set CML_IAM_SERVE_TOKEN: readers send it as
    `Authorization: Bearer TOKEN`, and without it learn from /health only whether all is well.
    """
    given = context.get_parameter_source("token")
    if given is click.core.ParameterSource.COMMANDLINE:
        raise InputError(
            "a token on the command line can be read by every process",
            remedy="set CML_IAM_SERVE_TOKEN",
        )
    if host not in _LOOPBACK and not token:
        raise InputError(
            f"will not listen on `{host}`, where others can reach it, without a token",
            remedy="set CML_IAM_SERVE_TOKEN, or listen on 127.0.0.1",
        )
    monitor = _monitor()
    logging.basicConfig(format="%(levelname)s  %(message)s", stream=sys.stderr)
    logging.getLogger("cml_iam").setLevel(logging.INFO)
    server = make_server(monitor, host, port, token)
    note(f"• http://{host}:{server.server_address[1]}/health and /metrics; ^C ends it")
    Thread(target=monitor.report, daemon=True).start()  # the log tells before the first reader asks
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _monitor() -> Monitor:
    from cml_iam.cli.health import probe_of
    from cml_iam.cli.worker_scene import scene
    from cml_iam.workers import Monitor

    here = scene()
    return Monitor(
        here.manager,
        here.regions,
        here.home,
        probe=probe_of(here),
        metric_data=here.site is not None and here.site.grant.metric_data,
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, monitor: Monitor, address: tuple[str, int], token: str | None) -> None:
        self.monitor = monitor
        self.token = token
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "cml-iam"
    sys_version = ""
    timeout = 10

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._meant_for_us():
            self._answer(421, "text/plain; charset=utf-8", "not a name of this server\n")
        elif path in ("/", "/health"):
            self._health(page="text/html" in self.headers.get("Accept", ""))
        elif path == "/metrics" and self._trusted():
            self._answer(
                200, "text/plain; version=0.0.4; charset=utf-8", self.server.monitor.metrics()
            )
        elif path == "/metrics":
            self._answer(401, "text/plain; charset=utf-8", "a token is needed\n")
        else:
            self._answer(404, "text/plain; charset=utf-8", "see /health and /metrics\n")

    do_HEAD = do_GET  # noqa: N815 - the name http.server calls

    def _health(self, *, page: bool) -> None:
        report = self.server.monitor.report()
        status = 200 if report.ok else 503
        if not self._trusted():
            said = json.dumps({"status": report.as_json()["status"]})
            self._answer(status, "application/json", said + "\n")
        elif page:
            self._answer(status, "text/html; charset=utf-8", page_of(report, self.server.monitor))
        else:
            self._answer(status, "application/json", json.dumps(report.as_json()) + "\n")

    def _trusted(self) -> bool:
        given = self.headers.get("Authorization", "")
        token = self.server.token
        return token is None or compare_digest(given.encode(), f"Bearer {token}".encode())

    def _meant_for_us(self) -> bool:
        """Refuse a foreign name that was made to resolve to this machine (DNS rebinding)."""
        named = self.headers.get("Host", "").rpartition("@")[2]
        name = named.rsplit(":", 1)[0] if not named.endswith("]") else named
        return self.server.token is not None or name.strip("[]").lower() in (*_LOOPBACK, "")

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log no request: the log is for the state of EC2."""


def make_server(monitor: Monitor, host: str, port: int, token: str | None) -> ThreadingHTTPServer:
    """Return the server, bound and not yet running; raises InputError for a port that is taken."""
    try:
        return _Server(monitor, (host, port), token)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            remedy="end what listens there, or choose another --port",
        ) from None


def page_of(report: Report, monitor: Monitor) -> str:
    """Return the page a browser is shown."""
    lines = [f"✖ {each}" for each in report.reasons] + [f"? {each}" for each in report.unchecked]
    listing = monitor.fleet() if report.connected else None
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for cells in (
            (each.name or "-", each.id, each.state, each.instance_type, each.region)
            for each in (listing.workers if listing else ())
        )
    )
    heads = "".join(f"<th>{each}</th>" for each in ("name", "id", "state", "type", "region"))
    if listing is None:
        table = "<p>The workers could not be listed.</p>"
    elif not rows:
        table = "<p>There are no workers.</p>"
    else:
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    failures = listing.failures.items() if listing else ()
    lines += [f"✖ {region}: {error.message}" for region, error in failures]
    said = "".join(f"<li>{escape(each)}</li>" for each in lines)
    status = "✔ ok" if report.ok else "✖ failing"
    reasons = f"<ul>{said}</ul>" if said else ""
    return _PAGE.format(status=status, reasons=reasons, workers=table)
