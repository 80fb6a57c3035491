"""`cml-iam key`: the access keys of the site's user."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam.cli._delivery import agreed, delivery_to, file_options
from cml_iam.cli._exit import Exit
from cml_iam.cli._output import INFO, OK, WARN, note, print_json, print_table, say, wants_json
from cml_iam.cli._settings import aws_options, settings, shared_options
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cml_iam.credentials import KeyInfo, Outcome, Rotator, Schedule

_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_EXIT: Final = {
    "done": Exit.OK,
    "not due": Exit.OK,
    "waiting": Exit.RESUMABLE,
    "in use": Exit.FINDINGS,
}


def _span(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    """Return *value*, such as `90d`, `12h`, `20m` or `0`, as a length of time."""
    match = re.fullmatch(r"([0-9]{1,4})([mhd])|0", value)
    if match is None:
        raise click.BadParameter(
            f"not a length of time: `{value}` (write 90d, 12h, 20m or 0)", context, parameter
        )
    return int(match[1]) * _UNITS[match[2]] if match[1] else timedelta(0)


def _key_options(command: Callable[..., Any]) -> Callable[..., Any]:
    shared = shared_options("site", "output", "color", "quiet", "debug")
    return file_options(aws_options(shared(command)))


def _schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how long each phase lasts."""
    for flag, default, text in (
        ("--max-age", "90d", "The age no active key may reach."),
        ("--cool-off", "7d", "How long the old key stays inactive before it is deleted."),
        ("--overlap", "1d", "How long both keys work, and the old one must be quiet."),
    ):
        command = click.option(
            flag, callback=_span, default=default, show_default=True, metavar="TIME", help=text
        )(command)
    return command


@click.group()
def key() -> None:
    """List, rotate and revoke the access keys of the site's user."""


@key.command("list")
@_key_options
@_schedule_options
def list_command(env_file: Path, allow_tracked: bool, **spans: timedelta) -> None:
    """Show each key's age, last use, and when its rotation is due; never a secret."""
    from cml_iam.credentials import key_use, list_keys

    rotator = _rotator(env_file, allow_tracked, spans)
    stored = rotator.delivery.store.look().key
    stored_id = stored.id if stored else None
    found = [(info, key_use(rotator.aws, info.id)) for info in list_keys(rotator.aws, rotator.user)]
    data = [
        {
            **_data(info, rotator.schedule),
            "last_used": use.when.isoformat() if use.when else None,
            "last_used_service": use.service or None,
            "last_used_region": use.region or None,
            "use": str(use),
            "stored": info.id == stored_id,
        }
        for info, use in found
    ]
    if wants_json():
        print_json({"user": rotator.user, "keys": data, "stored_id": stored_id})
        return
    print_table(
        ("access key", "state", "age", "use", "due", "stored"),
        [
            (
                each["id"],
                each["status"],
                f"{each['age_days']} days" if each["age_days"] is not None else "?",
                each["use"],
                f"{WARN} now" if each["is_due"] else (each["due"] or "?")[:10],
                "yes" if each["stored"] else "no",
            )
            for each in data
        ],
    )
    if stored_id and stored_id not in {info.id for info, _ in found}:
        say(f"{WARN} the file holds `{stored_id}`, which is no key of this user")


@key.command()
@_key_options
@_schedule_options
@click.option("--if-due", is_flag=True, help="Begin only when the stored key is due; for cron.")
@shared_options("yes")
def rotate(env_file: Path, allow_tracked: bool, if_due: bool, **spans: timedelta) -> None:
    """Replace the key in the file: make a new one, prove it, put it to use, retire the old one.

    The old key is deactivated when it has been quiet for --overlap, and deleted after --cool-off:
    run this or `key resume` again then. Exits with 7 while there is something to wait for, with 3
    when somebody still uses the old key.
    """
    from cml_iam.credentials import rotate as begin

    rotator = _rotator(env_file, allow_tracked, spans)
    if not if_due and not agreed(f"rotate the key of {rotator.user}?"):
        note(f"{WARN} nothing was changed")
        return
    _tell(begin(rotator, if_due=if_due))


@key.command()
@_key_options
@_schedule_options
def resume(env_file: Path, allow_tracked: bool, **spans: timedelta) -> None:
    """Go on with a rotation that was interrupted, or that waited; begins none."""
    from cml_iam.credentials import resume as go_on

    _tell(go_on(_rotator(env_file, allow_tracked, spans)))


@key.command()
@_key_options
def rollback(env_file: Path, allow_tracked: bool) -> None:
    """Undo the rotation under way: delete the new key, or make the old one active again."""
    from cml_iam.credentials import rollback as undo

    said = undo(_rotator(env_file, allow_tracked, {}))
    if wants_json():
        print_json({"done": said})
    else:
        say(f"{OK} {said}")


@key.command()
@_key_options
@_schedule_options
def status(env_file: Path, allow_tracked: bool, **spans: timedelta) -> None:
    """Show which phase a rotation is in; changes nothing."""
    from cml_iam.credentials import read_user

    rotator = _rotator(env_file, allow_tracked, spans)
    found = read_user(rotator.aws, rotator.user)
    interrupted = rotator.delivery.store.folder.exists()
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


@key.command()
@click.argument("key_id", metavar="KEY_ID")
@_key_options
@shared_options("yes")
def revoke(key_id: str, env_file: Path, allow_tracked: bool) -> None:
    """Make a leaked key inactive at once; the one in the file is replaced.

    The key is kept, inactive, so that its use can be looked at.
    """
    from cml_iam.credentials import revoke as take

    rotator = _rotator(env_file, allow_tracked, {})
    if not agreed(f"make {key_id} inactive now?"):
        note(f"{WARN} nothing was changed")
        return
    done = take(rotator, key_id)
    if wants_json():
        print_json({"revoked": key_id, "use": str(done.use), "replacement": done.replacement})
        return
    say(f"{OK} {key_id} is inactive; it was {done.use}")
    if done.replacement:
        say(f"{OK} {done.replacement} is in {rotator.delivery.store.name} instead")
    say(f"{WARN} temporary credentials made with it live on until they expire (up to 36 hours)")


def _rotator(env_file: Path, allow_tracked: bool, spans: dict[str, timedelta]) -> Rotator:
    from cml_iam.credentials import Rotator, Schedule

    site = settings().load_site()
    if site.user is None:
        raise InputError(
            f"the site's principal is the role `{site.role}`, which has no access keys"
        )
    return Rotator(
        aws=settings().connect(site.home_region),
        user=site.user,
        delivery=delivery_to(site, env_file, allow_tracked, proved=True),
        schedule=Schedule(**spans),
        clock=lambda: datetime.now(UTC),
        pause=time.sleep,
        report=lambda text: note(f"{INFO} {text}"),
    )


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


def _data(info: KeyInfo, schedule: Schedule) -> dict[str, Any]:
    now, due = datetime.now(UTC), schedule.due(info)
    return {
        "id": info.id,
        "status": info.status,
        "created": info.created.isoformat() if info.created else None,
        "age_days": (now - info.created).days if info.created else None,
        "due": due.isoformat() if due else None,
        "is_due": due is not None and due <= now,
    }
