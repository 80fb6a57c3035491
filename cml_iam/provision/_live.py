"""What is there: the user or role, the policy, the instance profile, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.errors import DeniedError, NotFoundError
from cml_iam.policy import load_policy

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.policy import PolicyDocument

Kind = Literal["user", "role"]
NAME: Final[Mapping[Kind, str]] = {"user": "UserName", "role": "RoleName"}


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or role; *trust* is a role's only. *attached* are policy ARNs."""

    arn: str
    path: str
    tags: Mapping[str, str]
    boundary: str | None
    attached: tuple[str, ...]
    trust: PolicyDocument | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One of the up to five versions of a managed policy."""

    id: str
    default: bool

    @property
    def number(self) -> int:
        """The number AWS counts up: 10 of `v10`."""
        return int(self.id.removeprefix("v"))


@dataclass(frozen=True, slots=True)
class Policy:
    """A customer managed policy with the document of its default version."""

    arn: str
    tags: Mapping[str, str]
    default: str
    document: PolicyDocument


@dataclass(frozen=True, slots=True)
class Profile:
    """An instance profile with the names of its roles (AWS allows one)."""

    roles: tuple[str, ...]
    tags: Mapping[str, str]


def read_principal(aws: Aws, kind: Kind, name: str) -> Principal | None:
    """Return the user or role *name*, None where there is none."""
    address = _address(kind, name)
    try:
        raw: dict[str, Any] = aws.call("iam", f"get_{kind}", **address)[kind.title()]
    except NotFoundError:
        return None
    attached = aws.pages("iam", f"list_attached_{kind}_policies", "AttachedPolicies", **address)
    trust = raw.get("AssumeRolePolicyDocument")
    return Principal(
        arn=raw["Arn"],
        path=raw["Path"],
        tags=_tags(raw),
        boundary=raw.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        attached=tuple(each["PolicyArn"] for each in attached),
        trust=load_policy(trust, f"the trust policy of {name}") if trust else None,
    )


def read_policy(aws: Aws, arn: str) -> Policy | None:
    """Return the managed policy at *arn*, None where there is none."""
    try:
        raw = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]
        default = raw["DefaultVersionId"]
        document = read_document(aws, arn, default)
    except NotFoundError:
        return None
    return Policy(arn, _tags(raw), default, document)


def read_document(aws: Aws, arn: str, version: str) -> PolicyDocument:
    """Return what the *version* of the policy at *arn* says."""
    raw = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
    return load_policy(raw["PolicyVersion"]["Document"], f"{arn} {version}")


def read_tags(aws: Aws, arn: str) -> dict[str, str]:
    """Return the tags of the policy at *arn*; raises NotFoundError where there is none."""
    return _tags(aws.call("iam", "get_policy", PolicyArn=arn)["Policy"])


def read_holders(aws: Aws, arn: str) -> tuple[str, ...]:
    """Return who has the policy at *arn* attached or as boundary, as `user NAME`."""
    kinds = (("PolicyUsers", "user"), ("PolicyGroups", "group"), ("PolicyRoles", "role"))
    found = [
        f"{kind} {each[f'{kind.title()}Name']}"
        for key, kind in kinds
        for each in aws.pages("iam", "list_entities_for_policy", key, PolicyArn=arn)
    ]
    return tuple(dict.fromkeys(found))


def read_versions(aws: Aws, arn: str) -> tuple[Version, ...]:
    """Return the versions of the policy at *arn*, the oldest first."""
    found = [
        Version(each["VersionId"], each["IsDefaultVersion"])
        for each in aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    ]
    return tuple(sorted(found, key=lambda version: version.number))


def read_profile(aws: Aws, name: str) -> Profile | None:
    """Return the instance profile *name*, None where there is none."""
    try:
        raw = aws.call("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]
    except NotFoundError:
        return None
    return Profile(tuple(role["RoleName"] for role in raw["Roles"]), _tags(raw))


@dataclass(frozen=True, slots=True)
class Grants:
    """What else gives a principal permissions, in words, and what could not be checked."""

    found: tuple[str, ...]
    unchecked: tuple[str, ...]


def other_grants(aws: Aws, kind: Kind, name: str) -> Grants:
    """Return what else gives the principal permissions: inline policies and groups.

    What may not be read is reported as not checked.
    """
    wishes = [(f"list_{kind}_policies", "PolicyNames", "inline policy")]
    if kind == "user":
        wishes.append(("list_groups_for_user", "Groups", "group"))
    found: list[str] = []
    unchecked: list[str] = []
    for operation, key, word in wishes:
        try:
            names = [
                each["GroupName"] if key == "Groups" else each
                for each in aws.pages("iam", operation, key, **_address(kind, name))
            ]
        except DeniedError as error:
            said = f"could not check for any {word}: {error.action or error.code} is denied"
            unchecked.append(said)
        else:
            found += [f"{word} `{each}`" for each in names]
    return Grants(tuple(found), tuple(unchecked))


def _tags(raw: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in raw.get("Tags", ())}


def _address(kind: Kind, name: str) -> dict[str, Any]:
    return {NAME[kind]: name}
