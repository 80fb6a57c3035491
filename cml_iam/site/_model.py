"""The contents of a site file, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from cml_iam.errors import InputError, Problem
from cml_iam.facts import Partition, first_region
from cml_iam.restrict import Grants, Restrictions, Tag, launch_note, send_fix
from cml_iam.site._names import DEFAULT_BOUNDARY, DEFAULT_GUARD, DEFAULT_POLICY, DEFAULT_USER


class Eks(NamedTuple):
    """Where the manager runs on EKS; *oidc_provider* is a URL without `https://`."""

    cluster: str
    region: str
    oidc_provider: str | None = None
    namespace: str = "cml-cloud-manager"
    service_account: str = "cml-cloud-manager"


class RolesAnywhere(NamedTuple):
    """The manager's certificate outside AWS: common names of its *subject* and *issuer*.

    Without *trust_anchor*, an ARN, the Terraform and CloudFormation formats create the anchor.
    """

    subject: str
    issuer: str
    trust_anchor: str | None = None


class Oidc(NamedTuple):
    """The tokens that identify the manager: *provider* (without `https://`) and the claims."""

    provider: str
    subject: str
    audience: str = "sts.amazonaws.com"


class Audit(NamedTuple):
    """The trail and the log group that record the manager's activity."""

    region: str
    bucket: str
    trail: str = "cml-worker-management-audit"
    log_group: str = "cml-cloudtrail"


Virtualization = Literal["metal", "nested"]


class WorkerProfile(NamedTuple):
    """The launch settings of a worker; types and subnets (by zone) are in order of preference.

    *image* is an id or a name with * and ?; *disk* is in GiB; *user_data* is the path of a file,
    relative to the site file.
    """

    name: str
    instance_types: tuple[str, ...]
    image: str
    region: str | None = None
    owners: tuple[str, ...] = ()
    subnets: Mapping[str, str] = MappingProxyType({})
    security_groups: tuple[str, ...] = ()
    key_name: str | None = None
    disk: int | None = None
    instance_profile: str | None = None
    virtualization: Virtualization | None = None
    user_data: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})


class Idle(NamedTuple):
    """The rules for an idle worker, which must all hold over the whole *window*.

    *cpu_percent* and *network_kib* (KiB per second, in and out together) limit the average of every
    period. *cml_nodes* limits the number of nodes that currently run in CML's labs. None turns a
    rule off.
    """

    window: timedelta = timedelta(hours=2)
    cpu_percent: float | None = 5.0
    network_kib: float | None = 20.0
    cml_nodes: int | None = 0


class Fleet(NamedTuple):
    """The tags with which people control the workers: *hold_tag* keeps a worker in its state."""

    hold_tag: str = "cml-iam:hold"


class Application(NamedTuple):
    """How CML Cloud Manager launches workers: with *tags* on resources of the types *tagged*."""

    tags: Mapping[str, str]
    tagged: tuple[str, ...] = ("instance",)

    def sends(self, tag: Tag) -> bool:
        """Return whether CML Cloud Manager sends *tag* for instances that it launches."""
        return "instance" in self.tagged and tag.marks(self.tags)


_NAME_TAGS: Final = (
    "list the tags that it sends in `[manager] tags` of the site file; `health`, `doctor` and "
    "`policy verify` then try its launch"
)


class Credentials(NamedTuple):
    """The credentials of the manager and of the administrator.

    Each is `profile:NAME`, from the AWS configuration, or `env:PATH`, an environment file relative
    to the site file. None means the default search of AWS's SDK. *stores* are the places in AWS to
    which the manager's key is delivered: `secretsmanager:NAME` or `ssm:NAME`.
    """

    manager: str | None = None
    administrator: str | None = None
    stores: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One installation: its account, its principal, and its restrictions.

    *expected* has, by permission, patterns of other principals that may change the workers.
    *doubts* are likely mistakes in the site file that are not errors.
    """

    account: str
    user: str | None = DEFAULT_USER
    role: str | None = None
    partition: Partition = "aws"
    path: str = "/"
    policy: str = DEFAULT_POLICY
    boundary: str = DEFAULT_BOUNDARY
    guard: str = DEFAULT_GUARD
    restrict: Restrictions = field(default_factory=Restrictions)
    grant: Grants = field(default_factory=Grants)
    eks: Eks | None = None
    ecs_region: str | None = None
    roles_anywhere: RolesAnywhere | None = None
    oidc: Oidc | None = None
    audit_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    workers: Mapping[str, WorkerProfile] = field(default_factory=lambda: MappingProxyType({}))
    idle: Idle = field(default_factory=Idle)
    fleet: Fleet = field(default_factory=Fleet)
    application: Application | None = None
    credentials: Credentials = field(default_factory=Credentials)
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    doubts: tuple[Problem, ...] = field(default=(), compare=False)

    @property
    def audit(self) -> Audit:
        """The trail's names, from the site file or the defaults for this account."""
        defaults = {"region": self.home_region, "bucket": f"cml-audit-{self.account}"}
        return Audit(**{**defaults, **self.audit_names})

    @property
    def principal(self) -> tuple[Literal["user", "role"], str]:
        """The principal's kind and name; raises InputError if the site names none."""
        if self.role:
            return "role", self.role
        if self.user:
            return "user", self.user
        raise InputError("the site names neither a user nor a role")

    @property
    def principal_arn(self) -> str:
        """The ARN of the user or role."""
        kind, name = self.principal
        return f"arn:{self.partition}:iam::{self.account}:{kind}{self.path}{name}"

    @property
    def policy_arn(self) -> str:
        """The ARN of the customer managed policy."""
        return self._policy_arn(self.policy)

    @property
    def boundary_arn(self) -> str:
        """The ARN of the permissions boundary policy."""
        return self._policy_arn(self.boundary)

    @property
    def guard_arn(self) -> str:
        """The ARN of the Deny guardrail policy."""
        return self._policy_arn(self.guard)

    @property
    def launch_warning(self) -> Problem | None:
        """The warning if, by the site file, CML Cloud Manager does not send the guard tag."""
        mark = self.restrict.guard_tag
        if mark is None or (self.application and self.application.sends(mark)):
            return None
        return Problem(launch_note(self), remedy=send_fix(mark) if self.application else _NAME_TAGS)

    @property
    def home_region(self) -> str:
        """The default region, which is the first allowed one."""
        regions = self.restrict.regions
        return regions[0] if regions else first_region(self.partition)

    def _policy_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:policy/{name}"
