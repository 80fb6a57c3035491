"""What the stores inside AWS share: one JSON object that holds the key, other members kept."""

from __future__ import annotations

import json
from typing import Any

from cml_iam.credentials import _dotenv
from cml_iam.credentials._file_store import known_key
from cml_iam.credentials._keys import AccessKey
from cml_iam.errors import CmlIamError, RefusedError
from cml_iam.secret import Secret


def parsed(value: Secret | None, name: str) -> dict[str, Any]:
    """Return the JSON object in *value*, empty for none; raises RefusedError for anything else."""
    if value is None:
        return {}
    try:
        found = json.loads(value.reveal())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise RefusedError(
            f"`{name}` holds something that is no JSON object, which would be lost",
            remedy="name another one",
        ) from None
    present = [token for token in _dotenv.TOKENS if found.get(token)]
    if present:
        raise RefusedError(
            f"`{name}` holds {present[0]}, with which no long-term key works",
            remedy="remove that member: it belongs to a temporary credential",
        )
    return found


def key_of(found: dict[str, Any]) -> AccessKey | None:
    """Return the key in the JSON object *found*."""
    return known_key(str(found.get(_dotenv.ID, "")), str(found.get(_dotenv.SECRET, "")))


def merged(found: dict[str, Any], key: AccessKey) -> Secret:
    """Return the JSON text of *found* with *key* in it."""
    pair = {_dotenv.ID: key.id, _dotenv.SECRET: key.secret.reveal()}
    return Secret(json.dumps({**found, **pair}))


def check_held(held: AccessKey | None, key: AccessKey, name: str) -> None:
    """Raise CmlIamError unless *key* is what the store *name* holds after it was put there."""
    if held != key:
        raise CmlIamError(f"`{name}` does not hold what was written to it")


def readers_keep(name: str) -> tuple[str, ...]:
    """Return who keeps the old key of the store *name*."""
    return (f"readers that keep `{name}` in memory hold the old key until they ask again",)
