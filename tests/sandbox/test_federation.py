"""Web identities need no access key, and sessions of users and of the root have their limits.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from cml_iam.cli._main import run
from cml_iam.sandbox import Sandbox
from tests.sandbox.conftest import Clock, Identity, Make, fetch, refused, root_of
from tests.sandbox.documents import ACCOUNT, allow, deny, document

ISSUER = "https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
NAMED = ISSUER.removeprefix("https://")
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{NAMED}"
SUBJECT = "system:serviceaccount:cml:manager"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/web"


@pytest.fixture
def later(clock: Clock) -> Iterator[Callable[[timedelta], None]]:
    """Move the sandbox's clock for one test."""
    yield lambda shift: setattr(clock, "shift", shift)
    clock.shift = timedelta(0)


@pytest.fixture(scope="module", autouse=True)
def _trusting(root: Identity) -> None:
    """Make the provider and a role for one service account."""
    iam = root.client("iam")
    iam.create_open_id_connect_provider(Url=ISSUER, ClientIDList=["sts.amazonaws.com", "other"])
    claims = {f"{NAMED}:sub": SUBJECT, f"{NAMED}:aud": "sts.amazonaws.com"}
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": PROVIDER},
        "Condition": {"StringEquals": claims},
    }
    iam.create_role(RoleName="web", AssumeRolePolicyDocument=document(trust))
    iam.put_role_policy(
        RoleName="web", PolicyName="p", PolicyDocument=document(allow("ec2:DescribeTags"))
    )


@pytest.fixture(scope="module")
def anonymous(sandbox: Sandbox) -> Any:
    """A client of STS without credentials."""
    return boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )


def by_token(token: str) -> dict[str, str]:
    return {"RoleArn": ROLE, "RoleSessionName": "session", "WebIdentityToken": token}


def test_a_service_account_assumes_the_role_that_trusts_it(
    sandbox: Sandbox, anonymous: Any
) -> None:
    token = sandbox.web_identity_token(ISSUER, SUBJECT)
    made = anonymous.assume_role_with_web_identity(**by_token(token))
    given = made["Credentials"]
    session = Identity(
        sandbox, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )

    assert made["SubjectFromWebIdentityToken"] == SUBJECT
    assert made["Provider"] == PROVIDER
    assert made["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/web/session"
    session.client("ec2").describe_tags()
    assert refused(session.client("ec2").describe_instances).code == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("issuer", "subject", "audience", "code"),
    [
        (ISSUER, SUBJECT + "2", "sts.amazonaws.com", "AccessDenied"),
        (ISSUER, SUBJECT, "other", "AccessDenied"),
        (ISSUER, SUBJECT, "nobody", "InvalidIdentityToken"),
        (ISSUER + "2", SUBJECT, "sts.amazonaws.com", "InvalidIdentityToken"),
    ],
    ids=["another subject", "another audience", "unknown audience", "unknown provider"],
)
def test_another_identity_does_not(
    issuer: str, subject: str, audience: str, code: str, sandbox: Sandbox, anonymous: Any
) -> None:
    token = sandbox.web_identity_token(issuer, subject, audience)

    assert refused(anonymous.assume_role_with_web_identity, **by_token(token)).code == code


def test_a_token_is_the_sandboxes_own_and_of_its_time(
    sandbox: Sandbox, anonymous: Any, later: Callable[[timedelta], None]
) -> None:
    token = sandbox.web_identity_token(ISSUER, SUBJECT)
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    call = anonymous.assume_role_with_web_identity

    for wrong in (forged, "x.y.z", "none", token.partition(".")[2]):
        assert refused(call, **by_token(wrong)).code == "InvalidIdentityToken"
    later(timedelta(hours=1, seconds=1))
    assert refused(call, **by_token(token)).code == "ExpiredTokenException"


def test_other_calls_need_a_signature_and_saml_is_refused_in_words(
    sandbox: Sandbox, anonymous: Any
) -> None:
    status, body = fetch(sandbox.endpoint_url, "POST", "Action=AssumeRole&RoleArn=x")
    assert (status, "MissingAuthenticationToken" in body) == (403, True)

    said = refused(
        anonymous.assume_role_with_saml, RoleArn=ROLE, PrincipalArn=PROVIDER, SAMLAssertion="eA=="
    )
    assert (said.code, "no SAML" in said.message) == ("InvalidIdentityToken", True)


