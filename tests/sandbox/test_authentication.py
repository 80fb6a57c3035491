"""Only the holder of an active key is let in, and each service refuses in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.serialize import create_serializer

from cml_iam.sandbox import Sandbox
from tests.sandbox.conftest import Clock, Identity, fetch, refused, send
from tests.sandbox.documents import ACCOUNT, EVERYTHING, allow, document

UNKNOWN = "InvalidClientTokenId"
WRONG = "SignatureDoesNotMatch"

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
CALLS = {
    "ec2": ("describe_regions", {}),
    "iam": ("list_users", {}),
    "sts": ("get_caller_identity", {}),
    "cloudwatch": ("list_metrics", {}),
}
CODES = [
    ("ec2", "AuthFailure", "AuthFailure", 401),
    ("iam", UNKNOWN, WRONG, 403),
    ("sts", UNKNOWN, WRONG, 403),
    ("cloudwatch", UNKNOWN, WRONG, 403),
]


def call(identity: Identity, service: str) -> Callable[[], Any]:
    name, parameters = CALLS[service]
    operation = getattr(identity.client(service), name)
    return lambda: operation(**parameters)


@pytest.fixture
def later(clock: Clock) -> Iterator[Callable[[timedelta], None]]:
    """Move the sandbox's time."""

    def move(shift: timedelta) -> None:
        clock.shift += shift

    yield move
    clock.shift = timedelta(0)


@pytest.mark.parametrize(("service", "unknown", "wrong", "status"), CODES)
def test_unknown_deleted_inactive_and_forged_keys_are_refused(
    service: str,
    unknown: str,
    wrong: str,
    status: int,
    user: Callable[..., Identity],
    root: Identity,
) -> None:
    someone = user(EVERYTHING)
    iam = root.client("iam")
    call(someone, service)()

    forged = Identity(someone.sandbox, someone.key, "forged")
    assert refused(call(forged, service)).code == wrong
    stranger = Identity(someone.sandbox, "AKIAIOSFODNN7EXAMPLE", someone.secret)
    assert refused(call(stranger, service)).code == unknown
    iam.update_access_key(UserName=someone.name, AccessKeyId=someone.key, Status="Inactive")
    assert refused(call(someone, service)).code == unknown
    iam.update_access_key(UserName=someone.name, AccessKeyId=someone.key, Status="Active")
    call(someone, service)()
    iam.delete_access_key(UserName=someone.name, AccessKeyId=someone.key)
    answer = refused(call(someone, service))
    assert (answer.code, answer.status) == (unknown, status)


def test_the_root_is_known_by_its_random_key_only(root: Identity) -> None:
    assert root.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    forged = Identity(root.sandbox, root.key, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert refused(call(forged, "sts")).code == WRONG


@pytest.mark.parametrize(
    ("service", "code"),
    [("ec2", "RequestExpired"), ("iam", WRONG), ("sts", WRONG), ("cloudwatch", WRONG)],
)
@pytest.mark.parametrize("shift", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_clock_that_is_wrong_by_minutes_is_refused(
    service: str,
    code: str,
    shift: timedelta,
    root: Identity,
    later: Callable[[timedelta], None],
) -> None:
    later(shift)

    assert refused(call(root, service)).code == code


def test_an_unsigned_request_is_refused(sandbox: Sandbox) -> None:
    status, body = fetch(
        sandbox.endpoint_url, "POST", "Action=GetCallerIdentity&Version=2011-06-15"
    )

    assert (status, "MissingAuthenticationToken" in body) == (403, True)


def test_a_presigned_request_is_who_signed_it_until_it_expires(
    user: Callable[..., Identity], later: Callable[[timedelta], None]
) -> None:
    someone = user()
    url = presigned(someone, "sts", "GetCallerIdentity", 600)

    assert someone.arn in fetch(url)[1]
    other = url.replace("GetCallerIdentity", "GetSessionToken")
    assert "SignatureDoesNotMatch" in fetch(other)[1]
    later(timedelta(minutes=11))
    assert "Signature expired" in fetch(url)[1]


def presigned(identity: Identity, service: str, action: str, seconds: int) -> str:
    """Return a signed URL that is good for *seconds*."""
    request = AWSRequest("GET", f"{identity.sandbox.endpoint_url}/?Action={action}")
    credentials = Credentials(identity.key, identity.secret, identity.token)
    SigV4QueryAuth(credentials, service, "us-east-1", expires=seconds).add_auth(request)
    return str(request.url)


def role(root: Identity, name: str, trust: dict[str, Any], *statements: dict[str, Any]) -> str:
    iam = root.client("iam")
    text = json.dumps({"Version": "2012-10-17", "Statement": {"Action": "sts:AssumeRole", **trust}})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=text)["Role"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*statements))
    return str(made["Arn"])


def assumed(identity: Identity, arn: str, **parameters: Any) -> Identity:
    made = identity.client("sts").assume_role(RoleArn=arn, RoleSessionName="session", **parameters)
    given = made["Credentials"]
    return Identity(
        identity.sandbox, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )


