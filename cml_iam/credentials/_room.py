"""Room for another key: AWS allows a user two, so one of two must go first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.credentials._keys import MOST_KEYS, KeyInfo, KeyUse, key_use
from cml_iam.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cml_iam.aws.port import Aws


def key_to_delete(
    aws: Aws,
    user: str,
    keys: Sequence[KeyInfo],
    held: Collection[str],
    *,
    quiet: Callable[[KeyUse], bool] | None = None,
    last: str | None = None,
) -> str | None:
    """Return which of the user's *keys* is to be deleted before another is made; None for none.

    *held* are the ids in the stores. An inactive one of them goes first: it works for nobody, and
    its secret is about to be overwritten. Otherwise, where *quiet* is given, an inactive key in no
    store whose use it calls quiet; the key *last* only if there is no other.

    Raises RefusedError with the evidence, and the command that leads on, where neither is there.
    """
    if len(keys) < MOST_KEYS:
        return None
    inactive = [key for key in keys if not key.active]
    useless = [key.id for key in inactive if key.id in held]
    if useless:
        return useless[0]
    others = sorted((key for key in inactive if key.id not in held), key=lambda key: key.id == last)
    if quiet is not None:
        for key in others:
            if quiet(key_use(aws, key.id)):
                return key.id
    raise _no_room(aws, user, keys, held, others)


def _no_room(
    aws: Aws,
    user: str,
    keys: Sequence[KeyInfo],
    held: Collection[str],
    inactive: Sequence[KeyInfo],
) -> RefusedError:
    uses = {key.id: key_use(aws, key.id) for key in keys}
    evidence = "; ".join(key_evidence(key, uses[key.id]) for key in keys)
    stored = ", ".join(f"`{key}`" for key in sorted(held)) or "none"
    free = [key for key in keys if key.id not in held]
    if inactive:
        remedy = f"if nobody needs it any more: `cml-iam key delete {inactive[0].id}`"
    elif free:
        # The one without a use, or whose last use is the longest ago.
        least = min(free, key=lambda key: ((when := uses[key.id].when) and when.timestamp()) or 0)
        remedy = f"find out who uses `{least.id}`, then `cml-iam key revoke {least.id}`"
    else:
        remedy = "put one key into all the stores: `cml-iam key deliver --to STORE --to STORE`"
    return RefusedError(
        f"`{user}` has {len(keys)} access keys, as many as AWS allows, so there is no room for a "
        f"third: {evidence}; the store holds {stored}",
        remedy=remedy,
    )


def _last_used(use: KeyUse) -> float:
    """Return when, in seconds since 1970; 0 for never."""
    return use.when.timestamp() if use.when else 0.0


def key_evidence(key: KeyInfo, use: KeyUse) -> str:
    """Return in words what is known of *key*."""
    made = f", made {key.created:%Y-%m-%d}" if key.created else ""
    return f"`{key.id}` {key.status}{made}, {use}"
