"""Exit codes: a contract, tested. `cml-iam help exit-codes` prints this table."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from enum import IntEnum

from cml_iam import errors


class Exit(IntEnum):
    """The exit codes of the process."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    FINDINGS = 3
    CREDENTIALS = 4
    AWS = 5
    CHANGES = 6
    RESUMABLE = 7
    UNCHECKED = 8
    INTERRUPTED = 130
    PIPE = 141


_COLLECTING = gc.get_threshold()
"""Python's default garbage-collection thresholds, before `main` raises them."""

MEANING = {
    Exit.OK: "done; nothing found",
    Exit.INTERNAL: "a bug in cml-iam",
    Exit.USAGE: "wrong usage or input: an option, a file, a value",
    Exit.FINDINGS: "findings, a denied request (`explain`), or an expectation that does not hold",
    Exit.CREDENTIALS: "no credentials, or AWS does not accept them",
    Exit.AWS: "AWS refused the call or could not be reached",
    Exit.CHANGES: "changes are pending (`plan`, `drift`, `bootstrap … --dry-run`), or policies "
    "differ (`diff`)",
    Exit.RESUMABLE: "stopped before the end; run the command that it prints to continue",
    Exit.UNCHECKED: "something could not be checked",
    Exit.INTERRUPTED: "interrupted from the keyboard",
    Exit.PIPE: "the reader closed the output early, as `head` does",
}


def end_on_signal(end: Callable[[], object]) -> None:
    """Make Ctrl-C and SIGTERM call *end*, for a command that runs until then and exits with 0.

    The first process of a container ends on SIGTERM only if it handles the signal. This also
    restores Python's default garbage collection, which short commands reduce.
    """
    gc.set_threshold(*_COLLECTING)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end())


def judged(*, findings: bool, unchecked: bool) -> Exit:
    """Return the exit code of a judging command: known faults come before unknowns.

    See docs/decisions/0030-findings-before-what-could-not-be-checked.md.
    """
    if findings:
        return Exit.FINDINGS
    return Exit.UNCHECKED if unchecked else Exit.OK


def exit_code(error: errors.CmlIamError) -> Exit:
    """Return the code for *error*: that of its nearest class in the table."""
    return next(_BY_CLASS[kind] for kind in type(error).__mro__ if kind in _BY_CLASS)


_BY_CLASS: dict[type, Exit] = {
    errors.CmlIamError: Exit.INTERNAL,
    errors.InputError: Exit.USAGE,
    errors.UnsupportedError: Exit.UNCHECKED,
    errors.MissingExtraError: Exit.USAGE,
    errors.RefusedError: Exit.USAGE,
    errors.IncompleteError: Exit.RESUMABLE,
    errors.AwsError: Exit.AWS,
    errors.CredentialsError: Exit.CREDENTIALS,
}
