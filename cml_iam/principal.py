"""A user or role in an account, and every policy that gives or limits its permissions.

    holdings = read_holdings(aws, "user", "cml-cloud-manager-service")
    holdings.documents, holdings.boundary, holdings.unread

`unread` lists what exists but could not be read; `whole()` then raises the error. Policies are read
one by one rather than with GetAccountAuthorizationDetails, so this needs no permission on other
principals' policies, and costs the same in an account with ten thousand users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from cml_iam.errors import (
    CmlIamError,
    DeniedError,
    DocumentError,
    NotFoundError,
    UnsupportedError,
)
from cml_iam.policy import Arn, PolicyDocument, load_policy

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws


_T = TypeVar("_T")
Kind = Literal["user", "role"]
Owner = Literal["user", "role", "group"]
"""Kinds of identity that may have policies."""

NAME: Final[Mapping[Owner, str]] = {
    "user": "UserName",
    "role": "RoleName",
    "group": "GroupName",
}

_LOST: Final = (DeniedError, NotFoundError, DocumentError, UnsupportedError)
"""Errors that affect only a single policy, so that others can still be read."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or role; only a role has a *trust* policy. *attached* are policy ARNs."""

    arn: str
    path: str
    tags: Mapping[str, str]
    boundary: str | None
    attached: tuple[str, ...]
    trust: PolicyDocument | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A managed policy with the document of its default version."""

    arn: str
    tags: Mapping[str, str]
    default: str
    document: PolicyDocument


@dataclass(frozen=True, slots=True)
class Held:
    """A policy; *arn* is None if it is inline, *group* is the group from which it comes, if any."""

    name: str
    arn: str | None
    document: PolicyDocument
    group: str | None = None

    @property
    def words(self) -> str:
        """A description of the policy, and of how the principal gets it."""
        kind = f"the policy `{self.arn}`" if self.arn else f"the inline policy `{self.name}`"
        return f"{kind}, through the group `{self.group}`," if self.group else kind


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that could not be read: a description, and the *error* that is the reason."""

    what: str
    error: CmlIamError

    @property
    def words(self) -> str:
        """The description and the reason."""
        if isinstance(self.error, DeniedError):
            return f"{self.what} ({self.error.refused})"
        return f"{self.what} ({' '.join(self.error.message.split())})"


@dataclass(frozen=True, slots=True)
class Holdings:
    """The policies a principal holds (attached, inline, by groups), and its *boundary*.

    *boundary* and *boundary_arn* are None without a boundary; a boundary that could not be read is
    in *unread*.
    """

    arn: str
    tags: Mapping[str, str]
    policies: tuple[Held, ...]
    boundary_arn: str | None = None
    boundary: Held | None = None
    unread: tuple[Unread, ...] = ()

    @property
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The documents of the policies, without the boundary."""
        return tuple(policy.document for policy in self.policies)

    def whole(self) -> Holdings:
        """Return this value, or raise the error of the first policy that could not be read."""
        if self.unread:
            raise self.unread[0].error
        return self


def principal_of_arn(arn: str) -> tuple[Kind, str] | None:
    """Return the kind and name of a user, or of a session's role; None for any other ARN.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    kind, _, rest = Arn.parse(arn).resource.partition("/")
    if kind == "user":
        return "user", rest.rpartition("/")[2]
    if kind == "role":
        return "role", rest.rpartition("/")[2]
    return ("role", rest.partition("/")[0]) if kind == "assumed-role" else None


def read_principal(aws: Aws, kind: Kind, name: str) -> Principal | None:
    """Return the user or role *name*, or None if there is none."""
    try:
        raw = _entity(aws, kind, name)
    except NotFoundError:
        return None
    trust = raw.get("AssumeRolePolicyDocument")
    return Principal(
        arn=raw["Arn"],
        path=raw["Path"],
        tags=tags_of(raw),
        boundary=_boundary_arn(raw),
        attached=attached_policies(aws, kind, name),
        trust=load_policy(trust, f"the trust policy of {name}") if trust else None,
    )


def read_holdings(aws: Aws, kind: Kind, name: str, *, account: str | None = None) -> Holdings:
    """Return what the user or role *name* holds, including what could not be read.

    Raises NotFoundError if it does not exist or is not in the given *account*, and AwsError if AWS
    does not answer.
    """
    raw = _entity(aws, kind, name)
    if account is not None and Arn.parse(raw["Arn"]).account != account:
        raise NotFoundError(
            f"these credentials see `{raw['Arn']}`, but the principal is in account {account}",
            remedy="use credentials of that account",
        )
    reader = _Reader(aws)
    policies = [*reader.policies(kind, name)]
    if kind == "user":
        groups = reader.tried(lambda: groups_of(aws, name), "the groups of the user")
        for group in groups or ():
            policies += reader.policies("group", group)
    arn = _boundary_arn(raw)
    boundary = reader.managed(arn, "the permissions boundary") if arn else None
    tags = tags_of(raw)
    return Holdings(raw["Arn"], tags, tuple(policies), arn, boundary, tuple(reader.unread))


