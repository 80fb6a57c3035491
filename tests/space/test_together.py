"""All policies of a request together, as the engine orders them: identity, limits and resource."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.policy import PolicyDocument, load_policy
from cml_iam.prove import Policies, Shape, always, never

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/alice"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/work"
BUCKET = "arn:aws:s3:::data"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
IP = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def document(*statements: dict[str, Any]) -> PolicyDocument:
    return load_policy({"Version": "2012-10-17", "Statement": list(statements)}, "policy")


def own(effect: str, **condition: Any) -> PolicyDocument:
    more = {"Condition": condition} if condition else {}
    return document({"Effect": effect, "Action": "*", "Resource": "*", **more})


def of_resource(effect: str, principal: Any, **condition: Any) -> PolicyDocument:
    more = {"Condition": condition} if condition else {}
    return document(
        {"Effect": effect, "Principal": principal, "Action": "*", "Resource": "*", **more}
    )


IDENTITY = {"nothing": (), "all": (own("Allow"),), "some": (own("Allow", **IP),)}
LIMIT: dict[str, Any] = {
    "none": None,
    "all": (own("Allow"),),
    "nothing": (document({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}),),
    "some": (own("Allow", **MFA),),
}
SCPS: dict[str, Any] = {
    "none": (),
    "two levels": ((own("Allow"),), (own("Allow"), own("Deny", **MFA))),
    "a level of nothing": ((own("Allow"),), ()),
}
RESOURCE: dict[str, Any] = {
    "none": None,
    "the user": of_resource("Allow", {"AWS": USER}),
    "the role": of_resource("Allow", {"AWS": ROLE}, **IP),
    "the account": of_resource("Allow", {"AWS": ACCOUNT}),
    "everyone": of_resource("Allow", "*", **MFA),
    "a denial": of_resource("Deny", {"AWS": [USER, ROLE]}, **IP),
}
CONTEXTS = [
    {
        key: value
        for key, value in (("aws:SourceIp", ip), ("aws:MultiFactorAuthPresent", mfa))
        if value
    }
    for ip, mfa in product(("192.0.2.7", "198.51.100.7"), (None, "true", "false"))
]


@pytest.mark.parametrize("caller", [USER, ROLE])
@pytest.mark.parametrize("resource", RESOURCE)
@pytest.mark.parametrize("scps", SCPS)
@pytest.mark.parametrize(("action", "on"), [("s3:GetBucketAcl", BUCKET), ("kms:Decrypt", KEY)])
def test_never_and_always_are_what_the_engine_decides(
    caller: str, resource: str, scps: str, action: str, on: str
) -> None:
    must = action.startswith("kms:")
    for identity, boundary, session in product(IDENTITY, LIMIT, LIMIT):
        policies = Policies(
            IDENTITY[identity],
            LIMIT[boundary],
            RESOURCE[resource],
            LIMIT[session],
            SCPS[scps],
            caller,
            "must" if must else "grants",
        )
        authorizer = compile_policies(
            IDENTITY[identity],
            boundary=LIMIT[boundary],
            session=LIMIT[session],
            scps=SCPS[scps],
            resource=RESOURCE[resource],
        )
        decided = {
            authorizer.decide(Request(action, on, caller, context)).allowed for context in CONTEXTS
        }
        shape = Shape((action,), (on,))
        named = (identity, boundary, session)
        assert never(policies, shape).holds is (decided == {False}), named
        assert always(policies, shape).holds is (decided == {True}), named


def test_service_control_policies_leave_service_linked_roles_alone() -> None:
    linked = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/r"
    shape = Shape(("s3:GetBucketAcl",), (BUCKET,))

    for caller, answer in ((linked, "holds"), (ROLE, "broken")):
        policies = Policies((own("Allow"),), scps=((),), caller=caller)
        assert always(policies, shape).answer == answer


def test_both_accounts_must_allow_what_crosses_them() -> None:
    stranger = "arn:aws:iam::444455556666:user/bob"
    shape = Shape(("kms:Decrypt",), (KEY,))
    said = of_resource("Allow", {"AWS": stranger})

    for identity, answer in ((IDENTITY["nothing"], "holds"), (IDENTITY["all"], "broken")):
        policies = Policies(identity, resource=said, caller=stranger, counts="both")
        assert never(policies, shape).answer == answer
