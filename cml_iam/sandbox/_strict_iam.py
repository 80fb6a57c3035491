"""IAM checks that moto omits, so that a caller's errors do not go unnoticed.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import MANAGED_POLICY_CHARACTERS, policy_size
from cml_iam.sandbox._answers import in_pages
from cml_iam.sandbox._guard import check_document, check_trust
from cml_iam.sandbox._principals import boundary_arn, is_aws, note_policies, tags_of
from cml_iam.sandbox._services import rows
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import new_id

if TYPE_CHECKING:
    from cml_iam.sandbox._answers import Execute
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer, Values
    from cml_iam.sandbox._world import World

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
    """Raise Fault for names and documents that IAM refuses from every caller."""
    params = call.params
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
            _set_boundary(world, call)
        if call.operation in _SHOW_POLICIES and "Policies" in values:
            # The account's own policies come first, in the same order on every page.
            own_first = sorted(values["Policies"], key=lambda each: (is_aws(each), each.arn))
            return {**values, "Policies": own_first}
        return values

    if call.operation.startswith("Simulate"):
        answer = execute(call)
    else:
        answer = in_pages(world, call, execute, complete)
    if not answer.ok:
        return answer
    if call.operation == "CreateAccessKey":
        _note_keys(world, call.params["UserName"])
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
    """Give the entity that *call* created an id in IAM's form."""
    verb, name, named = _subject(call)
    kind, prefix, _ = rows("entities").get(name, ("", "", ""))
    made = world.entity(kind, named) if verb == "Create" else None
    if made is not None and not made.id.startswith(prefix):
        made.id = new_id(prefix)


def _check_new(world: World, call: Call) -> None:
    """Raise Fault for a name in use, regardless of case and path, and for a 51st tag.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    verb, name, named = _subject(call)
    kind, _, said = rows("entities").get(name, ("", "", ""))
    new = {"Create": named, "Update": call.params.get(f"New{name}Name", "")}.get(verb, "")
    own = named.lower() if verb == "Update" else ""
    names = {
        entity.name.lower() for entity in world.entities(kind if new else "") if not is_aws(entity)
    }
    if new.lower() in names - {own}:
        raise Fault("EntityAlreadyExists", said.format(new), 409)
    tags = {each["Key"] for each in call.params.get("Tags", ())}
    if verb == "Tag":
        tags |= tags_of(world.entity(kind, named)).keys()
    if len(tags) > _MOST_TAGS:
        raise Fault("LimitExceeded", "The number of tags has reached the maximum limit.", 409)


def _note_keys(world: World, name: str) -> None:
    """Record when the newest access key of a user becomes known."""
    known = world.now() + timedelta(seconds=world.conditions.seconds.new_access_key)
    for key in find_user(world, name).access_keys:
        world.key_known.setdefault(key.access_key_id, known)


def _check_inline(world: World, call: Call) -> None:
    """Refuse an inline policy with which its holder's inline policies would exceed the quota."""
    _, name, named = _subject(call)
    text = call.params["PolicyDocument"]
    check_document(text, None)
    holder, limit = world.entity(name.lower(), named), _INLINE_CHARACTERS[name.lower()]
    documents = {**(holder.policies if holder else {}), call.params["PolicyName"]: text}
    if holder and sum(policy_size(document) for document in documents.values()) > limit:
        said = f"Maximum policy size of {limit} bytes exceeded for {holder.name}"
        raise Fault("LimitExceeded", said, 409)


def _check_state(world: World, call: Call) -> None:
    """Raise Fault for calls that the account's state does not permit."""
    match call.operation:
        case "CreateUser" | "PutUserPermissionsBoundary" if "PermissionsBoundary" in call.params:
            arn = call.params["PermissionsBoundary"]
            if arn not in world.iam.managed_policies:
                gone = f"Scope ARN: {arn} does not exist or is not attachable."
                raise Fault("NoSuchEntity", gone, 404)
        case "DeleteUser":
            _check_bare(world, find_user(world, call.params["UserName"]))
        case "DeletePolicy":
            _check_unused(world, world.entity("policy", call.params["PolicyArn"]))
        case "AttachUserPolicy" | "AttachGroupPolicy" | "AttachRolePolicy":
            _, kind, name = _subject(call)
            holder = world.entity(kind.lower(), name)
            held = {*(holder.managed_policies if holder else ()), call.params["PolicyArn"]}
            if len(held) > _MOST_ATTACHED:
                said = f"Cannot exceed quota for PoliciesPer{kind}: {_MOST_ATTACHED}"
                raise Fault("LimitExceeded", said, 409)


def _check_bare(world: World, user: Any) -> None:
    if user.access_keys:
        raise _conflict("Cannot delete entity, must delete access keys first.")
    if user.password is not None:
        raise _conflict("Cannot delete entity, must delete login profile first.")
    if any(user in group.users for group in world.entities("group")):
        raise _conflict("Cannot delete entity, must remove users from group first.")


def _check_unused(world: World, policy: Any) -> None:
    if policy is None:
        return
    bounded = (
        boundary_arn(entity) for entity in (*world.entities("user"), *world.entities("role"))
    )
    if policy.attachment_count or policy.arn in bounded:
        raise _conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        said = "This policy has more than one version. Before you delete a policy, you must delete "
        raise _conflict(f"{said}the policy's versions. The default version is deleted with it.")


def _conflict(message: str) -> Fault:
    return Fault("DeleteConflict", message, 409)


def get_user(world: World, principal: Principal, call: Call) -> Values | None:
    """Answer GetUser for the root, which is not a user; moto answers for users."""
    if principal.is_root and "UserName" not in call.params:
        created = world.started.replace(tzinfo=None)
        root = {"UserId": world.account, "Arn": principal.arn, "CreateDate": created, "Path": "/"}
        return {"User": {**root, "UserName": "root"}}
    return None


def put_user_permissions_boundary(world: World, _: Principal, call: Call) -> Values:
    """Set a user's permissions boundary."""
    _set_boundary(world, call)
    return {}


def _set_boundary(world: World, call: Call) -> None:
    """Store the boundary on moto's user, where its GetUser finds it too."""
    find_user(world, call.params["UserName"]).permissions_boundary = {
        "PermissionsBoundaryType": "Policy",
        "PermissionsBoundaryArn": call.params["PermissionsBoundary"],
    }


def delete_user_permissions_boundary(world: World, _: Principal, call: Call) -> Values:
    """Remove a user's permissions boundary."""
    user = find_user(world, call.params["UserName"])
    if not hasattr(user, "permissions_boundary"):
        said = f"The user with name {user.name} has no permissions boundary."
        raise Fault("NoSuchEntity", said, 404)
    del user.permissions_boundary
    return {}


def service_specific_credentials(world: World, _: Principal, call: Call) -> Values:
    """List and delete nothing: the sandbox creates no credentials of this kind."""
    if "UserName" in call.params:
        find_user(world, call.params["UserName"])
    if "ServiceSpecificCredentialId" in call.params:
        named = call.params["ServiceSpecificCredentialId"]
        raise Fault("NoSuchEntity", f"No such credential: {named}", 404)
    return {"ServiceSpecificCredentials": []}


def find_user(world: World, name: str) -> Any:
    """Return moto's user *name*."""
    user = world.iam.users.get(name)
    if user is None:
        raise Fault("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
    return user
