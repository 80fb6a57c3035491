# ruff: noqa: N803 - the parameters bear the names AWS gives them
"""IAM in memory behind the port, as strict as AWS where moto is lenient, with faults on order."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from threading import RLock
from typing import Any

from cml_iam import errors
from cml_iam.aws.port import Identity
from cml_iam.credentials import AccessKey
from cml_iam.policy import policy_size
from cml_iam.secret import Secret

ACCOUNT = "111122223333"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"
OURS = [{"Key": "cml-iam:managed", "Value": "true"}]
SECRET_LETTERS = string.ascii_letters + string.digits + "+/"


def _limit(message: str) -> errors.LimitError:
    return errors.LimitError(message, code="LimitExceeded")


def _missing(message: str) -> errors.NotFoundError:
    return errors.NotFoundError(message, code="NoSuchEntity")


def _exists(message: str) -> errors.StateError:
    return errors.StateError(message, code="EntityAlreadyExists")


def _conflict(message: str) -> errors.StateError:
    return errors.StateError(message, code="DeleteConflict")


@dataclass
class Key:
    id: str
    secret: str
    user: str
    created: datetime
    status: str = "Active"
    used: datetime | None = None
    unknown_for: int = 0


@dataclass
class Principal:
    name: str
    path: str
    tags: dict[str, str]
    boundary: str | None
    trust: str | None = None
    attached: list[str] = field(default_factory=list)
    inline: dict[str, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    held: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Policy:
    name: str
    tags: dict[str, str]
    versions: dict[str, str]
    default: str
    counter: int = 1


@dataclass
class FakeIam:
    """The state of one account, and what was asked of it.

    *faults* says what happens at the n-th call (from 1): `lost` (done, and the answer never comes;
    boto3 sends again unless told not to), `unreachable`, `throttled`, `denied`. *delay* is how many
    sign-ins a new key fails before AWS knows it everywhere. *denied* are operations refused always.
    *tick* is called before and after each.
    """

    users: dict[str, Principal] = field(default_factory=dict)
    roles: dict[str, Principal] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    profiles: dict[str, list[str]] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)
    delay: int = 0
    quota: int = 10
    denied: set[str] = field(default_factory=set)
    random: Random = field(default_factory=lambda: Random(7))  # noqa: S311 - repeatable
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    before_call: Callable[[str], None] = lambda name: None
    tick: Callable[[], None] = lambda: None
    guard: RLock = field(default_factory=RLock)

    def admin(self) -> FakeAws:
        return FakeAws(self, Identity(ACCOUNT, ADMIN, "AIDAADMIN"))

    def sign_in(self, key: AccessKey) -> FakeAws:
        return FakeAws(self, None, key)

    def arn(self, kind: str, name: str) -> str:
        path = {"user": self.users, "role": self.roles}[kind][name].path
        return f"arn:aws:iam::{ACCOUNT}:{kind}{path}{name}"

    def snapshot(self) -> dict[str, Any]:
        """What is there, ids of keys and dates left out."""
        return {
            "users": {n: vars(u) for n, u in self.users.items()},
            "roles": {n: vars(r) for n, r in self.roles.items()},
            "profiles": dict(self.profiles),
            "policies": {
                n: (p.tags, json.loads(p.versions[p.default])) for n, p in self.policies.items()
            },
            "keys": sorted((k.user, k.status) for k in self.keys.values()),
        }


@dataclass
class FakeAws:
    """The port onto *iam* for one caller: an identity, or the holder of a key."""

    iam: FakeIam
    who: Identity | None
    key: AccessKey | None = None
    region: str | None = "us-east-1"

    def identity(self) -> Identity:
        self.iam.before_call("get_caller_identity")
        return self._disturbed("get_caller_identity", self._who, once=False)

    def _who(self) -> Identity:
        if self.who is not None:
            return self.who
        assert self.key is not None
        found = self.iam.keys.get(self.key.id)
        if found is None or found.status != "Active":
            raise errors.CredentialsError("unknown key", code="InvalidClientTokenId")
        if found.unknown_for:
            found.unknown_for -= 1
            raise errors.CredentialsError("unknown key", code="InvalidClientTokenId")
        if found.secret != self.key.secret.reveal():
            raise errors.CredentialsError("wrong signature", code="SignatureDoesNotMatch")
        found.used = self.iam.now
        return Identity(ACCOUNT, self.iam.arn("user", found.user), "AIDAWORKER")

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        assert service == "iam", service
        self.iam.before_call(operation)
        handler = getattr(_Operations(self.iam), operation)
        return self._disturbed(operation, lambda: handler(**parameters), once)

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        yield from self.call(service, operation, region=region, **parameters)[key]

    def _disturbed(self, operation: str, work: Callable[[], Any], once: bool) -> Any:
        self.iam.calls.append(operation)
        self.iam.tick()
        fault = self.iam.faults.pop(len(self.iam.calls), None)
        if fault == "unreachable":
            raise errors.UnreachableError("no answer", operation=operation)
        if fault == "throttled":
            raise errors.ThrottledError("slower", code="Throttling")
        if fault == "denied" or operation in self.iam.denied:
            raise errors.DeniedError("no", code="AccessDenied", action=f"iam:{operation}")
        answer = self._counted(operation, work)
        if fault == "lost":
            if once:
                raise errors.UnreachableError("no answer", operation=operation)
            answer = self._counted(operation, work)
        self.iam.tick()
        return answer

    def _counted(self, operation: str, work: Callable[[], Any]) -> Any:
        with self.iam.guard:
            self.iam.now += timedelta(seconds=1)
            answer = work()
            if not operation.startswith(("get_", "list_")):
                self.iam.writes.append(operation)
            return answer


def _tags(raw: list[dict[str, str]]) -> dict[str, str]:
    names = [each["Key"].lower() for each in raw]
    if len(set(names)) != len(names):
        raise errors.RequestError("duplicate tag keys", code="InvalidInput")
    return {each["Key"]: each["Value"] for each in raw}


def _listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclass
class _Operations:
    """The operations of IAM, by boto3's names and parameters."""

    iam: FakeIam

    # users and roles

    def get_user(self, UserName: str) -> dict[str, Any]:
        return {"User": self._shown("user", UserName)}

    def get_role(self, RoleName: str) -> dict[str, Any]:
        return {"Role": self._shown("role", RoleName)}

    def _of(self, kind: str) -> dict[str, Principal]:
        return self.iam.users if kind == "user" else self.iam.roles

    def _found(self, kind: str, name: str) -> Principal:
        if name not in self._of(kind):
            raise _missing(f"the {kind} {name} cannot be found")
        return self._of(kind)[name]

    def _shown(self, kind: str, name: str) -> dict[str, Any]:
        found = self._found(kind, name)
        shown: dict[str, Any] = {
            "Arn": self.iam.arn(kind, name),
            "Path": found.path,
            "Tags": _listed(found.tags),
        }
        if found.boundary:
            shown["PermissionsBoundary"] = {"PermissionsBoundaryArn": found.boundary}
        if found.trust:
            shown["AssumeRolePolicyDocument"] = json.loads(found.trust)
        return shown

    def create_user(
        self,
        UserName: str,
        Path: str,
        Tags: list[dict[str, str]],
        PermissionsBoundary: str | None = None,
    ) -> dict[str, Any]:
        return self._create("user", UserName, Path, Tags, PermissionsBoundary, None)

    def create_role(
        self,
        RoleName: str,
        Path: str,
        Tags: list[dict[str, str]],
        AssumeRolePolicyDocument: str,
        PermissionsBoundary: str | None = None,
    ) -> dict[str, Any]:
        json.loads(AssumeRolePolicyDocument)
        return self._create(
            "role", RoleName, Path, Tags, PermissionsBoundary, AssumeRolePolicyDocument
        )

    def _create(
        self,
        kind: str,
        name: str,
        path: str,
        tags: list[dict[str, str]],
        boundary: str | None,
        trust: str | None,
    ) -> dict[str, Any]:
        if name in self._of(kind):
            raise _exists(f"the {kind} {name} exists")
        if boundary and not self._is_policy(boundary):
            raise _missing(f"no policy {boundary}")
        self._of(kind)[name] = Principal(name, path, _tags(tags), boundary, trust)
        return {}

    def _is_policy(self, arn: str) -> bool:
        return arn in self.iam.policies or arn.startswith("arn:aws:iam::aws:policy/")

    def tag_user(self, UserName: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        self._found("user", UserName).tags.update(_tags(Tags))
        return {}

    def tag_role(self, RoleName: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        self._found("role", RoleName).tags.update(_tags(Tags))
        return {}

    def put_user_permissions_boundary(
        self, UserName: str, PermissionsBoundary: str
    ) -> dict[str, Any]:
        if not self._is_policy(PermissionsBoundary):
            raise _missing(f"no policy {PermissionsBoundary}")
        self._found("user", UserName).boundary = PermissionsBoundary
        return {}

    def update_assume_role_policy(self, RoleName: str, PolicyDocument: str) -> dict[str, Any]:
        self._found("role", RoleName).trust = PolicyDocument
        return {}

    def delete_user(self, UserName: str) -> dict[str, Any]:
        found = self._found("user", UserName)
        held = any(key.user == UserName for key in self.iam.keys.values())
        if found.attached or found.inline or found.groups or held or any(found.held.values()):
            raise _conflict(f"{UserName} has subordinate entities")
        del self.iam.users[UserName]
        return {}

    # policies

    def get_policy(self, PolicyArn: str) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        shown = {"Arn": PolicyArn, "DefaultVersionId": found.default, "Tags": _listed(found.tags)}
        return {"Policy": shown}

    def _policy(self, arn: str) -> Policy:
        if arn not in self.iam.policies:
            raise _missing(f"no policy {arn}")
        return self.iam.policies[arn]

    def _checked(self, document: str) -> str:
        json.loads(document)
        if policy_size(document) > 6144:
            raise _limit("the policy is larger than 6144 characters")
        return document

    def create_policy(
        self, PolicyName: str, PolicyDocument: str, Tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{PolicyName}"
        if arn in self.iam.policies:
            raise _exists(f"the policy {PolicyName} exists")
        versions = {"v1": self._checked(PolicyDocument)}
        self.iam.policies[arn] = Policy(PolicyName, _tags(Tags), versions, "v1")
        return {}

    def list_policies(self, Scope: str) -> dict[str, Any]:
        return {"Policies": [{"PolicyName": policy.name} for policy in self.iam.policies.values()]}

    def get_policy_version(self, PolicyArn: str, VersionId: str) -> dict[str, Any]:
        versions = self._policy(PolicyArn).versions
        if VersionId not in versions:
            raise _missing(f"no version {VersionId}")
        return {"PolicyVersion": {"Document": json.loads(versions[VersionId])}}

    def list_policy_versions(self, PolicyArn: str) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        shown = [
            {"VersionId": version, "IsDefaultVersion": version == found.default}
            for version in reversed(found.versions)
        ]
        return {"Versions": shown}

    def create_policy_version(
        self, PolicyArn: str, PolicyDocument: str, SetAsDefault: bool
    ) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        if len(found.versions) >= 5:
            raise _limit("a managed policy can have up to 5 versions")
        found.counter += 1
        found.versions[f"v{found.counter}"] = self._checked(PolicyDocument)
        if SetAsDefault:
            found.default = f"v{found.counter}"
        return {}

    def delete_policy_version(self, PolicyArn: str, VersionId: str) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        if VersionId == found.default:
            raise _conflict("cannot delete the default version")
        if VersionId not in found.versions:
            raise _missing(f"no version {VersionId}")
        del found.versions[VersionId]
        return {}

    def tag_policy(self, PolicyArn: str, Tags: list[dict[str, str]]) -> dict[str, Any]:
        self._policy(PolicyArn).tags.update(_tags(Tags))
        return {}

    # attachments

    def attach_user_policy(self, UserName: str, PolicyArn: str) -> dict[str, Any]:
        return self._attach("user", UserName, PolicyArn)

    def attach_role_policy(self, RoleName: str, PolicyArn: str) -> dict[str, Any]:
        return self._attach("role", RoleName, PolicyArn)

    def _attach(self, kind: str, name: str, arn: str) -> dict[str, Any]:
        found = self._found(kind, name)
        if not self._is_policy(arn):
            raise _missing(f"no policy {arn}")
        if arn not in found.attached:  # AWS takes a second attachment without a word
            found.attached.append(arn)
        return {}

    def list_attached_user_policies(self, UserName: str) -> dict[str, Any]:
        return self._attached("user", UserName)

    def list_attached_role_policies(self, RoleName: str) -> dict[str, Any]:
        return self._attached("role", RoleName)

    def _attached(self, kind: str, name: str) -> dict[str, Any]:
        return {"AttachedPolicies": [{"PolicyArn": a} for a in self._found(kind, name).attached]}

    def list_user_policies(self, UserName: str) -> dict[str, Any]:
        return {"PolicyNames": list(self._found("user", UserName).inline)}

    def list_role_policies(self, RoleName: str) -> dict[str, Any]:
        return {"PolicyNames": list(self._found("role", RoleName).inline)}

    def list_groups_for_user(self, UserName: str) -> dict[str, Any]:
        return {"Groups": [{"GroupName": g} for g in self._found("user", UserName).groups]}

    def list_entities_for_policy(
        self, PolicyArn: str, PolicyUsageFilter: str, Marker: str = "0"
    ) -> dict[str, Any]:
        """Answer one holder a page, as AWS may."""
        self._policy(PolicyArn)

        def holds(each: Principal) -> bool:
            if PolicyUsageFilter == "PermissionsBoundary":
                return each.boundary == PolicyArn
            return PolicyArn in each.attached

        held = [
            *(("PolicyUsers", {"UserName": n}) for n, u in self.iam.users.items() if holds(u)),
            *(("PolicyRoles", {"RoleName": n}) for n, r in self.iam.roles.items() if holds(r)),
            *(
                ("PolicyGroups", {"GroupName": name})
                for name, arns in self.iam.groups.items()
                if PolicyUsageFilter == "PermissionsPolicy" and PolicyArn in arns
            ),
        ]
        page = int(Marker)
        answer: dict[str, Any] = {"PolicyUsers": [], "PolicyRoles": [], "PolicyGroups": []}
        for key, each in held[page : page + 1]:
            answer[key].append(each)
        more = page + 1 < len(held)
        return answer | {"IsTruncated": more} | ({"Marker": str(page + 1)} if more else {})

    def get_account_summary(self) -> dict[str, Any]:
        kinds = ("User", "Role", "Group")
        return {"SummaryMap": {f"AttachedPoliciesPer{kind}Quota": self.iam.quota for kind in kinds}}

    def detach_user_policy(self, UserName: str, PolicyArn: str) -> dict[str, Any]:
        return self._detach("user", UserName, PolicyArn)

    def detach_role_policy(self, RoleName: str, PolicyArn: str) -> dict[str, Any]:
        return self._detach("role", RoleName, PolicyArn)

    def _detach(self, kind: str, name: str, arn: str) -> dict[str, Any]:
        found = self._found(kind, name)
        if arn not in found.attached:
            raise _missing(f"{arn} is not attached")
        found.attached.remove(arn)
        return {}

    def set_default_policy_version(self, PolicyArn: str, VersionId: str) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        if VersionId not in found.versions:
            raise _missing(f"no version {VersionId}")
        found.default = VersionId
        return {}

    def delete_policy(self, PolicyArn: str) -> dict[str, Any]:
        found = self._policy(PolicyArn)
        everybody = (*self.iam.users.values(), *self.iam.roles.values())
        if any(PolicyArn in (*each.attached, each.boundary) for each in everybody):
            raise _conflict(f"{PolicyArn} is attached")
        if len(found.versions) > 1:
            raise _conflict(f"{PolicyArn} has more than one version")
        del self.iam.policies[PolicyArn]
        return {}

    # what else a user holds

    def get_login_profile(self, UserName: str) -> dict[str, Any]:
        if "password" not in self._found("user", UserName).held:
            raise _missing("no login profile")
        return {"LoginProfile": {}}

    def delete_login_profile(self, UserName: str) -> dict[str, Any]:
        if self._found("user", UserName).held.pop("password", None) is None:
            raise _missing("no login profile")
        return {}

    def _held(self, user: str, kind: str, answer: str, name: str) -> dict[str, Any]:
        return {answer: [{name: each} for each in self._found("user", user).held.get(kind, ())]}

    def _drop(self, user: str, kind: str, each: str) -> dict[str, Any]:
        held = self._found("user", user).held.get(kind, [])
        if each not in held:
            raise _missing(f"no {kind} {each}")
        held.remove(each)
        return {}

    def list_mfa_devices(self, UserName: str) -> dict[str, Any]:
        return self._held(UserName, "mfa", "MFADevices", "SerialNumber")

    def deactivate_mfa_device(self, UserName: str, SerialNumber: str) -> dict[str, Any]:
        return self._drop(UserName, "mfa", SerialNumber)

    def delete_virtual_mfa_device(self, SerialNumber: str) -> dict[str, Any]:
        if any(SerialNumber in user.held.get("mfa", ()) for user in self.iam.users.values()):
            raise _conflict("the device is in use")
        return {}

    def list_signing_certificates(self, UserName: str) -> dict[str, Any]:
        return self._held(UserName, "certificate", "Certificates", "CertificateId")

    def delete_signing_certificate(self, UserName: str, CertificateId: str) -> dict[str, Any]:
        return self._drop(UserName, "certificate", CertificateId)

    def list_ssh_public_keys(self, UserName: str) -> dict[str, Any]:
        return self._held(UserName, "ssh", "SSHPublicKeys", "SSHPublicKeyId")

    def delete_ssh_public_key(self, UserName: str, SSHPublicKeyId: str) -> dict[str, Any]:
        return self._drop(UserName, "ssh", SSHPublicKeyId)

    def list_service_specific_credentials(self, UserName: str) -> dict[str, Any]:
        name = "ServiceSpecificCredentialId"
        return self._held(UserName, "service", "ServiceSpecificCredentials", name)

    def delete_service_specific_credential(
        self, UserName: str, ServiceSpecificCredentialId: str
    ) -> dict[str, Any]:
        return self._drop(UserName, "service", ServiceSpecificCredentialId)

    def delete_user_policy(self, UserName: str, PolicyName: str) -> dict[str, Any]:
        if self._found("user", UserName).inline.pop(PolicyName, None) is None:
            raise _missing(f"no inline policy {PolicyName}")
        return {}

    def delete_role_policy(self, RoleName: str, PolicyName: str) -> dict[str, Any]:
        if self._found("role", RoleName).inline.pop(PolicyName, None) is None:
            raise _missing(f"no inline policy {PolicyName}")
        return {}

    def remove_user_from_group(self, UserName: str, GroupName: str) -> dict[str, Any]:
        if GroupName not in self._found("user", UserName).groups:
            raise _missing(f"{UserName} is not in {GroupName}")
        self._found("user", UserName).groups.remove(GroupName)
        return {}

    def list_instance_profiles_for_role(self, RoleName: str) -> dict[str, Any]:
        profiles = self.iam.profiles.items()
        found = [{"InstanceProfileName": name} for name, roles in profiles if RoleName in roles]
        return {"InstanceProfiles": found}

    def remove_role_from_instance_profile(
        self, InstanceProfileName: str, RoleName: str
    ) -> dict[str, Any]:
        if RoleName not in self._profile(InstanceProfileName):
            raise _missing(f"{RoleName} is not in {InstanceProfileName}")
        self._profile(InstanceProfileName).remove(RoleName)
        return {}

    def delete_instance_profile(self, InstanceProfileName: str) -> dict[str, Any]:
        if self._profile(InstanceProfileName):
            raise _conflict("the profile holds a role")
        del self.iam.profiles[InstanceProfileName]
        return {}

    def delete_role(self, RoleName: str) -> dict[str, Any]:
        found = self._found("role", RoleName)
        if found.attached or found.inline or any(RoleName in r for r in self.iam.profiles.values()):
            raise _conflict(f"{RoleName} has subordinate entities")
        del self.iam.roles[RoleName]
        return {}

    # instance profiles

    def get_instance_profile(self, InstanceProfileName: str) -> dict[str, Any]:
        roles = self._profile(InstanceProfileName)
        return {"InstanceProfile": {"Roles": [{"RoleName": role} for role in roles], "Tags": OURS}}

    def _profile(self, name: str) -> list[str]:
        if name not in self.iam.profiles:
            raise _missing(f"no instance profile {name}")
        return self.iam.profiles[name]

    def create_instance_profile(
        self, InstanceProfileName: str, Path: str, Tags: list[dict[str, str]]
    ) -> dict[str, Any]:
        if InstanceProfileName in self.iam.profiles:
            raise _exists(f"the instance profile {InstanceProfileName} exists")
        self.iam.profiles[InstanceProfileName] = []
        return {}

    def add_role_to_instance_profile(
        self, InstanceProfileName: str, RoleName: str
    ) -> dict[str, Any]:
        roles = self._profile(InstanceProfileName)
        self._found("role", RoleName)
        if roles:
            raise _limit("an instance profile can have 1 role")
        roles.append(RoleName)
        return {}

    # access keys

    def create_access_key(self, UserName: str) -> dict[str, Any]:
        self._found("user", UserName)
        if sum(key.user == UserName for key in self.iam.keys.values()) >= 2:
            raise _limit("cannot exceed quota for AccessKeysPerUser: 2")
        letters = self.iam.random.choices(string.ascii_uppercase, k=16)
        made = Key(
            id="AKIA" + "".join(letters),
            secret="".join(self.iam.random.choices(SECRET_LETTERS, k=40)),
            user=UserName,
            created=self.iam.now,
            unknown_for=self.iam.delay,
        )
        self.iam.keys[made.id] = made
        return {
            "AccessKey": {
                "UserName": UserName,
                "AccessKeyId": made.id,
                "Status": made.status,
                "SecretAccessKey": Secret(made.secret),
                "CreateDate": made.created,
            }
        }

    def list_access_keys(self, UserName: str) -> dict[str, Any]:
        self._found("user", UserName)
        return {
            "AccessKeyMetadata": [
                {"AccessKeyId": key.id, "Status": key.status, "CreateDate": key.created}
                for key in self.iam.keys.values()
                if key.user == UserName
            ]
        }

    def _key(self, user: str, key: str) -> Key:
        found = self.iam.keys.get(key)
        if found is None or found.user != user:
            raise _missing(f"the access key {key} cannot be found")
        return found

    def update_access_key(self, UserName: str, AccessKeyId: str, Status: str) -> dict[str, Any]:
        self._key(UserName, AccessKeyId).status = Status
        return {}

    def delete_access_key(self, UserName: str, AccessKeyId: str) -> dict[str, Any]:
        del self.iam.keys[self._key(UserName, AccessKeyId).id]
        return {}

    def get_access_key_last_used(self, AccessKeyId: str) -> dict[str, Any]:
        if AccessKeyId not in self.iam.keys:
            raise errors.NotFoundError("no such key", code="NoSuchEntity")
        used = self.iam.keys[AccessKeyId].used
        if used is None:
            return {"AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
        last = {"LastUsedDate": used, "ServiceName": "sts", "Region": "us-east-1"}
        return {"AccessKeyLastUsed": last}
