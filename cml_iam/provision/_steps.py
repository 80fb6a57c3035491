"""Read and plan everything besides the policies: user or role, boundary, profile, tags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import DeniedError, NotFoundError, RefusedError
from cml_iam.policy import difference, load_policy, same_meaning
from cml_iam.principal import NAME, groups_of, inline_policies, tags_of
from cml_iam.provision._plan import Call, Step
from cml_iam.render import render_document
from cml_iam.tag import as_aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cml_iam.aws.port import Aws
    from cml_iam.principal import Kind, Owner, Principal
    from cml_iam.provision._plan import Desired


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
    """A principal with a managed policy attached or set as permissions *boundary*."""

    kind: Owner
    name: str
    boundary: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (" (as its boundary)" if self.boundary else "")


def read_holders(aws: Aws, arn: str, *, but: tuple[Kind, str]) -> tuple[Holder, ...]:
    """Return the principals, except *but*, with the policy at *arn* attached or as boundary.

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
        Version(page["VersionId"], page["IsDefaultVersion"])
        for page in aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
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
    """A principal's other sources of permissions, in words, and what could not be checked."""

    found: tuple[str, ...]
    unchecked: tuple[str, ...]


def other_grants(aws: Aws, kind: Kind, name: str) -> Grants:
    """Return the principal's other sources of permissions: inline policies and groups.

    Sources that may not be read are reported as not checked.
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


OUR_TAG: Final = ("cml-iam:managed", "true")
"""The tag on resources that cml-iam created or adopted."""

MOST_TAGS: Final = 50
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

TAKEN_OVER: Final = "~ not created by cml-iam: adopted"


def desired_tags(desired: Desired) -> dict[str, str]:
    """Return all tags for our resources; raises RefusedError for more than IAM allows."""
    tags = {**dict([OUR_TAG]), **desired.tags}
    _check_number("a new resource", tags)
    return tags


def _check_number(resource: str, tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise RefusedError(
            f"{resource} would have {len(tags)} tags, but AWS allows {MOST_TAGS}",
            remedy="pass fewer with --tag, or remove some tags from it first",
        )


def tag_pairs(desired: Desired) -> list[dict[str, str]]:
    """Return the tags in IAM's format."""
    return as_aws(desired_tags(desired))


def tag_lines(tags: Mapping[str, str]) -> list[str]:
    """Return a line for each of *tags*."""
    return [f"tag {key}={value}" for key, value in tags.items()]


def ours(tags: Mapping[str, str]) -> bool:
    """Return whether *tags* mark a resource that cml-iam created or adopted."""
    return tags.get(OUR_TAG[0]) == OUR_TAG[1]


def tag_step(
    resource: str, name: str, tags: Mapping[str, str], address: Mapping[str, str], desired: Desired
) -> Step:
    """Return the step that adds missing tags; new resources are created with their tags."""
    missing = {k: v for k, v in desired_tags(desired).items() if tags.get(k) != v}
    if not missing:
        return Step("keep", f"{resource} tags", name)
    _check_number(f"the {resource} `{name}`", {**tags, **missing})
    lines = [
        f"~ tag {key}={tags[key]} → {value}" if key in tags else f"+ tag {key}={value}"
        for key, value in missing.items()
    ]
    if OUR_TAG[0] in missing:
        lines.insert(0, TAKEN_OVER)
    parameters = {**address, "Tags": as_aws(missing)}
    call = Call("iam", f"tag_{resource}", parameters)
    return Step("change", f"{resource} tags", name, tuple(lines), (call,))


_TRUSTED = {
    "ec2": "trusted by EC2: instances may use it",
    "ecs": "trusted by ECS: tasks of the account may use it",
    "irsa": "trusted by the cluster's OIDC provider: the service account may use it",
    "pod-identity": "trusted by EKS Pod Identity: the service account may use it",
    "oidc": "trusted by the OIDC provider: tokens with this subject may use it",
    "roles-anywhere": "trusted by IAM Roles Anywhere: the holder of the certificate may use it",
}


def principal_step(kind: Kind, name: str, live: Principal | None, desired: Desired) -> Step:
    """Return the step for the user or role *name*; tags of an existing one have their own step."""
    if live is None:
        return _create_principal(kind, name, desired)
    if desired.path is not None and live.path != desired.path:
        raise RefusedError(
            f"the {kind} `{name}` is at the path `{live.path}`, and moving it changes its ARN",
            remedy=f"omit --path, or pass --path {live.path}",
        )
    if live.trust is None or same_meaning(live.trust, load_policy(trust(desired))):
        return Step("keep", kind, name)
    lines = difference(live.trust, load_policy(trust(desired)))
    parameters = {NAME[kind]: name, "PolicyDocument": trust(desired)}
    return Step(
        "change", kind, name, lines, (Call("iam", "update_assume_role_policy", parameters),)
    )


def boundary_step(kind: Kind, name: str, live: Principal, boundary: str) -> Step:
    """Return the step that sets the *boundary*, an ARN, on an existing principal."""
    label = f"{boundary.rpartition('/')[2]} on {name}"
    if live.boundary == boundary:
        return Step("keep", "boundary", label)
    line = f"~ permissions boundary {live.boundary or 'none'} → {boundary}"
    parameters = {NAME[kind]: name, "PermissionsBoundary": boundary}
    call = Call("iam", f"put_{kind}_permissions_boundary", parameters)
    return Step("change", "boundary", label, (line,), (call,))


def _create_principal(kind: Kind, name: str, desired: Desired) -> Step:
    path = desired.path or "/"
    parameters: dict[str, Any] = {NAME[kind]: name, "Path": path, "Tags": tag_pairs(desired)}
    lines = [f"path {path}", *tag_lines(desired_tags(desired))]
    if desired.boundary is not None:
        parameters["PermissionsBoundary"] = desired.boundary
        lines.insert(1, f"permissions boundary {desired.boundary}")
    if kind == "role":
        parameters["AssumeRolePolicyDocument"] = trust(desired)
        lines.insert(1, _TRUSTED[desired.trust])
    call = Call("iam", f"create_{kind}", parameters)
    return Step("create", kind, name, tuple(lines), (call,))


def profile_step(name: str, live: Profile | None, desired: Desired) -> Step:
    """Return the step that creates the instance profile *name* and adds the role *name* to it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
    """
    address = {"InstanceProfileName": name}
    create = Call(
        "iam",
        "create_instance_profile",
        {**address, "Path": desired.path or "/", "Tags": tag_pairs(desired)},
    )
    add = Call("iam", "add_role_to_instance_profile", {**address, "RoleName": name})
    line = f"+ role {name}"
    if live is None:
        return Step("create", "instance profile", name, (line,), (create, add))
    if name in live.roles:
        return Step("keep", "instance profile", name)
    if live.roles:
        raise RefusedError(
            f"the instance profile `{name}` already has the role `{live.roles[0]}`, and can have "
            "only one",
            remedy="choose another name for the role, or empty the profile by hand",
        )
    return Step("change", "instance profile", name, (line,), (add,))


def trust(desired: Desired) -> str:
    """Return the role's trust policy; raises InputError if the site file lacks values for it."""
    return render_document(desired.site, f"trust-{desired.trust}").text
