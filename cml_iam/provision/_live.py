"""What exists besides the principal: versions and holders of a policy, the instance profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cml_iam.errors import DeniedError, NotFoundError
from cml_iam.principal import NAME, groups_of, inline_policies, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cml_iam.aws.port import Aws
    from cml_iam.principal import Kind, Owner


@dataclass(frozen=True, slots=True)
class Version:
    """One of the up to five versions of a managed policy."""

    id: str
    default: bool

    @property
    def number(self) -> int:
        """The version's number: 10 of `v10`."""
        return int(self.id.removeprefix("v"))


@dataclass(frozen=True, slots=True)
class Profile:
    """An instance profile with the names of its roles (AWS allows one)."""

    roles: tuple[str, ...]
    tags: Mapping[str, str]


def read_tags(aws: Aws, arn: str) -> dict[str, str]:
    """Return the tags of the policy at *arn*; raises NotFoundError if there is none."""
    return tags_of(aws.call("iam", "get_policy", PolicyArn=arn)["Policy"])


@dataclass(frozen=True, slots=True)
class Holder:
    """A principal with a managed policy attached, or set as permissions *boundary*."""

    kind: Owner
    name: str
    boundary: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (" (as its boundary)" if self.boundary else "")


def read_holders(aws: Aws, arn: str, *, but: tuple[Kind, str]) -> tuple[Holder, ...]:
    """Return who holds the policy at *arn*, attached or as boundary, except the principal *but*.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
    """
    found: dict[tuple[str, str], Holder] = {}
    for boundary, usage in ((False, "PermissionsPolicy"), (True, "PermissionsBoundary")):
        for kind, name in _entities(aws, arn, usage):
            if (kind, name) != but:
                found.setdefault((kind, name), Holder(kind, name, boundary))
    return tuple(found.values())


def _entities(aws: Aws, arn: str, usage: str) -> Iterator[tuple[Owner, str]]:
    """Yield kinds and names: a response page contains all three kinds."""
    page: dict[str, Any] = {"IsTruncated": True}
    while page.get("IsTruncated"):
        more = {"Marker": page["Marker"]} if "Marker" in page else {}
        page = aws.call(
            "iam", "list_entities_for_policy", PolicyArn=arn, PolicyUsageFilter=usage, **more
        )
        for kind, key in NAME.items():
            for each in page.get(f"Policy{kind.title()}s", ()):
                yield kind, each[key]


def read_versions(aws: Aws, arn: str) -> tuple[Version, ...]:
    """Return the versions of the policy at *arn*, oldest first."""
    found = [
        Version(each["VersionId"], each["IsDefaultVersion"])
        for each in aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    ]
    return tuple(sorted(found, key=lambda version: version.number))


def read_profile(aws: Aws, name: str) -> Profile | None:
    """Return the instance profile *name*, or None if there is none."""
    try:
        raw = aws.call("iam", "get_instance_profile", InstanceProfileName=name)["InstanceProfile"]
    except NotFoundError:
        return None
    return Profile(tuple(role["RoleName"] for role in raw["Roles"]), tags_of(raw))


@dataclass(frozen=True, slots=True)
class Grants:
    """Other sources of a principal's permissions, in words, and what could not be checked."""

    found: tuple[str, ...]
    unchecked: tuple[str, ...]


def other_grants(aws: Aws, kind: Kind, name: str) -> Grants:
    """Return other sources of the principal's permissions: inline policies and groups.

    What may not be read is reported as not checked.
    """
    looks: dict[str, Callable[[], tuple[str, ...]]] = {
        "inline policy": lambda: inline_policies(aws, kind, name)
    }
    if kind == "user":
        looks["group"] = lambda: groups_of(aws, name)
    found: list[str] = []
    unchecked: list[str] = []
    for word, look in looks.items():
        try:
            found += [f"{word} `{each}`" for each in look()]
        except DeniedError as error:
            said = f"could not check for any {word}: {error.refused}"
            unchecked.append(said)
    return Grants(tuple(found), tuple(unchecked))
