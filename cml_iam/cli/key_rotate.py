"""`cml-iam key rotate`, and what belongs to it: resume, rollback, status, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._ask import agreed
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, OK, WARN, note, print_json, say, wants_json
from cml_iam.cli._rotator import key_options, rotator_of, schedule_options
from cml_iam.cli._settings import shared_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import Outcome

_EXIT: Final = {
    "done": Exit.OK,
    "not due": Exit.OK,
    "waiting": Exit.RESUMABLE,
    "in use": Exit.FINDINGS,
}


def _health_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--health-url",
        metavar="URL",
        help="Must answer with 2xx before the new key is put to use: the application's /health.",
    )(command)


@click.command()
@key_options
@schedule_options
@_health_option
@click.option("--if-due", is_flag=True, help="Begin only when the stored key is due; for cron.")
@shared_options("yes")
def rotate(where: Where, health_url: str | None, if_due: bool, **spans: timedelta) -> None:
    """Replace the key in its stores: make a new one, prove it, use it, retire the old one.

    The old key is deactivated when it has been quiet for --overlap, and deleted after --cool-off:
    run this or `key resume` again then. Exits with 7 while there is something to wait for, with 3
    when somebody still uses the old key.
    """
    from cml_iam.credentials import rotate as begin

    rotator = rotator_of(where, spans, health_url)
    if not if_due and not agreed(rotator.aws, f"rotate the key of {rotator.user}?"):
        note(f"{WARN} nothing was changed")
        return
    _tell(begin(rotator, if_due=if_due))


@click.command()
@key_options
@schedule_options
@_health_option
def resume(where: Where, health_url: str | None, **spans: timedelta) -> None:
    """Go on with a rotation that was interrupted, or that waited; begins none."""
    from cml_iam.credentials import resume as go_on

    _tell(go_on(rotator_of(where, spans, health_url)))


@click.command()
@key_options
def rollback(where: Where) -> None:
    """Undo the rotation under way: delete the new key, or make the old one active again."""
    from cml_iam.credentials import rollback as undo

    said = undo(rotator_of(where))
    if wants_json():
        print_json({"done": said})
    else:
        say(f"{OK} {said}")


@click.command()
@key_options
@schedule_options
def status(where: Where, **spans: timedelta) -> None:
    """Show which phase a rotation is in; changes nothing."""
    from cml_iam.credentials import folders_of, read_user

    rotator = rotator_of(where, spans)
    found = read_user(rotator.aws, rotator.user)
    interrupted = any(folder.exists() for folder in folders_of(rotator.delivery.store))
    if wants_json():
        print_json({**_rotation_data(found.rotation), "interrupted": interrupted})
        return
    rotation = found.rotation
    since = f" since {rotation.since:%Y-%m-%d %H:%M} UTC" if rotation.since else ""
    say(f"{rotation.phase}{since}")
    if rotation.old:
        say(f"old key {rotation.old}, new key {rotation.new}")
    if interrupted:
        say(f"{WARN} a run was interrupted here: `cml-iam key resume`, or `bootstrap apply`")


@click.command()
@click.argument("key_id", metavar="KEY_ID")
@key_options
@shared_options("yes")
def revoke(key_id: str, where: Where) -> None:
    """Make a leaked key inactive at once; the one in the stores is replaced.

    The key is kept, inactive, so that its use can be looked at.
    """
    from cml_iam.credentials import revoke as take

    rotator = rotator_of(where)
    if not agreed(rotator.aws, f"make {key_id} inactive now?"):
        note(f"{WARN} nothing was changed")
        return
    done = take(rotator, key_id)
    words = rotator.delivery.store.afterwards() if done.replacement else ()
    if wants_json():
        answer = {"revoked": key_id, "use": str(done.use), "replacement": done.replacement}
        print_json({**answer, "afterwards": list(words)})
        return
    say(f"{OK} {key_id} is inactive; it was {done.use}")
    if done.replacement:
        say(f"{OK} {done.replacement} is in {rotator.delivery.store.name} instead")
    for word in words:
        say(f"{WARN} {word}")
    say(f"{WARN} temporary credentials made with it live on until they expire (up to 36 hours)")


def _tell(outcome: Outcome) -> None:
    until = f"{outcome.until:%Y-%m-%d %H:%M} UTC" if outcome.until else ""
    if wants_json():
        print_json(
            {
                "state": outcome.state,
                **_rotation_data(outcome.rotation),
                "until": outcome.until.isoformat() if outcome.until else None,
                "evidence": outcome.evidence or None,
            }
        )
    elif outcome.state == "done":
        say(f"{OK} done: no rotation is under way")
    elif outcome.state == "not due":
        say(f"{OK} not due before {until}")
    elif outcome.state == "in use":
        say(f"{WARN} the old key stays: {outcome.evidence}; quiet at the earliest {until}")
    else:
        say(f"{INFO} {outcome.rotation.phase} until {until}; then `cml-iam key resume`")
    click.get_current_context().exit(_EXIT[outcome.state])


def _rotation_data(rotation: Any) -> dict[str, Any]:
    return {
        "phase": rotation.phase,
        "since": rotation.since.isoformat() if rotation.since else None,
        "old": rotation.old,
        "new": rotation.new,
    }
