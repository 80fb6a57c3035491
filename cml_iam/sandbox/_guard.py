"""Decisions by the project's own engine: on every request, and on a trail's access to its bucket.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from cml_iam.engine import Authorizer, Decision, Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.sandbox._authorizations import authorizations, bucket_policy
from cml_iam.sandbox._principals import policies_of
from cml_iam.sandbox._wire import Call, Fault
from cml_iam.sandbox._world import Policies, Principal, Session, World

_BY_SESSIONS: Final = frozenset({"AssumeRole", "GetCallerIdentity"})
_BY_LONG_TERM_KEYS: Final = frozenset({"GetFederationToken", "GetSessionToken"})
_KINDS: Final = {
    "boundary": "a permissions boundary",
    "session": "a session policy",
    "identity": "an identity-based policy",
    "resource": "a resource-based policy",
}
"""The kinds of policies; if several do not allow a request, IAM names the first of them."""


def authorize(world: World, principal: Principal, call: Call) -> None:
    """Raise Fault, in the service's wording, unless *principal* may make the whole *call*."""
    _check_session(principal, call)
    if call.action == "sts:AssumeRole" and principal.is_root:
        raise Fault("AccessDenied", "Roles may not be assumed by root accounts.")
    if principal.is_root:
        return
    requests = authorizations(world, principal.caller, call)
    policy = None
    if call.service == "s3":
        policy = bucket_policy(world, call.params.get("Bucket"))
    elif call.action == "sts:AssumeRole":
        policy = trust_policy(world.home_of(call.params["RoleArn"]), call.params["RoleArn"])
    authorizer = compiled(policies_of(world, principal), policy)
    extra = time_keys(world, principal.session)
    for request in requests:
        decision = authorizer.decide(request._replace(context={**request.context, **extra}))
        if not decision.allowed:
            raise _refusal(world, principal, call, decision)


def _check_session(principal: Principal, call: Call) -> None:
    """Refuse calls that cannot be made with credentials from GetSessionToken or GetFederationToken.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
    """
    session = principal.session
    if session is None:
        return
    if call.service == "iam" and session.role is None and not session.mfa:
        raise Fault("InvalidClientTokenId", "The security token included in the request is invalid")
    allowed = _BY_SESSIONS - {"AssumeRole"} if session.federated else _BY_SESSIONS
    of_role = session.role is not None and call.operation not in _BY_LONG_TERM_KEYS
    if call.service == "sts" and not of_role and call.operation not in allowed:
        raise Fault("AccessDenied", f"Cannot call {call.operation} with session credentials")


@lru_cache(maxsize=256)
def compiled(policies: Policies, resource: str | None) -> Authorizer:
    """Return the authorizer of *policies*, and of a resource's policy, if given."""
    limit = policies.boundary
    return compile_policies(
        identity=[load_policy(policy.document, policy.name) for policy in policies.identity],
        boundary=load_policy(limit.document, limit.name) if limit else None,
        session=policies.session,
        resource=resource,
    )


def _refusal(world: World, principal: Principal, call: Call, decision: Decision) -> Fault:
    request, explanation = decision.request, decision.explanation
    text = f"User: {principal.arn} is not authorized to perform: {request.action}"
    if request.resource != "*" or not request.action.startswith("ec2:"):
        text += f" on resource: {request.resource}"
    if decision.outcome == "explicitDeny":
        text += f" with an explicit deny in {_KINDS[explanation.deciding[0].kind]}"
    else:
        silent = {gate.kind for gate in explanation.gates if not gate.allowed}
        kind = next((kind for kind in _KINDS if kind in silent), "resource")
        name = _KINDS[kind].partition(" ")[2]
        text += f" because no {name} allows the {request.action} action"
    if call.service != "ec2":
        return Fault("AccessDenied", text)
    encoded = world.keep(json.dumps(_decoded(principal, decision)))
    return Fault(
        "UnauthorizedOperation",
        f"You are not authorized to perform this operation. {text}. "
        f"Encoded authorization failure message: {encoded}",
    )


