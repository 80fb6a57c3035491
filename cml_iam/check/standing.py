"""How an account compares with its site: differences, extra policies, keys, as values.

`bootstrap status` and `bootstrap drift` present them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.provision import step_data

if TYPE_CHECKING:
    from cml_iam.credentials import KeyInfo, KeyUse
    from cml_iam.provision import Plan


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

    @property
    def remedy(self) -> str | None:
        """What to do about an inactive key in the store."""
        return "replace it: `cml-iam key rotate`" if self.inactive else None

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
            "remedy": self.remedy,
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
