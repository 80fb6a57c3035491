"""Where moto's IAM is lenient and a caller's fault would pass unseen, this one is strict.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._documents import check_document, check_trust
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._iam_reads import in_iam_pages
from cml_iam.sandbox._own import OWN, check_boundary, find_user, set_boundary
from cml_iam.sandbox._principals import boundary_arn, note_policies
from cml_iam.sandbox._world import new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_MOST_ATTACHED: Final = 10
_READS: Final = ("Get", "List", "Simulate", "Generate")
_INLINE: Final = {
    "PutUserPolicy": ("users", "UserName", 2048),
    "PutGroupPolicy": ("groups", "GroupName", 5120),
    "PutRolePolicy": ("roles", "RoleName", 10240),
}
_PATH: Final = re.compile(r"/|/[!-~]{1,510}/")
_MOST_TAGS: Final = 50
_FRACTION: Final = re.compile(rb"(T\d\d:\d\d:\d\d)\.\d+Z")
_IDS: Final = {
    "CreateGroup": ("groups", "GroupName", "AGPA"),
    "CreateInstanceProfile": ("instance_profiles", "InstanceProfileName", "AIPA"),
    "CreatePolicy": ("managed_policies", "PolicyName", "ANPA"),
    "CreateUser": ("users", "UserName", "AIDA"),
}
"""What an operation makes, the parameter with its name, and the first letters of its id."""

_SHOW_POLICIES: Final = frozenset({"GetAccountAuthorizationDetails", "GetPolicy", "ListPolicies"})
_NAMED: Final = {
    "CreateGroup": ("groups", "GroupName", "Group with name {} already exists."),
    "CreateInstanceProfile": (
        "instance_profiles",
        "InstanceProfileName",
        "Instance Profile {} already exists.",
    ),
    "CreatePolicy": (
        "managed_policies",
        "PolicyName",
        "A policy called {} already exists. Duplicate names are not allowed.",
    ),
    "CreateRole": ("roles", "RoleName", "Role with name {} already exists."),
    "CreateUser": ("users", "UserName", "User with name {} already exists."),
    "UpdateGroup": ("groups", "NewGroupName", "Group with name {} already exists."),
    "UpdateUser": ("users", "NewUserName", "User with name {} already exists."),
}
"""What an operation names anew, the parameter with the name, and IAM's words if it is taken."""

_TAGGED: Final = {
    "TagInstanceProfile": ("instance_profiles", "InstanceProfileName"),
    "TagPolicy": ("managed_policies", "PolicyArn"),
    "TagRole": ("roles", "RoleName"),
    "TagUser": ("users", "UserName"),
}
_BOUNDARY_ELEMENT: Final = re.compile(rb"<PermissionsBoundary>.*?</PermissionsBoundary>", re.S)


def complete_iam(principal: Principal, call: Call) -> Call:
    """Return *call* with the caller's own name where it may be left out and is."""
    shape = call.model.input_shape
    if shape is None or "UserName" not in shape.members or "UserName" in call.params:
        return call
    if "UserName" in shape.required_members or call.operation == "ListServiceSpecificCredentials":
        return call
    if principal.name is not None:
        return call.with_params(UserName=principal.name)
    if call.operation == "GetUser" and principal.is_root:
        return call
    raise Fault("ValidationError", "Must specify userName when calling with non-User credentials")


def check_iam(world: World, call: Call) -> None:
    """Raise Fault for what IAM refuses whoever asks: names and documents."""
    params = call.params
    if call.operation == "CreateUser" and not _NAME.fullmatch(params["UserName"]):
        said = "The specified value for userName is invalid. It must contain only alphanumeric "
        raise Fault("ValidationError", f"{said}characters and/or the following: +=,.@_-")
    if call.operation in ("CreatePolicy", "CreatePolicyVersion"):
        check_document(params["PolicyDocument"], MANAGED_POLICY_CHARACTERS)
    if call.operation == "CreateRole":
        check_trust(params["AssumeRolePolicyDocument"])
    if call.operation == "UpdateAssumeRolePolicy":
        check_trust(params["PolicyDocument"])
    if call.operation in _INLINE:
        _check_inline(world, call)


def perform_iam(
    world: World, _: Principal, call: Call, execute: Callable[[Call], Answer]
) -> Answer:
    """Do the authorized *call* by *execute*, with what moto leaves out before and after."""
    guard = _GUARDS.get(call.operation)
    if guard is not None:
        guard(world, call)
    _check_new(world, call)
    if call.operation in _SHOW_POLICIES:
        _identify_policies(world)
    answer = execute(call) if call.action in OWN else in_iam_pages(world, call, execute)
    if not answer.ok:
        return answer
    if call.operation in _IDS:
        answer = _identified(world, call, answer)
    if call.operation == "CreateUser" and "PermissionsBoundary" in call.params:
        user = find_user(world, call.params["UserName"])
        set_boundary(world, user, call.params["PermissionsBoundary"])
        answer = result_answer(call, {"User": user})
    if call.operation == "CreateAccessKey":
        _note_keys(world, call.params["UserName"])
    if not call.operation.startswith(_READS):
        note_policies(world)
    body = _FRACTION.sub(rb"\1Z", answer.body)
    if call.operation == "ListUsers":
        body = _BOUNDARY_ELEMENT.sub(b"", body)
    return replace(answer, body=body)


