"""The sandbox's state outside moto's models: callers, stored responses, pending changes."""

from __future__ import annotations

import secrets
import string
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any, Final

from cml_iam.engine import AttachedPolicy, Shape
from cml_iam.engine.authorization import Caller
from cml_iam.facts import known_regions, opt_in_regions, partition_of
from cml_iam.policy import Arn
from cml_iam.sandbox._conditions import Conditions, Refusals, Throttle
from cml_iam.sandbox._moto import Moto
from cml_iam.sandbox._wire import Answer, Call, Fault, rows
from cml_iam.secret import Secret


def system_clock() -> datetime:
    return datetime.now(UTC)


_ALPHABET: Final = string.ascii_uppercase + "234567"
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits + "+/"
_MOST_KEPT: Final = 2000


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key: its id and its secret."""

    id: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials and their identity: *arn* is an assumed role, a user, or the root.

    *mfa* says whether they were obtained with multi-factor authentication. *federated* is the id of
    the federated user to whom a user or the root gave them.
    """

    key: AccessKey
    token: Secret
    arn: str
    user_id: str
    issued: datetime
    expires: datetime
    role: str | None = None
    user: str | None = None
    policies: tuple[str, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    mfa: bool = False
    federated: str = ""


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; *name* is set for a user, *session* for temporary credentials."""

    arn: str
    user_id: str
    access_key_id: str
    source_ip: str
    name: str | None = None
    role: str | None = None
    session: Session | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root user, whom no identity-based policy limits."""
        return Arn.parse(self.arn).resource == "root"

    @property
    def caller(self) -> Caller:
        """The caller as used in authorizations."""
        return Caller(self.arn, self.user_id, self.source_ip, self.tags)


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a caller; a limit that does not exist is None."""

    identity: tuple[AttachedPolicy, ...] = ()
    boundary: AttachedPolicy | None = None
    session: tuple[str, ...] | None = None


@dataclass(slots=True)
class Delay:
    """An *instance* that becomes *final* after *left* more looks, but not before *due*."""

    instance: Any
    final: str
    left: int
    due: datetime


def _random(length: int, alphabet: str = _ALPHABET) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def new_id(prefix: str) -> str:
    """Return a unique IAM id, whose prefix shows the kind of entity.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    return prefix + _random(17)


def new_key(prefix: str = "AKIA") -> AccessKey:
    return AccessKey(prefix + _random(16), Secret(_random(40, _SECRET_ALPHABET)))


@dataclass(eq=False)
class World:
    """One account of the embedded AWS.

    Every call holds *lock*, so that the state does not change between authorization and execution.
    """

    moto: Moto
    account: str
    region: str
    shape: Shape = "new"
    describes_until_arrived: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    now: Callable[[], datetime] = system_clock
    lock: RLock = field(default_factory=RLock)
    root: AccessKey = field(default_factory=new_key)
    sessions: dict[str, Session] = field(default_factory=dict)
    launches: dict[tuple[str, str], tuple[Call, Answer]] = field(default_factory=dict)
    kept: OrderedDict[str, object] = field(default_factory=OrderedDict)
    """The value behind each opaque token; see `keep`."""
    delays: dict[str, Delay] = field(default_factory=dict)
    healthy: dict[str, datetime] = field(default_factory=dict)
    """When the status checks of each instance pass."""
    unseen: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Instances that are not visible yet, each with its region and the time until then."""
    ended: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    """Terminated instances, each with its region and the time of termination."""
    key_known: dict[str, datetime] = field(default_factory=dict)
    """When each new access key becomes known."""
    policies_then: dict[str, list[tuple[datetime, Policies]]] = field(default_factory=dict)
    """By ARN: a principal's policies over time, each with its start, if changes are delayed."""
    accessed: dict[str, dict[str, tuple[datetime, str]]] = field(default_factory=dict)
    """When and where each user and role last tried an action, by ARN."""
    root_used: Any = None
    """When and where the root user's key was last used, in moto's form."""
    access_jobs: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The subject and granularity of each access report, by job id."""

    def __post_init__(self) -> None:
        self.started = self.now()
        self.partition = partition_of(self.region)
        self.root_arn = f"arn:{self.partition}:iam::{self.account}:root"
        offered = {self.region, *known_regions(self.partition)} & {*self.moto.all("ec2").regions}
        self.regions = frozenset(offered - opt_in_regions() | (offered & {self.region}))
        """The regions that the account has enabled."""
        buckets = self.conditions.buckets
        self.throttle = Throttle(buckets) if self.conditions.throttle else None
        self.refusals = Refusals(self.conditions.refuse)

    @property
    def iam(self) -> Any:
        """Moto's model of IAM."""
        return self.moto.backend("iam", self.partition)

    def entities(self, kind: str) -> list[Any]:
        """Return moto's users, groups, roles, policies or instance profiles, by IAM's *kind*."""
        names = {name: attribute for name, *_, attribute in rows("entities").values()}
        return list(getattr(self.iam, names[kind]).values()) if kind in names else []

    def entity(self, kind: str, named: str | None) -> Any:
        """Return the entity of this name or ARN, or None."""
        entities = self.entities(kind)
        return next((entity for entity in entities if named in (entity.name, entity.arn)), None)

    def existing(self, kind: str, name: str) -> Any:
        """Return the user or role *name*; raises Fault if there is none."""
        entity = self.entity(kind, name)
        if entity is None:
            raise Fault("NoSuchEntity", f"The {kind} with name {name} cannot be found.")
        return entity

    def ec2(self, region: str) -> Any:
        """Return moto's model of EC2 in *region*."""
        return self.moto.backend("ec2", region)

    def naive_now(self) -> datetime:
        """Return the time in moto's form: naive UTC."""
        return self.now().astimezone(UTC).replace(tzinfo=None)

    def home_of(self, _: str) -> World:
        """Return the world of the account in a role's ARN; there is only this one."""
        return self

    def keep(self, value: object) -> str:
        """Keep *value*, the reason for a refusal or a place in a list; return its opaque token."""
        token = secrets.token_urlsafe(96)
        self.kept[token] = value
        if len(self.kept) > _MOST_KEPT:
            self.kept.popitem(last=False)
        return token
