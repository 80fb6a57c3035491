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
from cml_iam.sandbox._own import check_boundary, find_user, set_boundary
from cml_iam.sandbox._principals import boundary_arn, note_policies

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
    answer = execute(call)
    if answer.ok and call.operation == "CreateUser":
        user = find_user(world, call.params["UserName"])
        if "PermissionsBoundary" in call.params:
            set_boundary(world, user, call.params["PermissionsBoundary"])
        answer = result_answer(call, {"User": user})
    if answer.ok and call.operation == "CreateAccessKey":
        _note_keys(world, call.params["UserName"])
    if answer.ok and not call.operation.startswith(_READS):
        note_policies(world)
    if call.operation == "ListUsers":
        return replace(answer, body=_BOUNDARY_ELEMENT.sub(b"", answer.body))
    return answer


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
    wanted = call.params["UserName"].lower()
    if any(name.lower() == wanted for name in world.iam.users):
        said = f"User with name {call.params['UserName']} already exists."
        raise Fault("EntityAlreadyExists", said, 409)
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
