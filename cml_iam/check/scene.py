"""The subject of checks, an account or a machine; each fact about it is read only once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cml_iam.check.checks import fact
from cml_iam.errors import CmlIamError, CredentialsError
from cml_iam.principal import read_holdings
from cml_iam.render import MOST_PARTS, part_name, render_limits, render_parts

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws, Identity
    from cml_iam.policy import PolicyDocument
    from cml_iam.principal import Held, Holdings
    from cml_iam.render import Profile
    from cml_iam.site import Site

_T = TypeVar("_T")
_QUARANTINE: Final = "AWSCompromisedKeyQuarantine"


@dataclass(frozen=True, slots=True)
class Attached:
    """The policies of the principal, sorted: the site's own, its guardrail, and all others."""

    holder: Holdings
    own: tuple[Held, ...]
    guard: tuple[Held, ...]
    quarantine: tuple[Held, ...]
    extra: tuple[Held, ...]

    @property
    def all(self) -> tuple[Held, ...]:
        """Every policy that grants permissions."""
        return (*self.own, *self.guard, *self.quarantine, *self.extra)

    @property
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The documents of every policy that grants permissions."""
        return tuple(held.document for held in self.all)

    @property
    def boundary(self) -> PolicyDocument | None:
        """The document of the principal's boundary, if it has one."""
        return self.holder.boundary.document if self.holder.boundary else None

    @property
    def with_boundary(self) -> tuple[Held, ...]:
        """Every policy that grants or limits permissions."""
        return (*self.all, *([self.holder.boundary] if self.holder.boundary else []))

    def name_of(self, held: Held) -> str:
        """Return the ARN of *held*; an inline policy has that of its holder, and its name."""
        return held.arn or f"{self.holder.arn}#{held.name}"


def sort_held(site: Site, holder: Holdings) -> Attached:
    """Sort the principal's policies; a site policy from a group counts as foreign."""
    parts = {part_name(site.policy_arn, number) for number in range(1, MOST_PARTS + 1)}
    direct = [held for held in holder.policies if held.group is None]
    own = tuple(held for held in direct if held.arn in parts)
    guard = tuple(held for held in direct if held.arn == site.guard_arn)
    quarantine = tuple(
        held for held in holder.policies if held.arn and f":aws:policy/{_QUARANTINE}" in held.arn
    )
    sorted_ = (*own, *guard, *quarantine)
    extra = tuple(held for held in holder.policies if held not in sorted_)
    return Attached(holder, own, guard, quarantine, extra)


def _if_read(read: Callable[[], _T], default: _T) -> _T:
    """Return what *read* returns, or *default* if AWS does not let it be read."""
    try:
        return read()
    except CredentialsError:
        raise
    except CmlIamError:
        return default


@dataclass(frozen=True)
class AccountScene:
    """The account of *aws*, the site to compare it with, and what to ask about it.

    *manager* is AWS as the manager sees it. *skip* are ids of checks to leave out, *also* of
    optional ones to include. *scps* are the service control policies of each level above the
    account. *other* is the ARN of a principal to simulate instead of the site's.
    """

    aws: Aws
    site: Site
    now: datetime
    profile: Profile = "hardened"
    manager: Aws | None = None
    skip: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    scps: Any = None
    other: str | None = None

    @fact
    def identity(self) -> Identity:
        """The identity that the credentials belong to."""
        return self.aws.identity()

    @property
    def account(self) -> str:
        """The account of the credentials."""
        return self.identity.account

    @property
    def as_manager(self) -> Aws | None:
        """AWS with the manager's credentials: as given, or *aws* if those are the manager's.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        """
        if self.manager is not None:
            return self.manager
        site, arn = self.site, self.identity.arn
        if site.role:
            return self.aws if f":assumed-role/{site.role}/" in arn else None
        return self.aws if ":user/" in arn and arn.rpartition("/")[2] == site.user else None

    @fact
    def holdings(self) -> Holdings:
        """The policies of the site's principal, as far as they can be read."""
        return read_holdings(self.aws, *self.site.principal)

    @fact
    def attached(self) -> Attached:
        """All policies of the principal, sorted; raises the error if one cannot be read."""
        return sort_held(self.site, self.holdings.whole())

    @property
    def attached_if_read(self) -> Attached | None:
        """The policies of the site's principal; None if unreadable, or for another principal."""
        return None if self.other else _if_read(lambda: self.attached, None)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the principal; empty if they cannot be read."""
        return _if_read(lambda: self.holdings.tags, {})

    @fact
    def rendered(self) -> tuple[PolicyDocument, ...]:
        """The documents of the site's policy, as rendered."""
        return tuple(part.document for part in render_parts(self.site, self.profile))

    @fact
    def limits(self) -> Mapping[str, PolicyDocument]:
        """The site's boundary and guardrail by name, as far as it renders them."""
        return {name: limit.document for name, limit in render_limits(self.site).items()}
