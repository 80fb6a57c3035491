"""AWS's error codes, with the exception class and remedy for each.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re

from cml_iam import errors

_CHECK_KEY = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the user may be deleted, or the key may be "
    "rotated, inactive or mistyped"
)
_RENEW = "the session has expired: sign in again, or renew AWS_SESSION_TOKEN"
_CLOCK = "set this machine's clock: AWS accepts a difference of 5 minutes"
_QUOTA = "request a higher quota in the Service Quotas console, or delete unused resources"
_CAPACITY = "try another availability zone or instance type, or try again later"
_SLOWER = "send fewer requests at once, and try again shortly"
_ELSEWHERE = "choose a region, zone or instance type that offers it"
_OPT_IN = "enable the region or subscribe to the product in the AWS account first"
_BLOCKED = "AWS has blocked the account for this: contact AWS Support"
_PENDING = "AWS is still verifying the account: try again in a few hours, or contact AWS Support"
_OF_ANOTHER_REGION = "it may be deleted, or in another region or account: "
_IMAGE = (
    f"{_OF_ANOTHER_REGION}see `cml-iam worker images 'PATTERN'`; an image of another account "
    "must be shared with this one, and an AWS Marketplace image needs a subscription"
)
_KEY_PAIR = f"{_OF_ANOTHER_REGION}see `aws ec2 describe-key-pairs`, or omit --key-name"
_SUBNET = f"{_OF_ANOTHER_REGION}see `aws ec2 describe-subnets`, or correct the site file"
_GROUP = f"{_OF_ANOTHER_REGION}see `aws ec2 describe-security-groups`, or correct the site file"
_INSTANCE = "it may be terminated, or in another region: see `cml-iam worker list`"
_TERMINATE = "EC2 cannot stop it, only terminate it: `cml-iam worker terminate`"
_UNPROTECT = (
    "ask an administrator to remove the protection: `aws ec2 modify-instance-attribute "
    "--instance-id {id} --no-disable-api-{what}`"
)
_POLICY = (
    "allow the permission for this request in the policy: check its conditions (region, tag, "
    "type, image), an explicit Deny and a boundary"
)

CREDENTIALS = {
    "AuthFailure": _CHECK_KEY,
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "IncompleteSignature": _CHECK_KEY,
    "IncompleteSignatureException": _CHECK_KEY,
    "InvalidAccessKeyId": _CHECK_KEY,
    "InvalidClientTokenId": _CHECK_KEY,
    "InvalidSecurity": _CHECK_KEY,
    "InvalidSignatureException": _CHECK_KEY,
    "MissingAuthenticationToken": _CHECK_KEY,
    "MissingAuthenticationTokenException": _CHECK_KEY,
    "NotAuthenticated": _CHECK_KEY,
    "RequestExpired": _CLOCK,
    "RequestInTheFuture": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "SignatureDoesNotMatch": _CHECK_KEY,
    "TokenRefreshRequired": _RENEW,
    "UnrecognizedClientException": _CHECK_KEY,
}

# HEAD has no body, so S3 reports only the status: 403 or 404.
_DENIED = {
    "403",
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "NotAuthorized",
    "UnauthorizedAccess",
    "UnauthorizedException",
    "UnauthorizedOperation",
}
_NOT_FOUND = {
    "404",
    "NoSuchEntity",
    "NoSuchEntityException",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
    "ParameterVersionNotFound",
    "ResourceNotFound",
}
_STATE = {
    "ConcurrentModification",
    "DeleteConflict",
    "DependencyViolation",
    "EntityAlreadyExists",
    "EntityTemporarilyUnmodifiable",
    "IncorrectInstanceState",
    "IncorrectState",
    "IncorrectStateException",
    "InvalidState",
}
_MISSING = {
    "InvalidAMIID.NotFound": _IMAGE,
    "InvalidAMIID.Unavailable": _IMAGE,
    "InvalidGroup.NotFound": _GROUP,
    "InvalidInstanceID.NotFound": _INSTANCE,
    "InvalidKeyPair.NotFound": _KEY_PAIR,
    "InvalidSecurityGroupID.NotFound": _GROUP,
    "InvalidSubnet.NotFound": _SUBNET,
    "InvalidSubnetID.NotFound": _SUBNET,
}
_PROTECTED = {"OperationNotPermitted", "UnmodifiableEntity"}
_CAPACITY_CODES = {"ReservationCapacityExceeded"}
_LIMIT = {"LimitExceeded", "ServiceQuotaExceededException", "MaxSpotInstanceCountExceeded"}
_THROTTLED = {
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_OPT_IN_CODES = {"NotSignedUp", "OptInRequired"}
_NOT_OFFERED = {
    "InvalidAction",
    "NotImplemented",
    "RegionDisabledException",
    "Unsupported",
    "UnsupportedOperation",
    "UnknownOperationException",
}
_NO_ANSWER = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServerInternal",
    "ServiceFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
}
_REQUEST = {
    "IdempotentParameterMismatch",
    "MalformedPolicyDocument",
    "MissingParameter",
    "PolicyEvaluation",
    "UnknownParameter",
    "ValidationError",
    "ValidationException",
}

_EXACT: dict[str, tuple[type[errors.AwsError], str | None]] = {
    **{code: (errors.CredentialsError, remedy) for code, remedy in CREDENTIALS.items()},
    **dict.fromkeys(_DENIED, (errors.DeniedError, _POLICY)),
    **dict.fromkeys(_NOT_FOUND, (errors.NotFoundError, None)),
    **{code: (errors.NotFoundError, remedy) for code, remedy in _MISSING.items()},
    **dict.fromkeys(_STATE, (errors.StateError, None)),
    **dict.fromkeys(
        _PROTECTED, (errors.ProtectedError, "it is protected against this: ask an administrator")
    ),
    **dict.fromkeys(_CAPACITY_CODES, (errors.CapacityError, _CAPACITY)),
    **dict.fromkeys(_LIMIT, (errors.LimitError, _QUOTA)),
    **dict.fromkeys(_THROTTLED, (errors.ThrottledError, _SLOWER)),
    **dict.fromkeys(_OPT_IN_CODES, (errors.NotOfferedError, _OPT_IN)),
    "Blocked": (errors.NotOfferedError, _BLOCKED),
    "PendingVerification": (errors.NotOfferedError, _PENDING),
    **dict.fromkeys(_NOT_OFFERED, (errors.NotOfferedError, _ELSEWHERE)),
    **dict.fromkeys(_NO_ANSWER, (errors.UnreachableError, "an error on AWS's side; try again")),
    **dict.fromkeys(_REQUEST, (errors.RequestError, None)),
}

# Most EC2 codes follow a scheme; these patterns are tried in order after the exact codes.
_SCHEMES: tuple[tuple[re.Pattern[str], type[errors.AwsError], str | None], ...] = (
    (re.compile(r".*\.NotFound|.*NotFound(Exception|Error)|NoSuch.*"), errors.NotFoundError, None),
    (re.compile(r"Insufficient.*"), errors.CapacityError, _CAPACITY),
    (re.compile(r".*LimitExceeded(Exception)?|.*QuotaExceeded"), errors.LimitError, _QUOTA),
    (re.compile(r".*\.(InUse|Duplicate)|.*AlreadyExists.*"), errors.StateError, None),
    (re.compile(r"Unsupported.*"), errors.NotOfferedError, _ELSEWHERE),
    (re.compile(r"(Invalid|Malformed|Missing).*|.*\.Malformed"), errors.RequestError, None),
)


# Codes with several meanings, which only the message distinguishes.
_BY_MESSAGE: tuple[tuple[str, re.Pattern[str], type[errors.AwsError], str], ...] = (
    ("AuthFailure", re.compile("Not authorized for images"), errors.NotFoundError, _IMAGE),
    ("AuthFailure", re.compile("expired|not yet current"), errors.CredentialsError, _CLOCK),
    (
        "(InvalidSignatureException|SignatureDoesNotMatch)",
        re.compile("Signature expired|Signature not yet current"),
        errors.CredentialsError,
        _CLOCK,
    ),
    (
        "OperationNotPermitted",
        re.compile("'(?P<id>i-[0-9a-f]+)'.*disableApi(?P<what>Stop|Termination)"),
        errors.ProtectedError,
        _UNPROTECT,
    ),
    (
        "UnsupportedOperation",
        re.compile("one-time Spot|root device type and cannot be stopped"),
        errors.StateError,
        _TERMINATE,
    ),
)


def by_remedy(
    code: str, status: int, message: str = ""
) -> tuple[type[errors.AwsError], str | None]:
    """Return the exception class and the remedy for AWS's *code* and *message*.

    *status* is the HTTP status.
    """
    for codes, pattern, kind, remedy in _BY_MESSAGE:
        found = pattern.search(message) if re.fullmatch(codes, code) else None
        if found:
            parts = {name: part.lower() for name, part in found.groupdict().items()}
            return kind, remedy.format(**parts)
    if code in _EXACT:
        return _EXACT[code]
    for scheme, scheme_kind, scheme_remedy in _SCHEMES:
        if scheme.fullmatch(code):
            return scheme_kind, scheme_remedy
    if status >= 500:
        return errors.UnreachableError, "an error on AWS's side; try again"
    return errors.AwsError, None
