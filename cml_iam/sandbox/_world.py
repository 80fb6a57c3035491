"""The sandbox's state outside moto's models: callers, stored responses, pending changes."""

from __future__ import annotations

import re
import secrets
import string
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError
from cml_iam.facts import known_regions, opt_in_regions, partition_of
from cml_iam.sandbox._conditions import Conditions, Suffering, Throttle
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cml_iam.engine import AttachedPolicy, Shape
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._moto import Moto
    from cml_iam.sandbox._wire import Answer


def system_clock() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


_ALPHABET: Final = string.ascii_uppercase + "234567"
_SECRET_ALPHABET: Final = string.ascii_letters + string.digits + "+/"
_MOST_KEPT: Final = 2000
_ENTITIES: Final = {
    "group": "groups",
    "instance-profile": "instance_profiles",
    "policy": "managed_policies",
    "role": "roles",
    "user": "users",
}
"""moto's names of IAM entities, by the resource type in an ARN."""


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


def new_id(prefix: str) -> str:
    """Return a unique IAM id, whose prefix shows the kind of entity.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
    """
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(17))


def new_key(prefix: str = "AKIA") -> AccessKey:
    """Return a random access key."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    secret = "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))
    return AccessKey(prefix + body, Secret(secret))


class World:
    """One account of the embedded AWS.

    Every call holds *lock*, so that the state does not change between authorization and execution.
    """

    def __init__(
        self,
        moto: Moto,
        account: str,
        region: str,
        *,
        shape: Shape = "new",
        describes_until_arrived: int = 0,
        conditions: Conditions | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self.moto = moto
        self.shape = shape
        self.describes_until_arrived = describes_until_arrived
        self.started = clock()
        self.account = account
        self.region = region
        self.clock = clock
        self.lock = RLock()
        self.root = new_key()
        self.partition = partition_of(region)
        self.sessions: dict[str, Session] = {}
        self.launches: dict[tuple[str, str], tuple[Call, Answer]] = {}
        self.kept: OrderedDict[str, object] = OrderedDict()
        """The value behind each opaque token; see `keep`."""
        known = {region, *known_regions(self.partition)} & moto.regions("ec2")
        self.regions = frozenset(known - opt_in_regions() | (known & {region}))
        """The regions that the account has enabled."""
        self.conditions = conditions or Conditions()
        self.throttle = Throttle(self.conditions.buckets) if self.conditions.throttle else None
        self.suffering = Suffering(self.conditions.refuse)
        self.delays: dict[str, Delay] = {}
        self.healthy: dict[str, datetime] = {}
        """When the status checks of each instance pass."""
        self.unseen: dict[str, tuple[str, datetime]] = {}
        """Instances that are not visible yet, each with its region and the time until then."""
        self.ended: dict[str, tuple[str, datetime]] = {}
        """Terminated instances, each with its region and the time of termination."""
        self.key_known: dict[str, datetime] = {}
        """When each new access key becomes known."""
        self.policies_then: dict[str, list[tuple[datetime, Policies]]] = {}
        """By ARN: a principal's policies over time, each with its start, if changes are delayed."""
        self.accessed: dict[str, dict[str, tuple[datetime, str]]] = {}
        """When and where each user and role last tried an action, by ARN."""
        self.root_used: tuple[datetime, str, str] | None = None
        """When and where the root user's key was last used, and for which service."""
        self.access_jobs: dict[str, tuple[str, str]] = {}
        """The subject and granularity of each access report, by job id."""

    @property
    def iam(self) -> Any:
        """Moto's model of IAM."""
        return self.moto.backend("iam", self.partition)

    def entities(self, kind: str) -> list[Any]:
        """Return moto's users, groups, roles, policies or instance profiles, by IAM's *kind*."""
        return list(getattr(self.iam, _ENTITIES[kind]).values()) if kind in _ENTITIES else []

    def entity(self, kind: str, named: str | None) -> Any:
        """Return the entity of this name or ARN, or None."""
        return next((each for each in self.entities(kind) if named in (each.name, each.arn)), None)

    def ec2(self, region: str) -> Any:
        """Moto's model of EC2 in *region*."""
        return self.moto.backend("ec2", region)

    def cloudwatch(self, region: str) -> Any:
        """Moto's model of CloudWatch in *region*."""
        return self.moto.backend("cloudwatch", region)

    def now(self) -> datetime:
        """Return the time, with its time zone."""
        return self.clock()

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


OWN_IMAGE: Final = "ami-0a1b2c3d4e5f60001"
"""An image of the account, in the sandbox's first region."""

UBUNTU_IMAGE: Final = "ami-0c1c30571d2dae5c9"
"""A public image of another account."""

CANONICAL: Final = "099720109477"
"""https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/"""


def seed(world: World) -> None:
    """Create the images of a new sandbox."""
    register_image(world, OWN_IMAGE, world.region, world.account, "cml-2.9-worker")
    name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server"
    register_image(world, UBUNTU_IMAGE, world.region, CANONICAL, name, public=True)


def register_image(
    world: World, image_id: str, region: str, owner: str, name: str, *, public: bool = False
) -> None:
    """Create the image *image_id* in *region*."""
    if not re.fullmatch(r"ami-(?:[0-9a-f]{8}|[0-9a-f]{17})", image_id):
        raise InputError(f"not the id of an image: `{image_id}`")
    from moto.ec2.models.amis import Ami

    backend = world.ec2(region)
    backend.amis[image_id] = Ami(
        backend,
        image_id,
        name=name or image_id,
        description=name or image_id,
        owner_id=owner,
        public=public,
        virtualization_type="hvm",
        architecture="x86_64",
        root_device_type="ebs",
        root_device_name="/dev/sda1",
        hypervisor="xen",
        image_location=f"{owner}/{name or image_id}",
        region_name=f"{region}a",
    )
