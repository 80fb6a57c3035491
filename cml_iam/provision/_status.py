"""How things stand: the plan there would be, and the keys with their use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.credentials import KeyInfo, KeyUse, key_use, list_keys
from cml_iam.provision._bootstrap import plan_bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import Store
    from cml_iam.provision._plan import Plan
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the user; *stored* says that the store holds it."""

    info: KeyInfo
    use: KeyUse
    stored: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The plan there would be without the key, the user's keys, and the id in the store."""

    plan: Plan
    keys: tuple[KeyStatus, ...]
    stored_id: str | None

    @property
    def stale(self) -> bool:
        """Whether the store holds a key that is none of the user's."""
        return self.stored_id is not None and not any(key.stored for key in self.keys)

    @property
    def inactive(self) -> bool:
        """Whether the store holds a key that is inactive."""
        return any(key.stored and not key.info.active for key in self.keys)


def read_status(aws: Aws, site: Site, document: str | Sequence[str], store: Store | None) -> Status:
    """Return how things stand; only reads. Raises as `plan_bootstrap` does."""
    plan = plan_bootstrap(aws, site, document)
    key = store.look().key if store and site.user else None
    stored_id = key.id if key else None
    keys = tuple(
        KeyStatus(info, key_use(aws, info.id), info.id == stored_id)
        for info in (list_keys(aws, site.user) if site.user else ())
    )
    return Status(plan, keys, stored_id)


def key_data(key: KeyStatus) -> dict[str, Any]:
    """Return *key* as plain data."""
    return {
        "id": key.info.id,
        "status": key.info.status,
        "created": key.info.created.isoformat() if key.info.created else None,
        "last_used": key.use.when.isoformat() if key.use.when else None,
        "last_used_service": key.use.service or None,
        "last_used_region": key.use.region or None,
        "stored": key.stored,
    }