def test_a_role_session_has_the_roles_permissions_and_no_others(
    user: Callable[..., Identity], root: Identity, later: Callable[[timedelta], None]
) -> None:
    account = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
    arn = role(root, "reader", account, allow("ec2:DescribeRegions", "ec2:DescribeTags"))
    session = assumed(user(document(allow("sts:AssumeRole", on=arn))), arn)

    who = session.client("sts").get_caller_identity()["Arn"]
    assert who == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/session"
    session.client("ec2").describe_regions()
    answer = refused(session.client("ec2").describe_instances)
    assert answer.code == "UnauthorizedOperation"
    assert "because no identity-based policy allows the ec2:DescribeInstances" in answer.message
    tokenless = Identity(session.sandbox, session.key, session.secret)
    assert refused(tokenless.client("ec2").describe_regions).code == "AuthFailure"
    assert refused(tokenless.client("sts").get_caller_identity).code == UNKNOWN
    url = presigned(session, "sts", "GetCallerIdentity", 7200)
    assert fetch(url)[0] == 200
    later(timedelta(hours=1, seconds=1))
    assert "ExpiredToken" in fetch(url)[1]


def test_a_session_ends_with_its_role_and_a_key_takes_no_token(
    user: Callable[..., Identity], root: Identity
) -> None:
    someone, iam = user(), root.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": someone.arn}}
    arn = role(root, "brief", trust)
    session = assumed(someone, arn)
    call(session, "sts")()
    iam.delete_role(RoleName="brief")

    assert refused(call(session, "sts")).code == UNKNOWN
    role(root, "brief", trust)
    assert refused(call(session, "sts")).code == UNKNOWN
    left_over = Identity(someone.sandbox, someone.key, someone.secret, session.token)
    assert refused(call(left_over, "sts")).code == UNKNOWN


def test_a_session_policy_limits_a_role_session(
    user: Callable[..., Identity], root: Identity
) -> None:
    someone = user()
    trust = {"Effect": "Allow", "Principal": {"AWS": someone.arn}}
    arn = role(root, "wide", trust, allow("ec2:*"))
    session = assumed(someone, arn, Policy=document(allow("ec2:DescribeRegions")))

    session.client("ec2").describe_regions()
    assert "no session policy allows" in refused(session.client("ec2").describe_tags).message


@pytest.mark.parametrize(
    ("trust", "own"),
    [
        ({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}}, [allow("sts:*")]),
        ({"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}, []),
        (
            {
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Condition": {"StringEquals": {"sts:ExternalId": "x"}},
            },
            [allow("sts:*")],
        ),
    ],
    ids=["trusts a service", "only delegates to the account", "wants an external id"],
)
def test_a_role_is_assumed_only_by_whom_it_trusts(
    trust: dict[str, Any], own: list[dict[str, Any]], user: Callable[..., Identity], root: Identity
) -> None:
    someone = user(*([document(*own)] if own else []))
    arn = role(root, f"trusting-{someone.name}", trust)

    answer = refused(someone.client("sts").assume_role, RoleArn=arn, RoleSessionName="session")
    assert (answer.code, answer.status) == ("AccessDenied", 403)
    assert f"is not authorized to perform: sts:AssumeRole on resource: {arn}" in answer.message


def test_a_session_token_of_a_user_is_the_user(user: Callable[..., Identity]) -> None:
    someone = user(document(allow("ec2:DescribeRegions")))
    given = someone.client("sts").get_session_token()["Credentials"]
    session = Identity(
        someone.sandbox, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )

    assert session.client("sts").get_caller_identity()["Arn"] == someone.arn
    session.client("ec2").describe_regions()
    assert refused(session.client("ec2").describe_tags).code == "UnauthorizedOperation"


ALARM = {
    "AlarmName": "a",
    "Namespace": "Mine",
    "MetricName": "m",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 1.5,
    "Statistic": "Sum",
    "ComparisonOperator": "GreaterThanThreshold",
}


@pytest.mark.parametrize("protocol", ["json", "smithy-rpc-v2-cbor"])
def test_cloudwatch_answers_and_refuses_in_json_and_cbor(
    protocol: str, user: Callable[..., Identity]
) -> None:
    someone = user(document(allow("cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm")))
    client = speaking(someone, protocol)
    client.put_metric_alarm(**ALARM)
    found = client.describe_alarms(AlarmNames=["a"])["MetricAlarms"]

    assert [each["Threshold"] for each in found] == [1.5]
    assert found[0]["StateUpdatedTimestamp"].year > 2000
    answer = refused(client.list_metrics)
    assert (answer.code, answer.status) == ("AccessDenied", 403)
    forged = Identity(someone.sandbox, someone.key, "forged")
    assert refused(speaking(forged, protocol).describe_alarms).code == WRONG


def test_cloudwatch_answers_and_refuses_in_query(user: Callable[..., Identity]) -> None:
    someone = user(document(allow("cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm")))
    put = urlencode({"Action": "PutMetricAlarm", **ALARM, "AlarmName": "q"})
    status, _ = send(someone, "monitoring", put)
    assert status == 200
    _, body = send(someone, "monitoring", "Action=DescribeAlarms&AlarmNames.member.1=q")
    assert "<Threshold>1.5</Threshold>" in body
    status, body = send(someone, "monitoring", "Action=ListMetrics")
    assert (status, "<Code>AccessDenied</Code>" in body) == (403, True)


def speaking(identity: Identity, protocol: str) -> Any:
    """Return a CloudWatch client that speaks *protocol*, one of several it has."""
    client = identity.client("cloudwatch")
    client.meta.service_model.__dict__["resolved_protocol"] = protocol
    client._serializer = create_serializer(protocol)
    return client
