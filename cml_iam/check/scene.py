"""What checks are asked of: an account or a machine, of which each fact is read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cml_iam.aws import greet, source_of
from cml_iam.check._check import fact
from cml_iam.check.refusal import Deciding
from cml_iam.errors import AwsError, CmlIamError, CredentialsError, NotFoundError, QuotaError
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.render import MOST_PARTS, part_name, render_document, render_parts, render_policy
from cml_iam.workers import try_permissions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.aws import Greeting, Source
    from cml_iam.aws.port import Aws, Identity
    from cml_iam.policy import PolicyDocument
    from cml_iam.principal import Held, Holdings
    from cml_iam.render import Profile
    from cml_iam.site import Site
    from cml_iam.workers import Health, Launch, WorkerManager

_QUARANTINE: Final = "AWSCompromisedKeyQuarantine"


@dataclass(frozen=True, slots=True)
class Rendered:
    """What the site renders, as it is to be attached: ARN and document."""

    policies: tuple[tuple[str, PolicyDocument], ...]
    boundary: PolicyDocument | None
    guard: PolicyDocument | None

    @property
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The documents of the policy's parts."""
        return tuple(document for _, document in self.policies)


@dataclass(frozen=True, slots=True)
class Attached:
    """What the principal holds, sorted: the site's own policies, its guard, and the rest."""

    holder: Holdings
    own: tuple[Held, ...]
    guard: tuple[Held, ...]
    quarantine: tuple[Held, ...]
    extra: tuple[Held, ...]

    @property
    def all(self) -> tuple[Held, ...]:
        """Everything that gives it permissions."""
        return (*self.own, *self.guard, *self.quarantine, *self.extra)

    @property
    def with_boundary(self) -> tuple[Held, ...]:
        """Everything that gives or limits them."""
        return (*self.all, *([self.holder.boundary] if self.holder.boundary else []))


def rendered_of(site: Site, profile: Profile) -> Rendered:
    """Return what is to be attached in this profile; None for what the site does not render."""
    parts = render_parts(site, profile)
    names = [part_name(site.policy_arn, number) for number in range(1, len(parts) + 1)]
    policies = tuple(zip(names, (each.document for each in parts), strict=True))
    if not site.restrict.active:
        return Rendered(policies, None, None)
    return Rendered(policies, _rendered(site, "boundary"), _rendered(site, "guard"))


def _rendered(site: Site, name: str) -> PolicyDocument | None:
    try:
        return render_document(site, name).document
    except QuotaError:
        return None


def sort_held(site: Site, holder: Holdings) -> Attached:
    """Sort what the principal holds; a site's policy by way of a group is another's doing."""
    held = holder.policies
    parts = {part_name(site.policy_arn, number) for number in range(1, MOST_PARTS + 1)}
    direct = [each for each in held if each.group is None]
    own = tuple(each for each in direct if each.arn in parts)
    guard = tuple(each for each in direct if each.arn == site.guard_arn)
    quarantine = tuple(
        each for each in held if each.arn and f":aws:policy/{_QUARANTINE}" in each.arn
    )
    sorted_ = (*own, *guard, *quarantine)
    extra = tuple(each for each in held if each not in sorted_)
    return Attached(holder, own, guard, quarantine, extra)


@dataclass(frozen=True, slots=True)
class Live:
    """What is asked of an account: *manager* is AWS as the manager sees it, where it is at hand.

    *skip* are ids of checks not to be made, *also* those of optional ones that are. *scps* are the
    service control policies of each level above the account, where they were given.
    """

    site: Site
    now: datetime
    profile: Profile = "hardened"
    manager: Aws | None = None
    skip: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    scps: Any = None


