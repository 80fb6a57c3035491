"""Run one command in a prepared folder, and say how it ended."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import click

from cml_iam.cli._main import run
from tests.harness_answers.commands import ARGUMENTS
from tests.harness_answers.credentials import KEY, good
from tests.harness_answers.endpoint import Send, foreign

SITE = """
[account]
id = "111122223333"
[principal]
[restrict]
regions = ["us-east-1", "us-west-2"]
guard_tag = { ManagedBy = "cml-cloud-manager" }
instance_types = ["m5zn.metal", "c5.*"]
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and what it wrote on either stream."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Return all that was written."""
        return self.out + self.err


def prepare(folder: Path, site: str = SITE) -> None:
    """Write what a user's folder holds: a site file, and a key in `.env`."""
    (folder / "cml-iam.toml").write_text(site)
    key = good()
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in key.items()))
    (folder / ".env").chmod(0o600)


def end_of(
    name: str,
    folder: Path,
    environment: dict[str, str],
    old_key: str = KEY,
    *,
    read_timeout: float = 0.5,
) -> Ended:
    """Run the command *name* in *folder*."""
    given = [old_key if each == "OLD_KEY" else each for each in ARGUMENTS.get(name, ())]
    return ran([*name.split(), *given], folder, environment, read_timeout=read_timeout)


def expected(name: str, code: int) -> int:
    """Return the exit code of *name* where all others end with *code*.

    `doctor` finds what is wrong and says so, `serve` goes on and answers 503.
    """
    return {"doctor": 3, "serve": 503}.get(name, code)


def against(send: Send, folder: Path, name: str, environment: dict[str, str]) -> tuple[Ended, int]:
    """Run *name* against what answers as *send* does; return how it ended and what was sent."""
    with foreign(send) as endpoint:
        url = {"AWS_ENDPOINT_URL": endpoint.url}
        ended = end_of(name, folder, {**environment, **url})
        shown = [
            text.replace(endpoint.url, "URL").replace(str(folder), "FOLDER")
            for text in (ended.out, ended.err)
        ]
        return Ended(ended.code, *shown), endpoint.requests


def ran(
    words: list[str], folder: Path, environment: dict[str, str], *, read_timeout: float = 0.5
) -> Ended:
    """Run the command line *words* in *folder*, with nobody to ask and no time to lose."""
    out, err = io.StringIO(), io.StringIO()
    with (
        _in(folder, environment),
        _impatient(read_timeout),
        _without_terminal(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(words)
    return Ended(int(code), out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _in(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CML_IAM_"))
    }
    alone = {
        "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    with (
        mock.patch.dict(os.environ, {**clean, **alone, **environment}, clear=True),
        contextlib.chdir(folder),
    ):
        yield


@contextlib.contextmanager
def _impatient(read_timeout: float) -> Iterator[None]:
    """Wait for nothing between attempts, and not long for an answer."""
    import botocore.endpoint

    from cml_iam.aws import _bounds, _session, connect

    short = {**(connect.__kwdefaults__ or {}), "read_timeout": read_timeout}
    with (
        mock.patch.object(connect, "__kwdefaults__", short),
        mock.patch.object(_session, "_READ_TIMEOUT", read_timeout),
        mock.patch.object(_bounds, "ANSWER_BYTES", 1024 * 1024),
        mock.patch.object(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None)),
        mock.patch("cml_iam.workers.http_service.make_server", _Once),
        mock.patch("signal.signal"),
        _no_new_handlers(),
    ):
        yield


class _Once:
    """In the place of the server of `serve`: it answers /health once, on stdout, and ends."""

    server_address = ("127.0.0.1", 0)

    def __init__(self, monitor: Any, *_: Any) -> None:
        self._monitor = monitor

    def serve_forever(self) -> None:
        for each in threading.enumerate():  # the one that asks before the first reader does
            if each.daemon and getattr(each, "_target", None) == self._monitor.report:
                each.join()
        report = self._monitor.report()
        print(200 if report.ok else 503, *report.reasons)
        raise click.exceptions.Exit(0 if report.ok else 503)

    def server_close(self) -> None:
        """Close nothing."""


@contextlib.contextmanager
def _no_new_handlers() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("cml_iam")
    handlers, level = list(root.handlers), ours.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        ours.setLevel(level)


@contextlib.contextmanager
def _without_terminal() -> Iterator[None]:
    really = os.open

    def refusing(path: Any, *arguments: Any, **more: Any) -> int:
        if path == "/dev/tty":
            raise OSError
        return really(path, *arguments, **more)

    with mock.patch.object(os, "open", refusing), mock.patch.object(sys, "stdin", io.StringIO("")):
        yield
