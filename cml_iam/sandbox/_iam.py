"""IAM's answers and checks that moto lacks: names, quotas, boundaries, the root user.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.sandbox._answers import Execute, answers, in_pages
from cml_iam.sandbox._principals import boundary_arn, is_aws, note_policies, tags_of
from cml_iam.sandbox._strict import check_document, check_tag_keys, check_trust
from cml_iam.sandbox._wire import Answer, Call, Fault, Values, rows
from cml_iam.sandbox._world import Principal, World, new_id

_MOST_ATTACHED: Final = 10
_MOST_TAGS: Final = 50
_INLINE_CHARACTERS: Final = {"group": 5120, "role": 10240, "user": 2048}
_FRACTION: Final = re.compile(rb"(T\d\d:\d\d:\d\d)\.\d+Z")
_READS: Final = ("Get", "List", "Simulate", "Generate")
_SHOW_POLICIES: Final = frozenset({"GetAccountAuthorizationDetails", "GetPolicy", "ListPolicies"})
_SUBJECT: Final = re.compile(
    r"(Create|Update|Tag|Attach|Put)(Group|InstanceProfile|Policy|Role|User)(Policy)?"
)


def complete_iam(principal: Principal, call: Call) -> Call:
    """Return *call* with the caller's name filled in if it is optional and missing."""
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
    """Raise Fault for tags and documents that IAM refuses from every caller."""
    params = call.params
    check_tag_keys(params.get("Tags", ()), "InvalidInput")
    match call.operation:
        case "CreatePolicy" | "CreatePolicyVersion":
            check_document(params["PolicyDocument"], MANAGED_POLICY_CHARACTERS)
        case "CreateRole":
            check_trust(params["AssumeRolePolicyDocument"])
        case "UpdateAssumeRolePolicy":
            check_trust(params["PolicyDocument"])
        case "PutUserPolicy" | "PutGroupPolicy" | "PutRolePolicy":
            _check_inline(world, call)


def perform_iam(world: World, call: Call, execute: Execute) -> Answer:
    """Let *execute* run the authorized *call*, with the steps before and after that moto omits."""
    _check_state(world, call)
    _check_new(world, call)
    if call.operation in _SHOW_POLICIES:
        _identify_policies(world)

    def complete(values: Any) -> Any:
        _identify(world, call)
        if call.operation == "CreateUser" and "PermissionsBoundary" in call.params:
            _set_boundary(world, None, call)
        if call.operation in _SHOW_POLICIES and "Policies" in values:
            # The account's own policies come first, in the same order on every page.
            own_first = sorted(values["Policies"], key=lambda policy: (is_aws(policy), policy.arn))
            return {**values, "Policies": own_first}
        return values

    simulated = call.operation.startswith("Simulate")
    answer = execute(call) if simulated else in_pages(world, call, execute, complete)
    if answer.status >= 300:
        return answer
    if call.operation == "CreateAccessKey":
        known_at = world.now() + timedelta(seconds=world.conditions.seconds.new_access_key)
        for key in world.existing("user", call.params["UserName"]).access_keys:
            world.key_known.setdefault(key.access_key_id, known_at)
    if not call.operation.startswith(_READS):
        note_policies(world)
    return replace(answer, body=_FRACTION.sub(rb"\1Z", answer.body))


def _subject(call: Call) -> tuple[str, str, str]:
    """Return a call's verb, kind of entity, and entity name; empty strings for other calls."""
    match = _SUBJECT.fullmatch(call.operation)
    if match is None:
        return "", "", ""
    verb, kind, _ = match.groups()
    return verb, kind, str(call.params.get(f"{kind}Name", call.params.get("PolicyArn", "")))


def _identify_policies(world: World) -> None:
    """Give every policy, including AWS's, a policy id and the members of an account report."""
    for policy in world.entities("policy"):
        if not policy.id.startswith("ANPA"):
            policy.id = new_id("ANPA")
        policy.policy_name, policy.policy_id = policy.name, policy.id


def _identify(world: World, call: Call) -> None:
    verb, name, named = _subject(call)
    kind, prefix, *_ = rows("entities").get(name, ("", ""))
    created = world.entity(kind, named) if verb == "Create" else None
    if created is not None and not created.id.startswith(prefix):
        created.id = new_id(prefix)


