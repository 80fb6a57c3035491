"""Accounts for tests, and the engine asked about every request that their policies distinguish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

from cml_iam.engine import Request, compile_policies
from cml_iam.who import Account, Member, account_of, with_scps

ACCOUNT = "111122223333"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANCE = f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-0a1b2c3d4e5f60001"
Doc = Mapping[str, Any]


def policy(*statements: Doc) -> dict[str, Any]:
    """Return a policy document of *statements*."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def said(effect: str, actions: Any, resource: Any = "*", **conditions: Doc) -> dict[str, Any]:
    """Return a statement; a name like `StringEquals` is an operator."""
    condition = {"Condition": conditions} if conditions else {}
    return {"Effect": effect, "Action": actions, "Resource": resource, **condition}


def allow(actions: Any, resource: Any = "*", **conditions: Doc) -> dict[str, Any]:
    """Return a statement that allows."""
    return said("Allow", actions, resource, **conditions)


def deny(actions: Any, resource: Any = "*", **conditions: Doc) -> dict[str, Any]:
    """Return a statement that denies."""
    return said("Deny", actions, resource, **conditions)


def trusting(principal: Any, **conditions: Doc) -> dict[str, Any]:
    """Return a trust policy."""
    condition = {"Condition": conditions} if conditions else {}
    return policy(
        {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition}
    )


def user(name: str, *inline: Doc, **more: Any) -> dict[str, Any]:
    """Return a user as GetAccountAuthorizationDetails lists it."""
    return {
        "UserName": name,
        "UserId": f"AIDA{name.upper()}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}",
        "Path": "/",
        "UserPolicyList": [
            {"PolicyName": f"p{n}", "PolicyDocument": each} for n, each in enumerate(inline)
        ],
        **_common(more),
        "GroupList": more.get("groups", []),
    }


def role(name: str, *inline: Doc, **more: Any) -> dict[str, Any]:
    """Return a role as GetAccountAuthorizationDetails lists it."""
    path = more.get("path", "/")
    return {
        "RoleName": name,
        "RoleId": f"AROA{name.upper()}",
        "Arn": f"arn:aws:iam::{ACCOUNT}:role{path}{name}",
        "Path": path,
        "AssumeRolePolicyDocument": more.get("trust", trusting({"Service": "ec2.amazonaws.com"})),
        "RolePolicyList": [
            {"PolicyName": f"p{n}", "PolicyDocument": each} for n, each in enumerate(inline)
        ],
        **_common(more),
    }


def _common(more: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "AttachedManagedPolicies": [
            {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}
            for arn in more.get("managed", [])
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in more.get("tags", {}).items()],
    }
    if "boundary" in more:
        made["PermissionsBoundary"] = {"PermissionsBoundaryArn": more["boundary"]}
    return made


def group(name: str, *inline: Doc, managed: Sequence[str] = ()) -> dict[str, Any]:
    """Return a group as GetAccountAuthorizationDetails lists it."""
    return {
        "GroupName": name,
        "Arn": f"arn:aws:iam::{ACCOUNT}:group/{name}",
        "GroupPolicyList": [
            {"PolicyName": f"p{n}", "PolicyDocument": each} for n, each in enumerate(inline)
        ],
        **_common({"managed": managed}),
    }


def managed(name: str, document: Doc) -> dict[str, Any]:
    """Return a managed policy of the account as GetAccountAuthorizationDetails lists it."""
    return {
        "PolicyName": name,
        "Arn": arn_of(name),
        "PolicyVersionList": [{"Document": document, "VersionId": "v1", "IsDefaultVersion": True}],
    }


def arn_of(name: str) -> str:
    """Return the ARN of a managed policy of the account."""
    return f"arn:aws:iam::{ACCOUNT}:policy/{name}"


def account(
    users: Sequence[Doc] = (),
    roles: Sequence[Doc] = (),
    groups: Sequence[Doc] = (),
    policies: Sequence[Doc] = (),
    scps: Sequence[Sequence[Doc]] | None = None,
) -> Account:
    """Return an account of these."""
    made = account_of(
        {
            "UserDetailList": list(users),
            "RoleDetailList": list(roles),
            "GroupDetailList": list(groups),
            "Policies": list(policies),
        }
    )
    return with_scps(made, [list(scp) for scp in scps]) if scps else made


def outcomes(
    of: Account,
    member: Member,
    action: str,
    resources: Sequence[str],
    values: Mapping[str, Sequence[Any]],
    trust: Any = None,
) -> set[bool]:
    """Return how the engine decides all requests with these *values*, as `allowed` or not."""
    holdings = member.holdings
    authorizer = compile_policies(
        holdings.documents,
        boundary=holdings.boundary.document if holdings.boundary else None,
        scps=of.scps,
        resource=trust,
    )
    return {
        authorizer.decide(request).allowed
        for request in requests(member, action, resources, values)
    }


def requests(
    member: Member, action: str, resources: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> Iterator[Request]:
    """Yield requests of *member* with each combination of *values*; None is absent."""
    for resource in resources:
        region = resource.split(":")[3] if resource.startswith("arn:aws:ec2") else "us-east-1"
        for chosen in product(*values.values()):
            context = {k: v for k, v in zip(values, chosen, strict=True) if v is not None}
            context |= known(member) | {"aws:RequestedRegion": region}
            if action.startswith("ec2:"):
                context["ec2:Region"] = region
                tags = {k: v for k, v in context.items() if k.startswith("aws:ResourceTag/")}
                context |= {k.replace("aws:", "ec2:", 1): v for k, v in tags.items()}
            yield Request(action, resource, member.arn, context)


def known(member: Member) -> dict[str, Any]:
    """Return what every request of *member* has."""
    made = {
        "aws:PrincipalArn": member.arn,
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "User" if member.kind == "user" else "AssumedRole",
        "aws:CurrentTime": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(NOW.timestamp())),
        "aws:PrincipalIsAWSService": "false",
        "aws:userid": member.id if member.kind == "user" else f"{member.id}:session",
    }
    if member.kind == "user":
        made["aws:username"] = member.name
    return made | {f"aws:PrincipalTag/{k}": v for k, v in member.holdings.tags.items()}