def read_policy(aws: Aws, arn: str) -> Policy | None:
    """Return the managed policy at *arn*, or None if there is none."""
    try:
        return _policy(aws, arn)
    except NotFoundError:
        return None


def read_document(aws: Aws, arn: str, version: str) -> PolicyDocument:
    """Return the document of *version* of the policy at *arn*."""
    raw = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
    return load_policy(raw["PolicyVersion"]["Document"], f"{arn} {version}")


def attached_policies(aws: Aws, owner: Owner, name: str) -> tuple[str, ...]:
    """Return the ARNs of the managed policies attached to the user, role or group *name*."""
    operation = f"list_attached_{owner}_policies"
    policies = aws.pages("iam", operation, "AttachedPolicies", **address_of(owner, name))
    return tuple(policy["PolicyArn"] for policy in policies)


def inline_policies(aws: Aws, owner: Owner, name: str) -> tuple[str, ...]:
    """Return the names of the inline policies of the user, role or group *name*."""
    operation = f"list_{owner}_policies"
    return tuple(aws.pages("iam", operation, "PolicyNames", **address_of(owner, name)))


def groups_of(aws: Aws, user: str) -> tuple[str, ...]:
    """Return the names of the groups that *user* is in."""
    groups = aws.pages("iam", "list_groups_for_user", "Groups", UserName=user)
    return tuple(group["GroupName"] for group in groups)


def address_of(owner: Owner, name: str) -> dict[str, Any]:
    """Return the request parameter that names the user, role or group *name*."""
    return {NAME[owner]: name}


def tags_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags in an IAM response."""
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}


class _Reader:
    """Reads policies and skips unreadable ones; reads each managed policy only once."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.unread: list[Unread] = []
        self._managed: dict[str, Policy] = {}

    def tried(self, read: Callable[[], _T], subject: str) -> _T | None:
        """Return what *read* returns; if it fails, record *subject* as unread and return None."""
        try:
            return read()
        except _LOST as error:
            self.unread.append(Unread(subject, error))
            return None

    def policies(self, owner: Owner, name: str) -> list[Held]:
        """Return the attached and inline policies of *name*."""
        aws = self.aws
        group = name if owner == "group" else None
        whose = f"of the {owner} `{name}`"
        attached = self.tried(
            lambda: attached_policies(aws, owner, name), f"the policies attached {whose}"
        )
        policies = [self.managed(arn, f"the policy `{arn}`", group) for arn in attached or ()]
        names = self.tried(lambda: inline_policies(aws, owner, name), f"inline policies {whose}")
        policies += [self._inline(owner, name, policy, group) for policy in names or ()]
        return [policy for policy in policies if policy is not None]

    def managed(self, arn: str, subject: str, group: str | None = None) -> Held | None:
        """Return the managed policy at *arn*, called *subject* in messages; None if unread."""
        if arn not in self._managed:
            policy = self.tried(lambda: _policy(self.aws, arn), subject)
            if policy is None:
                return None
            self._managed[arn] = policy
        return Held(arn.rpartition("/")[2], arn, self._managed[arn].document, group)

    def _inline(self, owner: Owner, name: str, policy: str, group: str | None) -> Held | None:
        address = {**address_of(owner, name), "PolicyName": policy}

        def read() -> PolicyDocument:
            raw = self.aws.call("iam", f"get_{owner}_policy", **address)
            return load_policy(raw["PolicyDocument"], f"{policy} (inline, {owner} {name})")

        document = self.tried(read, f"the inline policy `{policy}` of the {owner} `{name}`")
        return Held(policy, None, document, group) if document is not None else None


def _entity(aws: Aws, kind: Kind, name: str) -> dict[str, Any]:
    raw: dict[str, Any] = aws.call("iam", f"get_{kind}", **address_of(kind, name))[kind.title()]
    return raw


def _boundary_arn(raw: Mapping[str, Any]) -> str | None:
    arn: str | None = raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
    return arn


def _policy(aws: Aws, arn: str) -> Policy:
    raw = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]
    default = raw["DefaultVersionId"]
    return Policy(arn, tags_of(raw), default, read_document(aws, arn, default))