def _decoded(principal: Principal, decision: Decision) -> dict[str, Any]:
    """Return what sts:DecodeAuthorizationMessage reports about a refusal.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
    """
    request = decision.request
    conditions = []
    for key, held in request.context.items():
        values = held if isinstance(held, list | tuple) else [held]
        items = [{"value": str(value)} for value in values]
        conditions.append({"key": key, "values": {"items": items}})
    matched = [
        {"statementId": statement.statement.sid or "", "effect": statement.effect.upper()}
        for statement in decision.statements
    ]
    return {
        "allowed": False,
        "explicitDeny": decision.outcome == "explicitDeny",
        "matchedStatements": {"items": matched},
        "failures": {"items": []},
        "context": {
            "principal": {"id": principal.user_id, "name": principal.name, "arn": principal.arn},
            "action": request.action,
            "resource": request.resource,
            "conditions": {"items": conditions},
        },
    }


def trust_policy(world: World, arn: str) -> str:
    """Return the trust policy of the role *arn*; a missing role trusts nobody."""
    role = world.entity("role", arn)
    if role is not None:
        return str(role.assume_role_policy_document)
    return (
        '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Principal": "*", '
        '"Action": "*"}}'
    )


def time_keys(world: World, session: Session | None) -> dict[str, str]:
    """Return the condition keys for the current time and for *session*'s temporary credentials.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    now = world.now()
    keys = {
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:ViaAWSService": "false",
    }
    if session is not None:
        keys["aws:MultiFactorAuthPresent"] = str(session.mfa).lower()
        keys["aws:TokenIssueTime"] = session.issued.strftime("%Y-%m-%dT%H:%M:%SZ")
    return keys


def check_trail(world: World, call: Call) -> None:
    """Raise Fault if *call* creates a trail that cannot use its bucket, log group or role."""
    params = call.params
    name = str(params.get("Name", "")).rpartition("/")[2]
    trail = f"arn:{world.partition}:cloudtrail:{call.region}:{world.account}:trail/{name}"
    context = {"aws:SourceArn": trail, "aws:SourceAccount": world.account}
    bucket = params.get("S3BucketName")
    if bucket:
        _check_bucket(world, bucket, {**context, "aws:SecureTransport": "true"})
    groups = world.moto.backend("logs", call.region).groups
    group = params.get("CloudWatchLogsLogGroupArn")
    if group and group.partition(":log-group:")[2].removesuffix(":*") not in groups:
        text = "CloudTrail cannot validate the specified log group ARN."
        raise Fault("InvalidCloudWatchLogsLogGroupArnException", text)
    arn = params.get("CloudWatchLogsRoleArn", "")
    if arn and not _allows(trust_policy(world, arn), "sts:AssumeRole", arn, context):
        text = "Access denied. Check the trust relationships for your role."
        raise Fault("InvalidCloudWatchLogsRoleArnException", text)


def _check_bucket(world: World, name: str, context: dict[str, str]) -> None:
    if name not in world.moto.backend("s3", world.partition).buckets:
        raise Fault("S3BucketDoesNotExistException", f"S3 bucket {name} does not exist!")
    arn = f"arn:{world.partition}:s3:::{name}"
    log = f"{arn}/AWSLogs/{world.account}/x.json.gz"
    owned = {**context, "s3:x-amz-acl": "bucket-owner-full-control"}
    policy = bucket_policy(world, name)
    if not (
        policy
        and _allows(policy, "s3:GetBucketAcl", arn, context)
        and _allows(policy, "s3:PutObject", log, owned)
    ):
        text = f"Incorrect S3 bucket policy is detected for bucket: {name}"
        raise Fault("InsufficientS3BucketPolicyException", text)


def _allows(policy: str, action: str, resource: str, context: dict[str, str]) -> bool:
    """Return whether *policy* allows CloudTrail itself to perform *action*."""
    request = Request(action, resource, "cloudtrail.amazonaws.com", {**context})
    return compile_policies(resource=policy).decide(request).allowed