def test_the_command_line_prints_a_token(
    sandbox: Sandbox,
    anonymous: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["sandbox", "token", "--provider", ISSUER, "--subject", SUBJECT]
    for name in ("AWS_ENDPOINT_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert run(command) != 0
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()

    assert run(command) == 0
    assert anonymous.assume_role_with_web_identity(**by_token(capsys.readouterr().out))


def session_of(identity: Identity, **parameters: Any) -> Identity:
    given = identity.client("sts").get_session_token(**parameters)["Credentials"]
    return Identity(
        identity.sandbox, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )


def test_a_session_without_mfa_calls_neither_iam_nor_most_of_sts(user: Make) -> None:
    session = session_of(user(document(allow("*"))))
    sts = session.client("sts")

    assert refused(session.client("iam").list_users).code == "InvalidClientTokenId"
    for call, parameters in (
        (sts.get_session_token, {}),
        (sts.get_federation_token, {"Name": "abc"}),
        (sts.decode_authorization_message, {"EncodedMessage": "x"}),
    ):
        assert refused(call, **parameters).code == "AccessDenied"
    sts.get_caller_identity()
    sts.assume_role(RoleArn=made_for(session), RoleSessionName="session")
    session.client("ec2").describe_tags()


def made_for(session: Identity) -> str:
    """Return a role that everybody of the account may assume."""
    root = root_of(session.sandbox)
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    }
    made = root.client("iam").create_role(RoleName="own", AssumeRolePolicyDocument=document(trust))
    return str(made["Role"]["Arn"])


def test_a_session_with_mfa_calls_iam(user: Make, root: Identity) -> None:
    someone = user(document(allow("iam:ListUsers", Bool={"aws:MultiFactorAuthPresent": "true"})))
    iam = root.client("iam")
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=someone.name)
    serial = device["VirtualMFADevice"]["SerialNumber"]
    codes = {"AuthenticationCode1": "123456", "AuthenticationCode2": "654321"}
    iam.enable_mfa_device(UserName=someone.name, SerialNumber=serial, **codes)

    assert refused(someone.client("iam").list_users).code == "AccessDenied"
    session_of(someone, SerialNumber=serial, TokenCode="123456").client("iam").list_users()
    call = someone.client("sts").get_session_token
    for wrong in ({}, {"TokenCode": "123456", "SerialNumber": serial + "x"}):
        said = refused(call, **{"SerialNumber": serial, **wrong})
        assert (said.code, said.status) == ("AccessDenied", 403)
    for wrong in ({"TokenCode": "1"}, {"TokenCode": "12345x"}):
        assert refused(call, SerialNumber=serial, **wrong).code == "ValidationError"


def test_the_root_gets_a_session_token_for_an_hour(root: Identity) -> None:
    given = root.client("sts").get_session_token(DurationSeconds=7200)["Credentials"]
    session = session_of(root)

    assert given["Expiration"] - datetime.now(UTC) < timedelta(hours=1, seconds=1)
    assert session.client("sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    session.client("ec2").describe_tags()
    assert refused(session.client("iam").list_users).code == "InvalidClientTokenId"


def federated(identity: Identity, **parameters: Any) -> Identity:
    given = identity.client("sts").get_federation_token(Name="guest", **parameters)["Credentials"]
    return Identity(
        identity.sandbox, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    )


def test_a_federated_user_may_do_what_its_user_and_the_policy_both_allow(user: Make) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html"""
    someone = user(document(allow("sts:*", "ec2:DescribeTags", "ec2:DescribeImages")))
    guest = federated(someone, Policy=document(allow("ec2:DescribeTags", "ec2:DescribeVpcs")))
    ec2, sts = guest.client("ec2"), guest.client("sts")

    ec2.describe_tags()
    for call in (ec2.describe_images, ec2.describe_vpcs):
        assert refused(call).code == "UnauthorizedOperation"
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    assert sts.get_caller_identity()["Arn"] == arn
    assert refused(sts.assume_role, RoleArn=arn, RoleSessionName="abc").code == "AccessDenied"
    assert refused(guest.client("iam").list_users).code == "InvalidClientTokenId"


def test_a_federated_user_without_a_policy_may_do_nothing(user: Make, root: Identity) -> None:
    for giver in (user(document(allow("*"))), root):
        assert refused(federated(giver).client("ec2").describe_tags).code == "UnauthorizedOperation"


def test_a_federated_user_of_the_root_may_do_what_the_policy_allows(root: Identity) -> None:
    ec2 = federated(root, Policy=document(allow("ec2:DescribeTags"))).client("ec2")

    ec2.describe_tags()
    assert refused(ec2.describe_vpcs).code == "UnauthorizedOperation"


def test_federated_keys_are_distinct_and_end_with_their_user(user: Make, root: Identity) -> None:
    someone = user(document(allow("*")))
    one, other = (federated(someone, Policy=document(allow("*"))) for _ in range(2))
    iam = root.client("iam")

    assert len({one.key, other.key, someone.key}) == 3
    assert len({one.secret, other.secret, someone.secret}) == 3
    iam.put_user_policy(
        UserName=someone.name, PolicyName="no", PolicyDocument=document(deny("ec2:*"))
    )
    assert refused(one.client("ec2").describe_tags).code == "UnauthorizedOperation"
    iam.delete_access_key(UserName=someone.name, AccessKeyId=someone.key)
    iam.delete_user_policy(UserName=someone.name, PolicyName="no")
    for policy in iam.list_attached_user_policies(UserName=someone.name)["AttachedPolicies"]:
        iam.detach_user_policy(UserName=someone.name, PolicyArn=policy["PolicyArn"])
    iam.delete_user(UserName=someone.name)
    assert refused(other.client("sts").get_caller_identity).code == "InvalidClientTokenId"


def test_the_token_is_one_of_json(sandbox: Sandbox) -> None:
    import base64

    _, claims, _ = sandbox.web_identity_token(ISSUER, SUBJECT).split(".")
    read = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert read["iss"] == ISSUER
    assert read["exp"] - read["iat"] == 3600
