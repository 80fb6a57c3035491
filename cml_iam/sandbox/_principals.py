"""The caller: the account's root, a user, or a session, with the policies that apply."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.engine import AttachedPolicy
from cml_iam.engine.authorization import Caller
from cml_iam.policy import Arn
from cml_iam.sandbox._wire import Fault, Unauthenticated, read_claim, verify
from cml_iam.sandbox._world import Policies
from cml_iam.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.sandbox._wire import Claim, Message
    from cml_iam.sandbox._world import Session, World

_TEMPORARY: Final = "ASIA"
_NOTHING: Final = (
    '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'
)

_EVERYTHING: Final = _NOTHING.replace("Deny", "Allow")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller; *name* is set for a user, *session* for temporary credentials."""

    arn: str
    user_id: str
    access_key_id: str
    source_ip: str
    name: str | None = None
    role: str | None = None
    session: Session | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root user, whom no identity-based policy limits."""
        return Arn.parse(self.arn).resource == "root"

    @property
    def caller(self) -> Caller:
        """The caller as used in authorizations."""
        return Caller(self.arn, self.user_id, self.source_ip, self.tags)


def authenticate(world: World, message: Message, claim: Claim | None = None) -> Principal:
    """Return the sender of *message*; raises Unauthenticated if the signature does not prove it."""
    claim = claim or read_claim(message)
    principal, secret = _holder(world, claim, message.source_ip)
    verify(message, claim, secret, world.now())
    session = principal.session
    if session is not None and session.expires <= world.now():
        raise Unauthenticated("expired")
    return principal


def policies_of(world: World, principal: Principal) -> Policies:
    """Return every policy now in force for *principal*; the root has none."""
    if principal.is_root:
        return Policies()
    if principal.role is None and principal.name is None:
        # A federated user of the root.
        found = Policies((AttachedPolicy("root", _EVERYTHING),))
    elif world.conditions.seconds.policy_change:
        found = _policies_then(world, principal)
    else:
        found = held_policies(world, holder(world, principal))
    return replace(found, session=principal.session.policies if principal.session else None)


def note_policies(world: World) -> None:
    """Record the policies of every user and role from now on, if policy changes are delayed."""
    if not world.conditions.seconds.policy_change:
        return
    for entity in (*world.entities("user"), *world.entities("role")):
        policies = held_policies(world, entity)
        noted = world.policies_then.setdefault(entity.arn, [])
        if not noted or noted[-1][1] != policies:
            noted.append((world.now(), policies))


def _policies_then(world: World, principal: Principal) -> Policies:
    """Return the policies of *principal* before the latest changes took effect."""
    arn = holder(world, principal).arn
    then = world.now() - timedelta(seconds=world.conditions.seconds.policy_change)
    known = [policies for since, policies in world.policies_then.get(arn, ()) if since <= then]
    return known[-1] if known else Policies()


def holder(world: World, principal: Principal) -> Any:
    """Return the user or role, in moto's form, whose policies apply to *principal*."""
    if principal.role is not None:
        return find_role(world, principal.role)
    return world.iam.get_user(principal.name)


def held_policies(world: World, entity: Any) -> Policies:
    """Return the policies of moto's user, group or role *entity*, with those of its groups."""
    groups = [group for group in world.iam.groups.values() if entity in group.users]
    own = [policy for owner in (entity, *groups) for policy in _own_policies(owner)]
    return Policies(tuple(own), boundary(world, boundary_arn(entity)))


def boundary_arn(entity: Any) -> str | None:
    """Return the ARN of the permissions boundary of moto's *entity*; moto's users lack one."""
    held = getattr(entity, "permissions_boundary", None)
    return held["PermissionsBoundaryArn"] if held else None


def boundary(world: World, arn: str | None) -> AttachedPolicy | None:
    """Return the permissions boundary *arn*; if it does not exist, one that allows nothing."""
    if not arn:
        return None
    policy = world.iam.managed_policies.get(arn)
    if policy is None:
        return AttachedPolicy(arn, _NOTHING, arn=arn)
    return AttachedPolicy(policy.name, default_document(policy), _type(policy), arn)


