"""`cml-iam key rotate`, `resume`, `rollback` and `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from cml_iam.cli._delivery import key_options, rotator_of, schedule_options
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import BAD, INFO, OK, WARN, agreed, answer, say
from cml_iam.cli._settings import settings, shared_options

if TYPE_CHECKING:
    from datetime import timedelta

    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import Progress, Status

_EXIT: Final = {
    "done": Exit.OK,
    "not due": Exit.OK,
    "waiting": Exit.RESUMABLE,
    "in use": Exit.FINDINGS,
    "not working": Exit.FINDINGS,
}


_health_option = click.option(
    "--health-url",
    metavar="URL",
    help="Use the new key only if URL, such as the application's /health, answers 2xx.",
)


@key_options
@schedule_options
@_health_option
@click.option(
    "--if-due", is_flag=True, help="Start only if the stored key is due, for use in cron."
)
@shared_options("yes", "dry_run")
def rotate(where: Where, health_url: str | None, if_due: bool, **spans: timedelta) -> None:
    """Replace the key in its stores: create a new key, test it, use it, retire the old one.

    The old key is deactivated after it has been unused for --overlap, and deleted after --cool-off:
    run this command or `key resume` again at these times. Exits with 7 while it must wait, and with
    3 when the old key is still in use.

    Examples:
      cml-iam key rotate
      cml-iam key rotate --if-due --yes
      cml-iam key rotate --to env:.env --to secretsmanager:cml/manager
    """
    from cml_iam.credentials import rotate as begin
    from cml_iam.credentials import rotation_step

    rotator = rotator_of(where, spans, health_url)
    if settings().dry_run:
        tell_step(rotation_step(rotator, if_due=if_due))
        return
    if not if_due and not agreed(rotator.aws, f"rotate the key of {rotator.user}?"):
        return
    _tell(begin(rotator, if_due=if_due))


@key_options
@schedule_options
@_health_option
@shared_options("dry_run")
def resume(where: Where, health_url: str | None, **spans: timedelta) -> None:
    """Resume an interrupted or waiting rotation; never start one.

    Examples:
      cml-iam key resume
    """
    from cml_iam.credentials import resume as go_on
    from cml_iam.credentials import rotation_step

    rotator = rotator_of(where, spans, health_url)
    if settings().dry_run:
        tell_step(rotation_step(rotator, begin=False))
        return
    _tell(go_on(rotator))


@key_options
@shared_options("dry_run")
def rollback(where: Where) -> None:
    """Undo the rotation in progress: delete the new key, or reactivate the old one.

    Examples:
      cml-iam key rollback
    """
    from cml_iam.credentials import rollback as undo
    from cml_iam.credentials import rollback_step

    rotator = rotator_of(where)
    if settings().dry_run:
        tell_step(rollback_step(rotator))
        return
    done = undo(rotator)
    answer({"done": done}, lambda: say(f"{OK} {done}"))


@key_options
@schedule_options
def status(where: Where, **spans: timedelta) -> None:
    """Show the phase of a rotation and what comes next, without changing anything.

    Examples:
      cml-iam key status
    """
    from cml_iam.credentials import rotation_status

    shown = rotation_status(rotator_of(where, spans))
    answer(shown, lambda: _say_status(shown))


def _say_status(shown: Status) -> None:
    rotation = shown.rotation
    since = f" since {rotation.since:%Y-%m-%d %H:%M} UTC" if rotation.since else ""
    say(f"{rotation.phase}{since}")
    if rotation.old:
        revoked = ", revoked" if rotation.revoked else ""
        say(f"old key {rotation.old}{revoked}, new key {rotation.new}")
    if shown.interrupted:
        say(f"{WARN} a run was interrupted here")
    if shown.trouble:
        say(f"{WARN} {shown.trouble}")
        say(f"  fix: {shown.remedy}")
    else:
        say(f"`cml-iam key resume` would do: {shown.upcoming}")


def tell_step(words: str) -> None:
    """Print what would be done."""
    answer({"done": False, "would": words}, lambda: say(f"{INFO} would do: {words}"))


def _tell(outcome: Progress) -> None:
    answer(outcome, lambda: _say_progress(outcome), _EXIT[outcome.state])


def _say_progress(outcome: Progress) -> None:
    until = f"{outcome.until:%Y-%m-%d %H:%M} UTC" if outcome.until else ""
    if outcome.state == "done":
        say(f"{OK} done: no rotation is in progress")
        if outcome.evidence:
            say(f"{WARN} {outcome.evidence}")
            say(f"  fix: {outcome.remedy}")
    elif outcome.state == "not working":
        say(f"{BAD} {outcome.evidence}, and no rotation is in progress")
        say(f"  fix: {outcome.remedy}")
    elif outcome.state == "not due":
        say(f"{OK} not due before {until}")
        if outcome.evidence:
            say(f"{WARN} {outcome.evidence}")
    elif outcome.state == "in use":
        say(
            f"{WARN} the old key stays active: {outcome.evidence}; the rotation can continue after "
            f"{until}"
        )
    else:
        say(f"{INFO} {outcome.rotation.phase} until {until}; then `cml-iam key resume`")
