"""Take a key out of the world at once: it leaked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cml_iam.credentials._delivery import deliver, plan_key
from cml_iam.credentials._keys import KeyUse, key_use, list_keys, update_key
from cml_iam.credentials._rotation_state import read_user
from cml_iam.credentials._together import store_locked
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.credentials._rotator import Rotator


@dataclass(frozen=True, slots=True)
class Revoked:
    """The key that is inactive now, its last use, and the key that is in the store instead.

    *replacement* is None where the revoked key was not the one in the store.
    """

    key_id: str
    use: KeyUse
    replacement: str | None


def revoke(rotator: Rotator, key_id: str) -> Revoked:
    """Make the user's key *key_id* inactive at once, and replace it where it is in the store.

    It is not deleted, so that its use can still be looked at. Temporary credentials made with it
    live on until they expire, up to 36 hours:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_disable-perms.html

    Raises InputError for a key that is not the user's; RefusedError, after the key is inactive,
    where there is no room for another.
    """
    store = rotator.delivery.store
    with store_locked(store):
        keys = {key.id: key for key in list_keys(rotator.aws, rotator.user)}
        if key_id not in keys:
            known = ", ".join(f"`{key}`" for key in keys) or "none"
            raise InputError(f"`{key_id}` is no key of `{rotator.user}`; it has {known}")
        if keys[key_id].active:
            update_key(rotator.aws, rotator.user, key_id, active=False)
            rotator.report(f"`{key_id}` is inactive")
        use = key_use(rotator.aws, key_id)
        if all(stored.id != key_id for stored in store.look().keys):
            return Revoked(key_id, use, None)
        arn = read_user(rotator.aws, rotator.user).arn
        plan = plan_key(rotator.aws, rotator.user, arn, rotator.delivery)
        made = deliver(rotator.aws, plan, rotator.delivery, pause=rotator.pause)
        return Revoked(key_id, use, made)
