"""How the account compares with the site's plan: differences, extra policies, keys.

`bootstrap status` and `bootstrap drift` present this. Both use the plan, so that they always agree
with what `bootstrap apply` would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.credentials import KeyInfo, KeyUse, key_use, list_keys
from cml_iam.principal import read_principal
from cml_iam.provision import PRINCIPAL, plan_bootstrap, step_data

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.credentials import Store
    from cml_iam.principal import Principal
    from cml_iam.provision import Piece, Plan
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """A key of the user; *stored* is True if the store holds it."""

    info: KeyInfo
    use: KeyUse
    stored: bool

    def as_json(self) -> dict[str, Any]:
        """Return the key as JSON values."""
        return {
            "id": self.info.id,
            "status": self.info.status,
            "created": self.info.created.isoformat() if self.info.created else None,
            "last_used": self.use.when.isoformat() if self.use.when else None,
            "last_used_service": self.use.service or None,
            "last_used_region": self.use.region or None,
            "stored": self.stored,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The plan as if no key were needed, the user's keys, and the key id in the store."""

    plan: Plan
    keys: tuple[KeyStatus, ...]
    stored_id: str | None

    @property
    def stale(self) -> bool:
        """Whether the store holds a key that does not belong to the user."""
        return self.stored_id is not None and not any(key.stored for key in self.keys)

    @property
    def inactive(self) -> bool:
        """Whether the store holds a key that is inactive."""
        return any(key.stored and not key.info.active for key in self.keys)

    def as_json(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {
            "principal": self.plan.principal,
            "steps": [
                {"mark": step.mark, "resource": step.resource, "name": step.name}
                for step in self.plan.all_steps
            ],
            "keys": [key.as_json() for key in self.keys],
            "stored_id": self.stored_id,
            "stale": self.stale,
            "inactive": self.inactive,
            "warnings": list(self.plan.warnings),
            "unchecked": list(self.plan.unchecked),
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """The plan for the account, and the extra policies found there."""

    plan: Plan
    also: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything differs from the site."""
        return bool(self.plan.changes or self.also)

    def as_json(self) -> dict[str, Any]:
        """Return the drift as JSON values."""
        return {
            "principal": self.plan.principal,
            "differs": self.differs,
            "steps": [step_data(step) for step in self.plan.changes],
            "also": list(self.also),
            "unchecked": list(self.plan.unchecked),
        }


def read_status(aws: Aws, site: Site, document: str | Sequence[str], store: Store | None) -> Status:
    """Return the status; only reads. Raises as `plan_bootstrap` does."""
    plan = plan_bootstrap(aws, site, document)
    key = store.look().key if store and site.user else None
    stored_id = key.id if key else None
    keys = tuple(
        KeyStatus(info, key_use(aws, info.id), info.id == stored_id)
        for info in (list_keys(aws, site.user) if site.user else ())
    )
    return Status(plan, keys, stored_id)


def read_drift(
    aws: Aws,
    site: Site,
    documents: str | Sequence[str],
    *,
    pieces: Collection[Piece] = PRINCIPAL,
    **options: Any,
) -> Drift:
    """Return how the account differs from *site* by meaning; only reads.

    The site's boundary and guardrail are compared if they are turned on, or among *pieces*.
    *options* are those of `plan_bootstrap`. Raises as that does.
    """
    principal = read_principal(aws, *site.principal)
    chosen = frozenset(pieces) | (_on(principal, site) if "principal" in pieces else frozenset())
    plan = plan_bootstrap(aws, site, documents, pieces=chosen, **options)
    held = principal.boundary if principal else None
    foreign = held is not None and plan.desired.boundary is None  # else the plan changes it
    also = f"the principal is bounded by `{held}`, which is not the site's boundary"
    return Drift(plan, (*plan.warnings, *([also] if foreign else [])))


def _on(principal: Principal | None, site: Site) -> frozenset[Piece]:
    on: set[Piece] = set()
    if principal is not None and principal.boundary == site.boundary_arn:
        on.add("boundary")
    if principal is not None and site.guard_arn in principal.attached:
        on.add("guard")
    return frozenset(on)
