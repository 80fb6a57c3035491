"""A command that runs in the sandbox."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._sandbox import foreign_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cml_iam.sandbox._sandbox import Sandbox

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As a shell answers for a command it cannot run."""

_BY_SIGNAL: Final = 128
_PASSED_ON: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def command_environment(sandbox: Sandbox, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment *given* pointed at *sandbox*, without what would lead past it."""
    kept = {name: value for name, value in given.items() if not foreign_variable(name)}
    nowhere = {
        # The user's own files may name profiles, endpoints and credentials.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {**kept, **nowhere, **sandbox.environment()}


def run_command(sandbox: Sandbox, command: Sequence[str]) -> int:
    """Run *command* in *sandbox*; return its exit code as a shell would give it.

    Signals are passed on. A command that does not exist gives 127, one that cannot be executed
    126, one that a signal ended 128 and the signal's number.
    """
    environment = command_environment(sandbox, os.environ)
    try:
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - the user's own command
    except FileNotFoundError:
        return NOT_FOUND
    except OSError:
        return NOT_EXECUTABLE
    with _signals_to(process):
        code = process.wait()
    return code if code >= 0 else _BY_SIGNAL - code


@contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Pass signals on to *process*; an interrupt the terminal has sent it already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, _: Any) -> None:
        process.send_signal(number)

    wanted: dict[int, Any] = {getattr(signal, name): pass_on for name in _PASSED_ON}
    wanted[signal.SIGINT] = _leave_to_the_terminal
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_to_the_terminal(number: int, _: Any) -> None:
    """Do nothing: the command is in our process group and decides what an interrupt means."""
