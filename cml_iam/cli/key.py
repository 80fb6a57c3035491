"""`cml-iam key`: list keys, rotate them, and take them out of use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from cml_iam import credentials
from cml_iam.cli._exit import Exit
from cml_iam.cli._options import option, settings, shared_options
from cml_iam.cli._output import (
    BAD,
    INFO,
    OK,
    UNKNOWN,
    WARN,
    agreed,
    answer,
    note,
    say_lines,
    terminal_width,
)
from cml_iam.cli._table import columns_within, print_columns
from cml_iam.cli.key_deliver import Where, key_options, rotator_of, schedule_options
from cml_iam.errors import DeniedError, InputError, NotFoundError
from cml_iam.report import plural

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws


@key_options
@schedule_options
def list_keys(where: Where, **spans: timedelta) -> None:
    """List each key's age, last use, due date and stores, but never a secret.

    The due date leaves time to finish a rotation before the key reaches --max-age. Active keys
    older than that are marked.

    Examples:
      cml-iam key list
      cml-iam key list --max-age 60d -o json
    """
    rotator = rotator_of(where, spans)
    parts = credentials.parts_of(rotator.delivery.store)
    stored = {part.name: key.id if (key := part.look().key) else None for part in parts}
    keys = [
        _key_json(info, credentials.key_use(rotator.aws, info.id), rotator.schedule, stored)
        for info in credentials.list_keys(rotator.aws, rotator.user)
    ]
    if not keys:
        _check_user(rotator.aws, rotator.user)
    # With several stores, there is one stored key only if all of them hold the same.
    only = next(iter(stored.values())) if len(set(stored.values())) == 1 else None
    answer(
        {"user": rotator.user, "keys": keys, "stored_id": only, "stores": stored},
        lambda: _print_keys(keys, stored, rotator.schedule.max_age.days),
    )


def _check_user(aws: Aws, user: str) -> None:
    """Raise NotFoundError if there is no *user*, which has no keys either."""
    try:
        aws.call("iam", "get_user", UserName=user)
    except NotFoundError as error:
        error.message = f"the user `{user}` does not exist"
        error.remedy = "`cml-iam bootstrap plan` shows what creates it"
        raise
    except DeniedError as error:
        note(f"{UNKNOWN} could not check whether the user `{user}` exists: {error.refused}")


def _key_json(
    info: credentials.KeyInfo,
    use: credentials.KeyUse,
    schedule: credentials.Schedule,
    stored: dict[str, str | None],
) -> dict[str, Any]:
    from cml_iam.check.bootstrap import KeyStatus

    now, due = datetime.now(UTC), schedule.due(info)
    stores = [name for name, key in stored.items() if key == info.id]
    age = now - info.created if info.created else None
    return {
        **KeyStatus(info, use, bool(stores)).as_json(),
        "age_days": age.days if age is not None else None,
        "over_age": bool(info.active and age is not None and age >= schedule.max_age),
        "due": due.isoformat() if due else None,
        "is_due": due is not None and due <= now,
        "use": str(use),
        "stores": stores,
    }


def _print_keys(keys: list[dict[str, Any]], stored: dict[str, str | None], most: int) -> None:
    columns = {
        "access key": [key["id"] for key in keys],
        "state": [key["status"] for key in keys],
        "age": ["?" if key["age_days"] is None else plural(key["age_days"], "day") for key in keys],
        "due": [f"{WARN} now" if key["is_due"] else (key["due"] or "?")[:10] for key in keys],
    }
    optional = {
        "stored in": [", ".join(key["stores"]) or "-" for key in keys],
        "use": [key["use"] for key in keys],
    }
    groups = [{heading: cells} for heading, cells in optional.items()]
    print_columns(columns_within(terminal_width(), columns, groups), optional)
    say_lines(
        f"{WARN} {key['id']} is {key['age_days']} days old; the maximum is {most}"
        for key in keys
        if key["over_age"]
    )
    user_keys = {None, *columns["access key"]}
    say_lines(
        f"{WARN} {name} holds `{key_id}`, which is not a key of this user"
        for name, key_id in stored.items()
        if key_id not in user_keys
    )


def _check_id(key_id: str) -> None:
    """Raise for text that cannot be an access key id, before any call."""
    if not credentials.is_key_id(key_id):
        raise InputError(
            f"not an access key id: `{key_id}`", remedy="`cml-iam key list` shows the ids"
        )


def _foresee(step: str) -> None:
    """Print what would be done."""
    answer({"done": False, "would": step}, [f"{INFO} would do: {step}"])


_key_argument = click.argument("key_id", metavar="KEY_ID")


@_key_argument
@key_options
@shared_options("yes", "dry_run")
def revoke(key_id: str, where: Where) -> None:
    """Deactivate a leaked key immediately, and replace it if the stores hold it.

    The key stays, inactive, so that you can review its use; `key delete` removes it. It is deleted
    immediately only if it was in the stores and AWS allows no further key for the user.

    Examples:
      cml-iam key revoke KEY_ID
    """
    _check_id(key_id)
    rotator = rotator_of(where)
    if settings().dry_run:
        _foresee(credentials.revocation_step(rotator, key_id))
        return
    if not agreed(rotator.aws, f"deactivate {key_id} now?"):
        return
    done = credentials.revoke(rotator, key_id)
    store = rotator.delivery.store
    words = store.afterwards() if done.replacement else ()
    lines = [
        f"{OK} {key_id} is {'deleted, to make room' if done.deleted else 'inactive'}; "
        f"it was {done.use}"
    ]
    if done.replacement:
        lines.append(f"{OK} {done.replacement} replaces it in {store.name}")
    if not done.deleted:
        lines.append(f"review its use, then delete it: `cml-iam key delete {key_id}`")
    lines += [f"{WARN} {word}" for word in words]
    lines.append(
        f"{WARN} temporary credentials made with it stay valid until they expire (up to 36 hours)"
    )
    result = {
        "revoked": key_id,
        "use": str(done.use),
        "replacement": done.replacement,
        "deleted": done.deleted,
        "afterwards": words,
    }
    answer(result, lines)


@_key_argument
@key_options
@option("--stored", "Delete the key even if it is in a store.")
@shared_options("yes", "dry_run")
def delete(key_id: str, where: Where, stored: bool) -> None:
    """Delete an inactive key; `key revoke` deactivates one.

    AWS keeps no record of a deleted key, and it cannot be reactivated.

    Examples:
      cml-iam key delete KEY_ID
    """
    _check_id(key_id)
    rotator = rotator_of(where)
    step = credentials.deletion_step(rotator, key_id, stored=stored)
    if settings().dry_run:
        _foresee(step)
    elif agreed(rotator.aws, f"{step}?"):
        use = credentials.delete(rotator, key_id, stored=stored)
        result = {"deleted": key_id, "use": str(use)}
        answer(result, [f"{OK} {key_id} is deleted; it was {use}"])


_health_option = option(
    "--health-url URL",
    "Use the new key only if URL, such as the application's /health, answers 2xx.",
)


@key_options
@schedule_options
@_health_option
@option("--if-due", "Start only if the stored key is due, for use in cron.")
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
    rotator = rotator_of(where, spans, health_url)
    if settings().dry_run:
        _foresee(credentials.rotation_step(rotator, if_due=if_due))
    elif if_due or agreed(rotator.aws, f"rotate the key of {rotator.user}?"):
        _tell(credentials.rotate(rotator, if_due=if_due))


@key_options
@schedule_options
@_health_option
@shared_options("dry_run")
def resume(where: Where, health_url: str | None, **spans: timedelta) -> None:
    """Resume an interrupted or waiting rotation; never start one.

    Examples:
      cml-iam key resume
    """
    rotator = rotator_of(where, spans, health_url)
    if settings().dry_run:
        _foresee(credentials.rotation_step(rotator, begin=False))
    else:
        _tell(credentials.resume(rotator))


@key_options
@shared_options("dry_run")
def rollback(where: Where) -> None:
    """Undo the rotation in progress: delete the new key, or reactivate the old one.

    Examples:
      cml-iam key rollback
    """
    rotator = rotator_of(where)
    if settings().dry_run:
        _foresee(credentials.rollback_step(rotator))
    else:
        done = credentials.rollback(rotator)
        answer({"done": done}, [f"{OK} {done}"])


@key_options
@schedule_options
def status(where: Where, **spans: timedelta) -> None:
    """Show the phase of a rotation and what comes next, without changing anything.

    Examples:
      cml-iam key status
    """
    shown = credentials.rotation_status(rotator_of(where, spans))
    answer(shown, _status_lines(shown))


def _status_lines(shown: credentials.Status) -> Iterator[str]:
    rotation = shown.rotation
    since = f" since {rotation.since:%Y-%m-%d %H:%M} UTC" if rotation.since else ""
    yield f"{rotation.phase}{since}"
    if rotation.old:
        revoked = ", revoked" if rotation.revoked else ""
        yield f"old key {rotation.old}{revoked}, new key {rotation.new}"
    if shown.interrupted:
        yield f"{WARN} a run was interrupted here"
    if shown.trouble:
        yield f"{WARN} {shown.trouble}"
        yield f"  fix: {shown.remedy}"
    else:
        yield f"`cml-iam key resume` would do: {shown.upcoming}"


_EXIT: Final = {
    "done": Exit.OK,
    "not due": Exit.OK,
    "waiting": Exit.RESUMABLE,
    "in use": Exit.FINDINGS,
    "not working": Exit.FINDINGS,
}


def _tell(outcome: credentials.Progress) -> None:
    answer(outcome, _progress_lines(outcome), _EXIT[outcome.state])


def _progress_lines(outcome: credentials.Progress) -> Iterator[str]:
    until = f"{outcome.until:%Y-%m-%d %H:%M} UTC" if outcome.until else ""
    if outcome.state == "not working":
        yield f"{BAD} {outcome.evidence}, and no rotation is in progress"
        yield f"  fix: {outcome.remedy}"
    elif outcome.state == "in use":
        yield (
            f"{WARN} the old key stays active: {outcome.evidence}; the rotation can continue after "
            f"{until}"
        )
    elif outcome.state == "waiting":
        yield f"{INFO} {outcome.rotation.phase} until {until}; then `cml-iam key resume`"
    else:
        done = outcome.state == "done"
        yield f"{OK} {'done: no rotation is in progress' if done else f'not due before {until}'}"
        if outcome.evidence:
            yield f"{WARN} {outcome.evidence}"
            if done:
                yield f"  fix: {outcome.remedy}"
