"""How the account differs from the site, and what else the principal has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.principal import read_principal
from cml_iam.provision._bootstrap import plan_bootstrap
from cml_iam.provision._plan import PRINCIPAL
from cml_iam.provision._saved import step_data

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cml_iam.aws.port import Aws
    from cml_iam.principal import Principal
    from cml_iam.provision._plan import Piece, Plan
    from cml_iam.site import Site


@dataclass(frozen=True, slots=True)
class Drift:
    """The plan there would be, what is there beside it, and what could not be checked."""

    plan: Plan
    also: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether anything is otherwise than the site says."""
        return bool(self.plan.changes or self.also)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What could not be checked, in words."""
        return self.plan.unchecked


def read_drift(
    aws: Aws,
    site: Site,
    documents: str | Sequence[str],
    *,
    pieces: Collection[Piece] = PRINCIPAL,
    **wanted: Any,
) -> Drift:
    """Return how the account differs from *site* by meaning; only reads.

    The site's boundary and guard are compared where they are on, or among *pieces*. *wanted* is
    what `plan_bootstrap` takes. Raises as that does.
    """
    principal = read_principal(aws, *site.principal)
    chosen = frozenset(pieces) | (_on(principal, site) if "principal" in pieces else frozenset())
    plan = plan_bootstrap(aws, site, documents, pieces=chosen, **wanted)
    return Drift(plan, (*plan.warnings, *_boundary(principal, plan)))


def _on(principal: Principal | None, site: Site) -> frozenset[Piece]:
    found: set[Piece] = set()
    if principal is not None and principal.boundary == site.boundary_arn:
        found.add("boundary")
    if principal is not None and site.guard_arn in principal.attached:
        found.add("guard")
    return frozenset(found)


def _boundary(principal: Principal | None, plan: Plan) -> tuple[str, ...]:
    held = principal.boundary if principal else None
    if held is None or plan.desired.boundary is not None:
        return ()  # none, or the plan changes it
    return (f"the principal is bounded by `{held}`, which is not the site's boundary",)


def drift_data(drift: Drift) -> dict[str, Any]:
    """Return *drift* as plain data."""
    return {
        "principal": drift.plan.principal,
        "differs": drift.differs,
        "steps": [step_data(step) for step in drift.plan.steps if step.changes],
        "also": list(drift.also),
        "unchecked": list(drift.unchecked),
    }
