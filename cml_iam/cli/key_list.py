"""`cml-iam key list`: how old each key is, who used it, where it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._output import WARN, print_json, print_table, say, wants_json
from cml_iam.cli._rotator import key_options, rotator_of, schedule_options

if TYPE_CHECKING:
    from datetime import timedelta

    from cml_iam.cli._delivery import Where
    from cml_iam.credentials import KeyInfo, KeyUse, Schedule


@click.command("list")
@key_options
@schedule_options
def list_keys(where: Where, **spans: timedelta) -> None:
    """Show each key's age, last use, due date and stores; never a secret.

    A key is due so early that a rotation is over before it reaches --max-age; active keys past
    that are pointed out.
    """
    from cml_iam.credentials import key_use, list_keys, parts_of

    rotator = rotator_of(where, spans)
    parts = parts_of(rotator.delivery.store)
    stored = {part.name: found.id if (found := part.look().key) else None for part in parts}
    data = [
        _data(info, key_use(rotator.aws, info.id), rotator.schedule, stored)
        for info in list_keys(rotator.aws, rotator.user)
    ]
    known = {each["id"] for each in data}
    stale = {name: key for name, key in stored.items() if key and key not in known}
    if wants_json():
        # Of several stores the id says something only where it is the same in all.
        only = next(iter(stored.values())) if len(set(stored.values())) == 1 else None
        print_json({"user": rotator.user, "keys": data, "stored_id": only, "stores": stored})
        return
    _say(data, rotator.schedule.max_age.days)
    for name, key in stale.items():
        say(f"{WARN} {name} holds `{key}`, which is no key of this user")


def _say(data: list[dict[str, Any]], most: int) -> None:
    print_table(
        ("access key", "state", "age", "use", "due", "stored", "in"),
        [
            (
                each["id"],
                each["status"],
                f"{each['age_days']} days" if each["age_days"] is not None else "?",
                each["use"],
                f"{WARN} now" if each["is_due"] else (each["due"] or "?")[:10],
                "yes" if each["stored"] else "no",
                ", ".join(each["stores"]),
            )
            for each in data
        ],
    )
    for each in data:
        if each["over_age"]:
            say(f"{WARN} {each['id']} is {each['age_days']} days old, and {most} are allowed")


def _data(
    info: KeyInfo, use: KeyUse, schedule: Schedule, stored: dict[str, str | None]
) -> dict[str, Any]:
    now, due = datetime.now(UTC), schedule.due(info)
    stores = [name for name, key in stored.items() if key == info.id]
    age = now - info.created if info.created else None
    return {
        "id": info.id,
        "status": info.status,
        "created": info.created.isoformat() if info.created else None,
        "age_days": age.days if age is not None else None,
        "over_age": bool(info.active and age is not None and age >= schedule.max_age),
        "due": due.isoformat() if due else None,
        "is_due": due is not None and due <= now,
        "last_used": use.when.isoformat() if use.when else None,
        "last_used_service": use.service or None,
        "last_used_region": use.region or None,
        "use": str(use),
        "stored": bool(stores),
        "stores": stores,
    }