def default_document(policy: Any) -> str:
    """Return the text of the default version of moto's managed *policy*."""
    return str(next(version.document for version in policy.versions if version.is_default))


def find_role(world: World, name: str) -> Any:
    """Return moto's role *name*; a session whose role was deleted can do nothing."""
    role = world.entity("role", name)
    if role is None:
        raise Fault("NoSuchEntity", f"The role with name {name} cannot be found.", 404)
    return role


def tags_of(entity: Any) -> dict[str, str]:
    """Return the tags of moto's IAM *entity*; empty for None."""
    held = entity.get_tags() if hasattr(entity, "get_tags") else getattr(entity, "tags", None)
    return {each["Key"]: each.get("Value", "") for each in held or ()}


def _own_policies(owner: Any) -> tuple[AttachedPolicy, ...]:
    attached = [
        AttachedPolicy(policy.name, default_document(policy), _type(policy), policy.arn, owner.arn)
        for policy in owner.managed_policies.values()
    ]
    inline = [
        AttachedPolicy(name, document, "inline", owner=owner.arn)
        for name, document in owner.policies.items()
    ]
    return (*attached, *inline)


def is_aws(policy: Any) -> bool:
    """Return whether moto's *policy* is AWS managed; others may have the same name."""
    return ":iam::aws:" in policy.arn


def _type(policy: Any) -> Literal["aws-managed", "user-managed"]:
    return "aws-managed" if is_aws(policy) else "user-managed"


def _holder(world: World, claim: Claim, source_ip: str) -> tuple[Principal, Secret]:
    """Return the key's holder and secret; raises Unauthenticated for unknown or inactive keys."""
    key_id = claim.access_key_id
    if claim.token is not None and not key_id.startswith(_TEMPORARY):
        raise Unauthenticated("token")
    if key_id == world.root.id:
        return _root(world, key_id, source_ip), world.root.secret
    if key_id.startswith(_TEMPORARY):
        return _session_holder(world, claim, source_ip)
    for user in list(world.iam.users.values()):
        for key in user.access_keys:
            if key.access_key_id == key_id and key.status == "Active":
                if world.now() < world.key_known.get(key_id, world.started):
                    raise Unauthenticated("unknown")
                return _user(user, key_id, source_ip), Secret(key.secret_access_key)
    raise Unauthenticated("unknown")


def _root(world: World, key_id: str, source_ip: str) -> Principal:
    arn = f"arn:{world.partition}:iam::{world.account}:root"
    return Principal(arn, world.account, key_id, source_ip)


def _user(user: Any, key_id: str, source_ip: str) -> Principal:
    return Principal(user.arn, user.id, key_id, source_ip, user.name, tags=tags_of(user))


def _session_holder(world: World, claim: Claim, source_ip: str) -> tuple[Principal, Secret]:
    session = world.sessions.get(claim.access_key_id)
    if session is None or claim.token is None or Secret(claim.token) != session.token:
        raise Unauthenticated("token")
    if session.role is not None:
        if not any(session.user_id.startswith(f"{role}:") for role in world.iam.roles):
            raise Unauthenticated("unknown")
        key_id, role = claim.access_key_id, session.role
        who = Principal(session.arn, session.user_id, key_id, source_ip, role=role)
        who = replace(who, tags=session.tags)
    elif session.user is None:
        who = _root(world, claim.access_key_id, source_ip)
    else:
        user = world.iam.users.get(session.user)
        if user is None or user.id != session.user_id:
            raise Unauthenticated("unknown")
        who = _user(user, claim.access_key_id, source_ip)
    if session.federated:
        who = replace(who, arn=session.arn, user_id=session.federated, tags=session.tags)
    return replace(who, session=session), session.key.secret
