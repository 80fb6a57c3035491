"""What IAM tells of an account: its lists in pages, all of it at once, and the credential report.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._pages import keep_place, place_of
from cml_iam.sandbox._principals import boundary_arn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

_PAGE: Final = 100
"""The items of a page, unless MaxItems says how many."""

_INVALID: Final = "ValidationError"
_NAMESPACE: Final = "{https://iam.amazonaws.com/doc/2010-05-08/}"
_REPORT: Final = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,"
    "password_next_rotation,mfa_active,access_key_1_active,access_key_1_last_rotated,"
    "access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,"
    "access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def in_iam_pages(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    """Do *call* by *execute* as a whole, and answer the page of it that is asked for."""
    shape = call.model.input_shape
    if shape is None or not {"Marker", "MaxItems"} <= set(shape.members):
        return execute(call)
    start, size = place_of(world, call, _INVALID), call.params.get("MaxItems", _PAGE)
    answer = execute(call.with_params(Marker=None, MaxItems=10**6))
    if not answer.ok:
        return answer
    root = ET.fromstring(answer.body)  # noqa: S314 - moto's own answer
    result = root.find(f"{_NAMESPACE}{call.operation}Result")
    if result is None:
        return answer
    entries = [(held, each) for held in result for each in held.findall(f"{_NAMESPACE}member")]
    for held, each in (*entries[:start], *entries[start + size :]):
        held.remove(each)
    more = len(entries) > start + size
    for name in ("IsTruncated", "Marker"):
        for each in result.findall(_NAMESPACE + name):
            result.remove(each)
    ET.SubElement(result, f"{_NAMESPACE}IsTruncated").text = str(more).lower()
    if more:
        marker = keep_place(world, call, start + size)
        ET.SubElement(result, f"{_NAMESPACE}Marker").text = marker
    body = ET.tostring(root, "utf-8", default_namespace=_NAMESPACE.strip("{}"))
    return replace(answer, body=body)


def account_details(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetAccountAuthorizationDetails, a page of everything after the other."""
    iam, wanted = world.iam, call.params.get("Filter")
    groups_of = {
        user.name: [group.name for group in iam.groups.values() if user in group.users]
        for user in iam.users.values()
    }
    everything: list[tuple[str, Any, Callable[[Any], dict[str, Any]]]] = []

    def add(kind: str, key: str, entities: Iterable[Any], tell: Callable[..., Any]) -> None:
        if not wanted or kind in wanted:
            everything.extend((key, each, tell) for each in entities)

    policies = list(iam.managed_policies.values())
    add("User", "UserDetailList", iam.users.values(), lambda u: _user(u, groups_of[u.name]))
    add("Group", "GroupDetailList", iam.groups.values(), _group)
    add("Role", "RoleDetailList", iam.roles.values(), lambda role: _role(iam, role))
    add("LocalManagedPolicy", "Policies", (p for p in policies if not _is_aws(p)), _policy)
    add("AWSManagedPolicy", "Policies", (p for p in policies if _is_aws(p)), _policy)
    start, size = place_of(world, call, _INVALID), call.params.get("MaxItems", _PAGE)
    result: dict[str, Any] = {
        "UserDetailList": [],
        "GroupDetailList": [],
        "RoleDetailList": [],
        "Policies": [],
        "IsTruncated": len(everything) > start + size,
    }
    for key, each, tell in everything[start : start + size]:
        result[key].append(tell(each))
    if result["IsTruncated"]:
        result["Marker"] = keep_place(world, call, start + size)
    return result_answer(call, result)


def _is_aws(policy: Any) -> bool:
    return ":iam::aws:" in policy.arn


def _user(user: Any, groups: list[str]) -> dict[str, Any]:
    return {
        **_entity(user, "User"),
        "UserPolicyList": _inline(user),
        "GroupList": groups,
        "AttachedManagedPolicies": _attached(user),
        "Tags": user.tags or [],
        "PermissionsBoundary": _boundary(boundary_arn(user)),
    }


def _group(group: Any) -> dict[str, Any]:
    return {
        **_entity(group, "Group"),
        "GroupPolicyList": _inline(group),
        "AttachedManagedPolicies": _attached(group),
    }


