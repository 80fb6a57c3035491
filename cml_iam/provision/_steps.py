"""From what is wanted and what is there to steps: pure functions, one per resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import RefusedError
from cml_iam.policy import load_policy, policy_size, same_meaning
from cml_iam.provision._diff import difference, document_lines
from cml_iam.provision._plan import Call, Step
from cml_iam.render import render_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cml_iam.provision._live import Kind, Policy, Principal, Profile, Version
    from cml_iam.provision._plan import Wanted

OUR_TAG: Final = ("cml-iam:managed", "true")
"""The tag that says: cml-iam made this, or took it over."""
MOST_VERSIONS: Final = 5
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

_TAKEN_OVER = "~ not made by cml-iam: taken over"
_NAME: Final = {"user": "UserName", "role": "RoleName"}


def tags_wanted(wanted: Wanted) -> dict[str, str]:
    """Return every tag our resources carry."""
    return {**dict([OUR_TAG]), **wanted.tags}


def principal_step(kind: Kind, name: str, live: Principal | None, wanted: Wanted) -> Step:
    """Return the step that makes the user or role *name*; tags have a step of their own."""
    if live is None:
        return _create_principal(kind, name, wanted)
    if wanted.path is not None and live.path != wanted.path:
        raise RefusedError(
            f"the {kind} `{name}` is at the path `{live.path}`, and moving it changes its ARN",
            remedy=f"leave --path away, or give --path {live.path}",
        )
    lines: list[str] = []
    calls: list[Call] = []
    if wanted.boundary is not None and live.boundary != wanted.boundary:
        lines.append(f"~ permissions boundary {live.boundary or 'none'} → {wanted.boundary}")
        parameters = {_NAME[kind]: name, "PermissionsBoundary": wanted.boundary}
        calls.append(Call("iam", f"put_{kind}_permissions_boundary", parameters))
    if live.trust is not None and not same_meaning(live.trust, load_policy(trust(wanted))):
        lines += difference(live.trust, load_policy(trust(wanted)))
        parameters = {_NAME[kind]: name, "PolicyDocument": trust(wanted)}
        calls.append(Call("iam", "update_assume_role_policy", parameters))
    return Step("change" if calls else "keep", kind, name, tuple(lines), tuple(calls))


def _create_principal(kind: Kind, name: str, wanted: Wanted) -> Step:
    path = wanted.path or "/"
    parameters: dict[str, Any] = {_NAME[kind]: name, "Path": path, "Tags": _pairs(wanted)}
    lines = [f"path {path}", *_tag_lines(tags_wanted(wanted))]
    if wanted.boundary is not None:
        parameters["PermissionsBoundary"] = wanted.boundary
        lines.insert(1, f"permissions boundary {wanted.boundary}")
    if kind == "role":
        parameters["AssumeRolePolicyDocument"] = trust(wanted)
        lines.insert(1, "trusted by EC2: instances may use it")
    call = Call("iam", f"create_{kind}", parameters)
    return Step("create", kind, name, tuple(lines), (call,))


def policy_step(live: Policy | None, versions: tuple[Version, ...], wanted: Wanted) -> Step:
    """Return the step that makes the managed policy mean what is wanted.

    Of five versions the oldest that is not the default is deleted first; the former default stays,
    to go back to.
    """
    site = wanted.site
    document = load_policy(wanted.document, "the wanted document")
    if live is None:
        parameters = {
            "PolicyName": site.policy,
            "PolicyDocument": wanted.document,
            "Tags": _pairs(wanted),
        }
        size = f"{policy_size(wanted.document)} characters"
        lines = (size, *_tag_lines(tags_wanted(wanted)), *document_lines(document))
        return Step(
            "create", "policy", site.policy, lines, (Call("iam", "create_policy", parameters),)
        )
    if same_meaning(live.document, document):
        return Step("keep", "policy", site.policy, (f"{live.default} means the same",))
    lines = difference(live.document, document)
    calls = [
        Call(
            "iam",
            "create_policy_version",
            {"PolicyArn": live.arn, "PolicyDocument": wanted.document, "SetAsDefault": True},
            once=True,
        )
    ]
    if len(versions) >= MOST_VERSIONS:
        oldest = next(version for version in versions if not version.default)
        parameters = {"PolicyArn": live.arn, "VersionId": oldest.id}
        calls.insert(0, Call("iam", "delete_policy_version", parameters))
        lines = (*lines, f"- version {oldest.id}, the oldest of {len(versions)}, makes room")
    lines = (*lines, f"the version in use now, {live.default}, stays to go back to")
    return Step("change", "policy", site.policy, lines, tuple(calls))


def attachment_step(kind: Kind, name: str, live: Principal | None, wanted: Wanted) -> Step:
    """Return the step that attaches the policy."""
    arn = wanted.site.policy_arn
    label = f"{wanted.site.policy} to {name}"
    if live is not None and arn in live.attached:
        return Step("keep", "attachment", label)
    call = Call("iam", f"attach_{kind}_policy", {_NAME[kind]: name, "PolicyArn": arn})
    return Step("create", "attachment", label, (), (call,))


def tag_steps(
    kind: Kind, name: str, live: Principal | None, policy: Policy | None, wanted: Wanted
) -> Iterable[Step]:
    """Yield a step for each resource that is there but lacks tags; new ones are made with them."""
    if live is not None:
        yield _tag_step(kind, name, live.tags, {_NAME[kind]: name}, wanted)
    if policy is not None:
        yield _tag_step(
            "policy", wanted.site.policy, policy.tags, {"PolicyArn": policy.arn}, wanted
        )


def _tag_step(
    resource: str,
    name: str,
    tags: Mapping[str, str],
    address: Mapping[str, str],
    wanted: Wanted,
) -> Step:
    missing = {k: v for k, v in tags_wanted(wanted).items() if tags.get(k) != v}
    if not missing:
        return Step("keep", f"{resource} tags", name)
    lines = [
        f"~ tag {key}={tags[key]} → {value}" if key in tags else f"+ tag {key}={value}"
        for key, value in missing.items()
    ]
    if OUR_TAG[0] in missing:
        lines.insert(0, _TAKEN_OVER)
    parameters = {**address, "Tags": [{"Key": k, "Value": v} for k, v in missing.items()]}
    call = Call("iam", f"tag_{resource}", parameters)
    return Step("change", f"{resource} tags", name, tuple(lines), (call,))


def profile_step(name: str, live: Profile | None, wanted: Wanted) -> Step:
    """Return the step that makes the instance profile *name* and puts the role of that name in.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
    """
    address = {"InstanceProfileName": name}
    create = Call(
        "iam",
        "create_instance_profile",
        {**address, "Path": wanted.path or "/", "Tags": _pairs(wanted)},
    )
    add = Call("iam", "add_role_to_instance_profile", {**address, "RoleName": name})
    line = f"+ role {name}"
    if live is None:
        return Step("create", "instance profile", name, (line,), (create, add))
    if name in live.roles:
        return Step("keep", "instance profile", name)
    if live.roles:
        raise RefusedError(
            f"the instance profile `{name}` holds the role `{live.roles[0]}`, and has room for one",
            remedy="choose another name for the role, or empty the profile by hand",
        )
    return Step("change", "instance profile", name, (line,), (add,))


def trust(wanted: Wanted) -> str:
    """Return the trust policy of a role that EC2 instances use."""
    return render_document(wanted.site, "trust-ec2").text


def _pairs(wanted: Wanted) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags_wanted(wanted).items()]


def _tag_lines(tags: Mapping[str, str]) -> list[str]:
    return [f"tag {key}={value}" for key, value in tags.items()]
