"""`cml-iam key list`, `revoke` and `delete`: show keys, and take them out of use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._delivery import key_options, rotator_of, schedule_options
from cml_iam.cli._output import (
    OK,
    UNKNOWN,
    WARN,
    agreed,
    answer,
    columns_within,
    note,
    print_columns,
    say,
    say_lines,
    terminal_width,
)
from cml_iam.cli._settings import settings, shared_options
from cml_iam.cli.key_rotate import tell_step
from cml_iam.errors import DeniedError, InputError, NotFoundError
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from cml_iam.aws.port import Aws
    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import KeyInfo, KeyUse, Revoked, Schedule


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
    from cml_iam.credentials import key_use, list_keys, parts_of

    rotator = rotator_of(where, spans)
    parts = parts_of(rotator.delivery.store)
    stored = {part.name: found.id if (found := part.look().key) else None for part in parts}
    data = [
        _data(info, key_use(rotator.aws, info.id), rotator.schedule, stored)
        for info in list_keys(rotator.aws, rotator.user)
    ]
    if not data:
        _check_user(rotator.aws, rotator.user)
    known = {each["id"] for each in data}
    stale = {name: key for name, key in stored.items() if key and key not in known}
    # Of several stores the id says something only where it is the same in all.
    only = next(iter(stored.values())) if len(set(stored.values())) == 1 else None

    def show() -> None:
        _say(data, rotator.schedule.max_age.days)
        for name, key in stale.items():
            say(f"{WARN} {name} holds `{key}`, which is not a key of this user")

    answer({"user": rotator.user, "keys": data, "stored_id": only, "stores": stored}, show)


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


def _say(data: list[dict[str, Any]], most: int) -> None:
    columns = {
        "access key": [each["id"] for each in data],
        "state": [each["status"] for each in data],
        "age": [
            "?" if each["age_days"] is None else plural(each["age_days"], "day") for each in data
        ],
        "due": [f"{WARN} now" if each["is_due"] else (each["due"] or "?")[:10] for each in data],
    }
    more = {
        "stored in": [", ".join(each["stores"]) or "-" for each in data],
        "use": [each["use"] for each in data],
    }
    shown = columns_within(terminal_width(), columns, [{name: more[name]} for name in more])
    print_columns(shown, more)
    for each in data:
        if each["over_age"]:
            say(f"{WARN} {each['id']} is {each['age_days']} days old; the maximum is {most}")


def _data(
    info: KeyInfo, use: KeyUse, schedule: Schedule, stored: dict[str, str | None]
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


def _check(key_id: str) -> None:
    """Raise for text that cannot be an access key id, before any call."""
    from cml_iam.credentials import is_key_id

    if not is_key_id(key_id):
        raise InputError(
            f"not an access key id: `{key_id}`", remedy="`cml-iam key list` shows the ids"
        )


@click.argument("key_id", metavar="KEY_ID")
@key_options
@shared_options("yes", "dry_run")
def revoke(key_id: str, where: Where) -> None:
    """Deactivate a leaked key immediately, and replace it if the stores hold it.

    The key stays, inactive, so that you can review its use; `key delete` removes it. It is deleted
    immediately only if it was in the stores and AWS allows no further key for the user.

    Examples:
      cml-iam key revoke KEY_ID
    """
    from cml_iam.credentials import revocation_step
    from cml_iam.credentials import revoke as take

    _check(key_id)
    rotator = rotator_of(where)
    if settings().dry_run:
        tell_step(revocation_step(rotator, key_id))
        return
    if not agreed(rotator.aws, f"deactivate {key_id} now?"):
        return
    done = take(rotator, key_id)
    store = rotator.delivery.store
    words = store.afterwards() if done.replacement else ()
    told = {
        "revoked": key_id,
        "use": str(done.use),
        "replacement": done.replacement,
        "deleted": done.deleted,
        "afterwards": words,
    }
    answer(told, lambda: _tell(done, store.name, words))


def _tell(done: Revoked, store: str, words: Sequence[str]) -> None:
    state = "deleted, to make room" if done.deleted else "inactive"
    say(f"{OK} {done.key_id} is {state}; it was {done.use}")
    if done.replacement:
        say(f"{OK} {done.replacement} replaces it in {store}")
    if not done.deleted:
        say(f"review its use, then delete it: `cml-iam key delete {done.key_id}`")
    say_lines(f"{WARN} {word}" for word in words)
    say(f"{WARN} temporary credentials made with it stay valid until they expire (up to 36 hours)")


@click.argument("key_id", metavar="KEY_ID")
@key_options
@click.option("--stored", is_flag=True, help="Delete the key even if it is in a store.")
@shared_options("yes", "dry_run")
def delete(key_id: str, where: Where, stored: bool) -> None:
    """Delete an inactive key; `key revoke` deactivates one.

    AWS keeps no record of a deleted key, and it cannot be reactivated.

    Examples:
      cml-iam key delete KEY_ID
    """
    from cml_iam.credentials import delete as take
    from cml_iam.credentials import deletion_step

    _check(key_id)
    rotator = rotator_of(where)
    step = deletion_step(rotator, key_id, stored=stored)
    if settings().dry_run:
        tell_step(step)
        return
    if not agreed(rotator.aws, f"{step}?"):
        return
    use = take(rotator, key_id, stored=stored)
    answer(
        {"deleted": key_id, "use": str(use)}, lambda: say(f"{OK} {key_id} is deleted; it was {use}")
    )