def _check_new(world: World, call: Call) -> None:
    """Raise Fault for a name in use, regardless of case and path, and for a 51st tag."""
    verb, name, named = _subject(call)
    kind, _, text, _ = rows("entities").get(name, ("", "", "", ""))
    new = {"Create": named, "Update": call.params.get(f"New{name}Name", "")}.get(verb, "")
    if new and (verb == "Create" or new.lower() != named.lower()):
        others = [entity for entity in world.entities(kind) if not is_aws(entity)]
        if new.lower() in [entity.name.lower() for entity in others]:
            raise Fault("EntityAlreadyExists", text.format(new))
    tags = {tag["Key"] for tag in call.params.get("Tags", ())}
    if verb == "Tag":
        tags |= tags_of(world.entity(kind, named)).keys()
    if len(tags) > _MOST_TAGS:
        raise Fault("LimitExceeded", "The number of tags has reached the maximum limit.")


def _check_inline(world: World, call: Call) -> None:
    """Refuse an inline policy with which its holder's inline policies would exceed the quota."""
    _, name, named = _subject(call)
    text = call.params["PolicyDocument"]
    check_document(text, None)
    holder, limit = world.entity(name.lower(), named), _INLINE_CHARACTERS[name.lower()]
    if holder is None:
        return
    documents = {**holder.policies, call.params["PolicyName"]: text}
    if sum(policy_size(document) for document in documents.values()) > limit:
        text = f"Maximum policy size of {limit} bytes exceeded for {holder.name}"
        raise Fault("LimitExceeded", text)


def _check_state(world: World, call: Call) -> None:
    match call.operation:
        case "CreateUser" | "PutUserPermissionsBoundary" if "PermissionsBoundary" in call.params:
            arn = call.params["PermissionsBoundary"]
            if arn not in world.iam.managed_policies:
                text = f"Scope ARN: {arn} does not exist or is not attachable."
                raise Fault("NoSuchEntity", text)
        case "DeleteUser":
            user = world.existing("user", call.params["UserName"])
            if user.access_keys:
                raise _conflict("Cannot delete entity, must delete access keys first.")
            if user.password is not None:
                raise _conflict("Cannot delete entity, must delete login profile first.")
            if any(user in group.users for group in world.entities("group")):
                raise _conflict("Cannot delete entity, must remove users from group first.")
        case "DeletePolicy":
            _check_unused(world, world.entity("policy", call.params["PolicyArn"]))
        case "AttachUserPolicy" | "AttachGroupPolicy" | "AttachRolePolicy":
            _, kind, name = _subject(call)
            holder = world.entity(kind.lower(), name)
            held = {*(holder.managed_policies if holder else ()), call.params["PolicyArn"]}
            if len(held) > _MOST_ATTACHED:
                text = f"Cannot exceed quota for PoliciesPer{kind}: {_MOST_ATTACHED}"
                raise Fault("LimitExceeded", text)


def _check_unused(world: World, policy: Any) -> None:
    if policy is None:
        return
    bounded = map(boundary_arn, (*world.entities("user"), *world.entities("role")))
    if policy.attachment_count or policy.arn in bounded:
        raise _conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise _conflict(
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with it."
        )


def _conflict(message: str) -> Fault:
    return Fault("DeleteConflict", message)


@answers("iam:GetUser")
def _get_user(world: World, principal: Principal, call: Call) -> Values | None:
    """Answer for the root, which is not a user; moto answers for users."""
    if not principal.is_root or "UserName" in call.params:
        return None
    created = world.started.replace(tzinfo=None)
    root = {"UserId": world.account, "Arn": principal.arn, "CreateDate": created, "Path": "/"}
    return {"User": {**root, "UserName": "root"}}


@answers("iam:PutUserPermissionsBoundary")
def _set_boundary(world: World, _: object, call: Call) -> Values:
    """Store the boundary on moto's user, where its GetUser finds it too."""
    world.existing("user", call.params["UserName"]).permissions_boundary = {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": call.params["PermissionsBoundary"],
    }
    return {}


@answers("iam:DeleteUserPermissionsBoundary")
def _delete_boundary(world: World, _: Principal, call: Call) -> Values:
    user = world.existing("user", call.params["UserName"])
    if not hasattr(user, "permissions_boundary"):
        raise Fault("NoSuchEntity", f"The user with name {user.name} has no permissions boundary.")
    del user.permissions_boundary
    return {}


@answers("iam:ListServiceSpecificCredentials", "iam:DeleteServiceSpecificCredential")
def _service_specific_credentials(world: World, _: Principal, call: Call) -> Values:
    """List and delete nothing: the sandbox creates no credentials of this kind."""
    if "UserName" in call.params:
        world.existing("user", call.params["UserName"])
    if "ServiceSpecificCredentialId" in call.params:
        named = call.params["ServiceSpecificCredentialId"]
        raise Fault("NoSuchEntity", f"No such credential: {named}")
    return {"ServiceSpecificCredentials": []}
