"""The user or role, its boundary and its instance profile, in steps: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cml_iam.errors import RefusedError
from cml_iam.policy import load_policy, same_meaning
from cml_iam.principal import NAME
from cml_iam.provision._diff import difference
from cml_iam.provision._plan import Call, Step
from cml_iam.provision._tags import tag_lines, tag_pairs, tags_wanted
from cml_iam.render import render_document

if TYPE_CHECKING:
    from cml_iam.principal import Kind, Principal
    from cml_iam.provision._live import Profile
    from cml_iam.provision._plan import Wanted

_TRUSTED = {
    "ec2": "trusted by EC2: instances may use it",
    "ecs": "trusted by ECS: tasks of the account may use it",
    "irsa": "trusted by the cluster's OIDC provider: the service account may use it",
    "pod-identity": "trusted by EKS Pod Identity: the service account may use it",
}


def principal_step(kind: Kind, name: str, live: Principal | None, wanted: Wanted) -> Step:
    """Return the step that makes the user or role *name*; tags have a step of their own."""
    if live is None:
        return _create_principal(kind, name, wanted)
    if wanted.path is not None and live.path != wanted.path:
        raise RefusedError(
            f"the {kind} `{name}` is at the path `{live.path}`, and moving it changes its ARN",
            remedy=f"leave --path away, or give --path {live.path}",
        )
    if live.trust is None or same_meaning(live.trust, load_policy(trust(wanted))):
        return Step("keep", kind, name)
    lines = difference(live.trust, load_policy(trust(wanted)))
    parameters = {NAME[kind]: name, "PolicyDocument": trust(wanted)}
    return Step(
        "change", kind, name, lines, (Call("iam", "update_assume_role_policy", parameters),)
    )


def boundary_step(kind: Kind, name: str, live: Principal, boundary: str) -> Step:
    """Return the step that puts the *boundary*, an ARN, on a principal that is there."""
    label = f"{boundary.rpartition('/')[2]} on {name}"
    if live.boundary == boundary:
        return Step("keep", "boundary", label)
    line = f"~ permissions boundary {live.boundary or 'none'} → {boundary}"
    parameters = {NAME[kind]: name, "PermissionsBoundary": boundary}
    call = Call("iam", f"put_{kind}_permissions_boundary", parameters)
    return Step("change", "boundary", label, (line,), (call,))


def _create_principal(kind: Kind, name: str, wanted: Wanted) -> Step:
    path = wanted.path or "/"
    parameters: dict[str, Any] = {NAME[kind]: name, "Path": path, "Tags": tag_pairs(wanted)}
    lines = [f"path {path}", *tag_lines(tags_wanted(wanted))]
    if wanted.boundary is not None:
        parameters["PermissionsBoundary"] = wanted.boundary
        lines.insert(1, f"permissions boundary {wanted.boundary}")
    if kind == "role":
        parameters["AssumeRolePolicyDocument"] = trust(wanted)
        lines.insert(1, _TRUSTED[wanted.trust])
    call = Call("iam", f"create_{kind}", parameters)
    return Step("create", kind, name, tuple(lines), (call,))


def profile_step(name: str, live: Profile | None, wanted: Wanted) -> Step:
    """Return the step that makes the instance profile *name* and puts the role of that name in.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html
    """
    address = {"InstanceProfileName": name}
    create = Call(
        "iam",
        "create_instance_profile",
        {**address, "Path": wanted.path or "/", "Tags": tag_pairs(wanted)},
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
    """Return the trust policy of the role; raises InputError where the site does not say enough."""
    return render_document(wanted.site, f"trust-{wanted.trust}").text