class AccountScene:
    """The account that *aws* speaks to, beside the site it is to be as."""

    def __init__(self, aws: Aws, asked: Live) -> None:
        self.aws, self.site, self.now = aws, asked.site, asked.now
        self.profile, self.scps = asked.profile, asked.scps
        self._manager = asked.manager

    @fact
    def identity(self) -> Identity:
        """Whose credentials these are."""
        return self.aws.identity()

    @property
    def account(self) -> str:
        """The account of the credentials."""
        return self.identity.account

    @property
    def manager(self) -> Aws | None:
        """AWS as the manager sees it: as given, or by these credentials where they are its own.

        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        """
        if self._manager is not None:
            return self._manager
        site, arn = self.site, self.identity.arn
        if site.role:
            return self.aws if f":assumed-role/{site.role}/" in arn else None
        return self.aws if ":user/" in arn and arn.rpartition("/")[2] == site.user else None

    @fact
    def holdings(self) -> Holdings:
        """What the site's principal holds, as far as it can be read."""
        return read_holdings(self.aws, *self.site.principal)

    @fact
    def attached(self) -> Attached:
        """All that the principal holds, sorted; raises the error of what cannot be read."""
        return sort_held(self.site, self.holdings.whole())

    @property
    def attached_if_read(self) -> Attached | None:
        """What the principal holds, None where not all of it can be read."""
        try:
            return self.attached
        except CredentialsError:
            raise
        except CmlIamError:
            return None

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the principal, none where they cannot be read."""
        try:
            return self.holdings.tags
        except CredentialsError:
            raise
        except CmlIamError:
            return {}

    @fact
    def rendered(self) -> Rendered:
        """What the site renders, as it is to be attached."""
        return rendered_of(self.site, self.profile)


@dataclass(frozen=True, slots=True)
class Who:
    """The credential in use, and whom AWS takes it for, or why for nobody."""

    source: Source | None
    identity: Identity | None = None
    failure: CmlIamError | None = None


@dataclass(frozen=True)
class Scene:
    """A machine, its credential and the manager; each fact is read once.

    *manager* and *aws* act as the manager itself; *admin*, where given, may read IAM. *profile* and
    *endpoint_url* are those of the command line. *now* tells the time of this machine,
    *probe* what to try launching with in a region.
    """

    aws: Aws
    manager: WorkerManager
    regions: tuple[str, ...]
    home: str
    site: Site | None
    now: Callable[[], datetime]
    admin: Aws | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    env_file: Path = Path(".env")
    probe: Callable[[str], Launch | None] = lambda _region: None

    @property
    def reader(self) -> Aws:
        """Who is asked about IAM."""
        return self.admin or self.aws

    @fact
    def who(self) -> Who:
        """Which credential is in use, and whom AWS takes it for."""
        source = None
        try:
            source = source_of(self.aws)
            return Who(source, self.aws.identity())
        except CmlIamError as error:
            return Who(source, failure=error)

    @fact
    def greetings(self) -> dict[str, Greeting | CmlIamError]:
        """What answers for each service, or why nothing does."""
        return {each: self._greeting(each) for each in ("sts", "ec2", "cloudwatch")}

    def _greeting(self, service: str) -> Greeting | CmlIamError:
        where = {"profile": self.profile, "endpoint_url": self.endpoint_url}
        try:
            return greet(service, self.home, now=self.now, **where)
        except CmlIamError as error:
            return error

    @fact
    def health(self) -> tuple[Health, ...]:
        """What the manager can do in each region."""
        return try_permissions(self.manager, self.regions, self.probe)

    @fact
    def deciding(self) -> Deciding | str:
        """The policies that decide: those attached, else those the site renders, else why not."""
        who = self.who.identity
        named = principal_of_arn(who.arn) if who else None
        if who is None or named is None:
            return "the account's root has no policies"
        try:
            holdings = read_holdings(self.reader, *named, account=who.account)
        except NotFoundError as error:
            return self._rendered(f"the policies attached: {error.message}")
        except AwsError:
            return self._rendered("")
        for each in holdings.unread:
            if not isinstance(each.error, AwsError):
                return f"a policy attached cannot be judged: {each.error.message}"
        if holdings.unread:
            return self._rendered("; ".join(each.words for each in holdings.unread))
        boundary = holdings.boundary.document if holdings.boundary else None
        return Deciding(holdings.documents, boundary)

    def _rendered(self, unread: str) -> Deciding | str:
        if self.site is None:
            why = f"could not read {unread}" if unread else "its policies may not be read"
            return f"{why}, and there is no site file to render"
        return Deciding((render_policy(self.site).document,), live=False, unread=unread)