def _identify_policies(world: World) -> None:
    """Give every policy, those of AWS too, an id of a policy."""
    for policy in _entities(world, "managed_policies"):
        if not policy.id.startswith("ANPA"):
            policy.id = new_id("ANPA")


def _entities(world: World, kind: str) -> list[Any]:
    return list(getattr(world.iam, kind).values())


def _identified(world: World, call: Call, answer: Answer) -> Answer:
    """Give what *call* made an id of IAM's kind; return the *answer* with it."""
    kind, name, prefix = _IDS[call.operation]
    made = next(each for each in _entities(world, kind) if each.name == call.params[name])
    old, made.id = made.id, new_id(prefix)
    return replace(answer, body=answer.body.replace(old.encode(), made.id.encode()))


def _check_new(world: World, call: Call) -> None:
    """Raise Fault for a name that is taken, in whatever case and path, a wrong path, a 51st tag.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    for name in ("Path", "NewPath"):
        if name in call.params and not _PATH.fullmatch(call.params[name]):
            said = "The specified value for path is invalid. It must begin and end with / and "
            raise Fault("ValidationError", f"{said}contain only printable ASCII characters.")
    if call.operation in _NAMED:
        kind, name, said = _NAMED[call.operation]
        wanted, old = call.params.get(name, ""), call.params.get(name.removeprefix("New"), "")
        own = old.lower() if name.startswith("New") else ""
        taken = {each.name.lower() for each in _entities(world, kind) if not is_aws(each)} - {own}
        if wanted.lower() in taken:
            raise Fault("EntityAlreadyExists", said.format(wanted), 409)
    tags = {each["Key"] for each in call.params.get("Tags", ())}
    if len(tags | _held_tags(world, call)) > _MOST_TAGS and tags:
        raise Fault("LimitExceeded", "The number of tags has reached the maximum limit.", 409)


def is_aws(entity: Any) -> bool:
    """Say whether *entity* is a policy that AWS manages, whose names are nobody else's matter."""
    return ":iam::aws:" in entity.arn


def _held_tags(world: World, call: Call) -> set[str]:
    """Return the keys of the tags that what *call* tags has already."""
    if call.operation not in _TAGGED:
        return set()
    kind, name = _TAGGED[call.operation]
    for each in _entities(world, kind):
        if call.params[name] in (each.name, each.arn):
            tags = each.get_tags() if hasattr(each, "get_tags") else each.tags or ()
            return {tag["Key"] for tag in tags}
    return set()


def _note_keys(world: World, name: str) -> None:
    """Note from when on the newest access key of a user is known."""
    known = world.now() + timedelta(seconds=world.conditions.seconds.new_access_key)
    for each in find_user(world, name).access_keys:
        world.key_known.setdefault(each.access_key_id, known)


def _check_inline(world: World, call: Call) -> None:
    """Refuse an inline policy that would make all of its holder larger than the quota."""
    entities, name, limit = _INLINE[call.operation]
    text = call.params["PolicyDocument"]
    check_document(text, None)
    for each in getattr(world.iam, entities).values():
        if each.name == call.params[name]:
            others = {**each.policies, call.params["PolicyName"]: text}
            if sum(policy_size(document) for document in others.values()) > limit:
                said = f"Maximum policy size of {limit} bytes exceeded for {each.name}"
                raise Fault("LimitExceeded", said, 409)


def _guard_create_user(world: World, call: Call) -> None:
    if "PermissionsBoundary" in call.params:
        check_boundary(world, call.params["PermissionsBoundary"])


def _guard_delete_user(world: World, call: Call) -> None:
    user = find_user(world, call.params["UserName"])
    if user.access_keys:
        raise _conflict("Cannot delete entity, must delete access keys first.")
    if user.password is not None:
        raise _conflict("Cannot delete entity, must delete login profile first.")
    if any(user in group.users for group in world.iam.groups.values()):
        raise _conflict("Cannot delete entity, must remove users from group first.")


def _guard_delete_policy(world: World, call: Call) -> None:
    arn = call.params["PolicyArn"]
    policy = world.iam.managed_policies.get(arn)
    if policy is None:
        return
    if policy.attachment_count or arn in _boundaries(world):
        raise _conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        said = "This policy has more than one version. Before you delete a policy, you must delete "
        raise _conflict(f"{said}the policy's versions. The default version is deleted with it.")


def _guard_attach(world: World, call: Call) -> None:
    entities = {"UserName": "users", "GroupName": "groups", "RoleName": "roles"}
    name = next(each for each in entities if each in call.params)
    for each in getattr(world.iam, entities[name]).values():
        if each.name == call.params[name]:
            attached = {*each.managed_policies, call.params["PolicyArn"]}
            if len(attached) > _MOST_ATTACHED:
                said = f"Cannot exceed quota for PoliciesPerUser: {_MOST_ATTACHED}"
                raise Fault("LimitExceeded", said, 409)


def _boundaries(world: World) -> set[str | None]:
    users = {boundary_arn(user) for user in world.iam.users.values()}
    return users | {role.permissions_boundary_arn for role in world.iam.roles.values()}


def _conflict(message: str) -> Fault:
    return Fault("DeleteConflict", message, 409)


_GUARDS: Final[dict[str, Callable[[Any, Any], None]]] = {
    "CreateUser": _guard_create_user,
    "DeleteUser": _guard_delete_user,
    "DeletePolicy": _guard_delete_policy,
    "AttachUserPolicy": _guard_attach,
    "AttachGroupPolicy": _guard_attach,
    "AttachRolePolicy": _guard_attach,
}