def _role(iam: Any, role: Any) -> dict[str, Any]:
    profiles = [each for each in iam.instance_profiles.values() if role in each.roles]
    return {
        **_entity(role, "Role"),
        "AssumeRolePolicyDocument": quote(str(role.assume_role_policy_document)),
        "InstanceProfileList": [
            {**_entity(each, "InstanceProfile"), "Roles": [_entity(role, "Role")]}
            for each in profiles
        ],
        "RolePolicyList": _inline(role),
        "AttachedManagedPolicies": _attached(role),
        "Tags": role.tags or [],
        "PermissionsBoundary": _boundary(role.permissions_boundary_arn),
        "RoleLastUsed": {},
    }


def _policy(policy: Any) -> dict[str, Any]:
    return {
        **_entity(policy, "Policy"),
        "DefaultVersionId": policy.default_version_id,
        "AttachmentCount": policy.attachment_count,
        "IsAttachable": True,
        "UpdateDate": policy.update_date,
        "PolicyVersionList": [
            {
                "Document": quote(version.document),
                "VersionId": version.version_id,
                "IsDefaultVersion": version.is_default,
                "CreateDate": version.create_date,
            }
            for version in policy.versions
        ],
    }


def _entity(entity: Any, kind: str) -> dict[str, Any]:
    return {
        "Path": entity.path,
        f"{kind}Name": entity.name,
        f"{kind}Id": entity.id,
        "Arn": entity.arn,
        "CreateDate": entity.create_date,
    }


def _inline(holder: Any) -> list[dict[str, str]]:
    return [
        {"PolicyName": name, "PolicyDocument": quote(document)}
        for name, document in holder.policies.items()
    ]


def _attached(holder: Any) -> list[dict[str, str]]:
    policies = holder.managed_policies.values()
    return [{"PolicyName": each.name, "PolicyArn": each.arn} for each in policies]


def _boundary(arn: str | None) -> dict[str, str] | None:
    if not arn:
        return None
    return {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}


def credential_report(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetCredentialReport: the root and every user, and when their keys were used."""
    if not world.iam.report_generated():
        said = "No report exists. Call GenerateCredentialReport first."
        raise Fault("ReportNotPresent", said, 410)
    started = world.started.replace(tzinfo=None)
    root = f"arn:{world.partition}:iam::{world.account}:root"
    rows = [
        [
            "<root_account>",
            root,
            _time(started),
            *("not_supported", "no_information", "not_supported", "not_supported", "false"),
            *("true", _time(started), *_use(world.root_used)),
            *_NO_KEY,
            *_NO_CERTIFICATES,
        ]
    ]
    rows += [_row(user) for user in world.iam.users.values()]
    text = "\n".join([_REPORT, *(",".join(row) for row in rows)])
    now = world.now().replace(tzinfo=None)
    answer = {"Content": text.encode(), "ReportFormat": "text/csv", "GeneratedTime": now}
    return result_answer(call, answer)


_NO_KEY: Final = ("false", "N/A", "N/A", "N/A", "N/A")
_NO_CERTIFICATES: Final = ("false", "N/A", "false", "N/A")


def _row(user: Any) -> list[str]:
    created = _time(user.create_date)
    password = ("false", "N/A", "N/A", "N/A")
    if user.password is not None:
        used = user.password_last_used
        password = ("true", _time(used) if used else "no_information", created, "N/A")
    keys: list[str] = []
    for each in user.access_keys[:2]:
        last = each.last_used
        use = (last.timestamp, last.service, last.region) if last else None
        keys += [
            "true" if each.status == "Active" else "false",
            _time(each.create_date),
            *_use(use),
        ]
    missing = _NO_KEY * (2 - len(user.access_keys[:2]))
    mfa = "true" if user.mfa_devices else "false"
    return [user.name, user.arn, created, *password, mfa, *keys, *missing, *_NO_CERTIFICATES]


def _use(used: tuple[datetime, str, str] | None) -> tuple[str, str, str]:
    if used is None:
        return ("N/A", "N/A", "N/A")
    when, service, region = used
    return (_time(when), region, service)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
