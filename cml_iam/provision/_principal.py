"""Plan everything besides the policies: user or role, boundary, instance profile, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cml_iam.aws.port import Aws
from cml_iam.errors import DeniedError, NotFoundError, RefusedError
from cml_iam.policy import difference, load_policy, same_meaning
from cml_iam.principal import Kind, Principal, address_of, groups_of, inline_policies
from cml_iam.provision._plan import Call, Desired, Draft, Step, iam
from cml_iam.render import render_document
from cml_iam.tag import as_aws

OUR_TAG: Final = ("cml-iam:managed", "true")
"""The tag on resources that cml-iam created or adopted."""

MOST_TAGS: Final = 50
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

_TRUSTED: Final = {
    "ec2": "trusted by EC2: instances may use it",
    "ecs": "trusted by ECS: tasks of the account may use it",
    "irsa": "trusted by the cluster's OIDC provider: the service account may use it",
    "pod-identity": "trusted by EKS Pod Identity: the service account may use it",
    "oidc": "trusted by the OIDC provider: tokens with this subject may use it",
    "roles-anywhere": "trusted by IAM Roles Anywhere: the holder of the certificate may use it",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The principal of a plan: as it is now (*live*, None if it does not exist), and as desired."""

    aws: Aws
    kind: Kind
    name: str
    live: Principal | None
    desired: Desired

    def call(self, operation: str, **parameters: Any) -> Call:
        """Return a call about the principal; `{}` in *operation* stands for its kind."""
        return iam(operation.format(self.kind), **address_of(self.kind, self.name), **parameters)


def principal_steps(subject: Subject) -> Iterator[Step]:
    """Yield the steps for the principal itself and for its permissions boundary."""
    live, desired = subject.live, subject.desired
    if "principal" in desired.pieces:
        yield _changed(subject, live) if live else _created(subject)
    if live is not None and desired.boundary is not None:
        yield _bounded(subject, live, desired.boundary)


def _created(subject: Subject) -> Step:
    desired = subject.desired
    path, tags = desired.path or "/", desired_tags(desired)
    parameters: dict[str, Any] = {"Path": path, "Tags": as_aws(tags)}
    lines = [f"path {path}"]
    if subject.kind == "role":
        lines.append(_TRUSTED[desired.trust])
    if desired.boundary is not None:
        parameters["PermissionsBoundary"] = desired.boundary
        lines.append(f"permissions boundary {desired.boundary}")
    if subject.kind == "role":
        parameters["AssumeRolePolicyDocument"] = _trust(desired)
    call = subject.call("create_{}", **parameters)
    return Step("create", subject.kind, subject.name, (*lines, *tag_lines(tags)), (call,))


def _changed(subject: Subject, live: Principal) -> Step:
    kind, name, desired = subject.kind, subject.name, subject.desired
    if desired.path is not None and live.path != desired.path:
        raise RefusedError(
            f"the {kind} `{name}` is at the path `{live.path}`, and moving it changes its ARN",
            remedy=f"omit --path, or pass --path {live.path}",
        )
    if live.trust is None:
        return Step("keep", kind, name)
    text = _trust(desired)
    trust = load_policy(text)
    call = subject.call("update_assume_role_policy", PolicyDocument=text)
    step = Step("change", kind, name, difference(live.trust, trust), (call,))
    return step.unless(same_meaning(live.trust, trust))


def _trust(desired: Desired) -> str:
    """Return the role's trust policy; raises InputError if the site file lacks values for it."""
    return render_document(desired.site, f"trust-{desired.trust}").text


def _bounded(subject: Subject, live: Principal, boundary: str) -> Step:
    label = f"{boundary.rpartition('/')[2]} on {subject.name}"
    line = f"~ permissions boundary {live.boundary or 'none'} → {boundary}"
    call = subject.call("put_{}_permissions_boundary", PermissionsBoundary=boundary)
    return Step("change", "boundary", label, (line,), (call,)).unless(live.boundary == boundary)


def read_profile(aws: Aws, name: str) -> dict[str, Any] | None:
    """Return the instance profile *name* as AWS describes it, or None if there is none."""
    try:
        response = aws.call("iam", "get_instance_profile", InstanceProfileName=name)
    except NotFoundError:
        return None
    profile: dict[str, Any] = response["InstanceProfile"]
    return profile


def profile_step(subject: Subject) -> Step:
    """Return the step that creates an instance profile with the role's name, and adds the role.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
    """
    name, desired = subject.name, subject.desired
    live = read_profile(subject.aws, name)
    add = iam("add_role_to_instance_profile", InstanceProfileName=name, RoleName=name)
    lines = (f"+ role {name}",)
    if live is None:
        create = iam(
            "create_instance_profile",
            InstanceProfileName=name,
            Path=desired.path or "/",
            Tags=as_aws(desired_tags(desired)),
        )
        return Step("create", "instance profile", name, lines, (create, add))
    roles = [role["RoleName"] for role in live["Roles"]]
    if name in roles:
        return Step("keep", "instance profile", name)
    if roles:
        raise RefusedError(
            f"the instance profile `{name}` already has the role `{roles[0]}`, and can have "
            "only one",
            remedy="choose another name for the role, or empty the profile by hand",
        )
    return Step("change", "instance profile", name, lines, (add,))


def other_grants(subject: Subject, expected: set[str]) -> Draft:
    """Return warnings about permissions besides the *expected* policies, and what is unchecked."""
    aws, kind, name = subject.aws, subject.kind, subject.name
    if subject.live is None:
        return Draft()
    attached = (f"policy `{arn}`" for arn in subject.live.attached if arn not in expected)
    grants, unchecked = [*attached], []
    for word in ("inline policy", "group") if kind == "user" else ("inline policy",):
        try:
            names = groups_of(aws, name) if word == "group" else inline_policies(aws, kind, name)
            grants += [f"{word} `{source}`" for source in names]
        except DeniedError as error:
            unchecked.append(f"could not check for any {word}: {error.refused}")
    warnings = (
        f"the {kind} also has the {grant}, which grants permissions too" for grant in grants
    )
    return Draft(warnings=tuple(warnings), unchecked=tuple(unchecked))


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
        lines.insert(0, "~ not created by cml-iam: adopted")
    call = iam(f"tag_{resource}", **address, Tags=as_aws(missing))
    return Step("change", f"{resource} tags", name, tuple(lines), (call,))
