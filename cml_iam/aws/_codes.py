"""AWS's error codes, by the remedy they call for.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re

from cml_iam import errors

_CHECK_KEY = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: the user may be gone, "
    "the key rotated, inactive or mistyped"
)
_RENEW = "the session has run out: sign in again, or renew AWS_SESSION_TOKEN"
_CLOCK = "set this machine's clock: AWS accepts a difference of 5 minutes"
_QUOTA = "ask for a higher quota in the Service Quotas console, or free some of it"
_CAPACITY = "try another availability zone or instance type, or the same again later"
_SLOWER = "send fewer requests at once, and try again shortly"
_ELSEWHERE = "choose a region, zone or instance type that offers it"
_OPT_IN = "enable the region or subscribe to the product in the AWS account first"
_POLICY = (
    "have the policy allow the permission for this request: look at its conditions (region, tag, "
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

# HEAD has no body, and its status is all that S3 says: 403, 404.
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
_OPT_IN_CODES = {"Blocked", "NotSignedUp", "OptInRequired", "PendingVerification"}
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
    **dict.fromkeys(_STATE, (errors.StateError, None)),
    **dict.fromkeys(_PROTECTED, (errors.ProtectedError, "take the protection off first")),
    **dict.fromkeys(_CAPACITY_CODES, (errors.CapacityError, _CAPACITY)),
    **dict.fromkeys(_LIMIT, (errors.LimitError, _QUOTA)),
    **dict.fromkeys(_THROTTLED, (errors.ThrottledError, _SLOWER)),
    **dict.fromkeys(_OPT_IN_CODES, (errors.NotOfferedError, _OPT_IN)),
    **dict.fromkeys(_NOT_OFFERED, (errors.NotOfferedError, _ELSEWHERE)),
    **dict.fromkeys(_NO_ANSWER, (errors.UnreachableError, "a fault on AWS's side; try again")),
    **dict.fromkeys(_REQUEST, (errors.RequestError, None)),
}

# Most codes of EC2 follow a scheme; tried in this order after the exact ones.
_SCHEMES: tuple[tuple[re.Pattern[str], type[errors.AwsError], str | None], ...] = (
    (re.compile(r".*\.NotFound|.*NotFound(Exception|Error)|NoSuch.*"), errors.NotFoundError, None),
    (re.compile(r"Insufficient.*"), errors.CapacityError, _CAPACITY),
    (re.compile(r".*LimitExceeded(Exception)?|.*QuotaExceeded"), errors.LimitError, _QUOTA),
    (re.compile(r".*\.(InUse|Duplicate)|.*AlreadyExists.*"), errors.StateError, None),
    (re.compile(r"Unsupported.*"), errors.NotOfferedError, _ELSEWHERE),
    (re.compile(r"(Invalid|Malformed|Missing).*|.*\.Malformed"), errors.RequestError, None),
)


def by_remedy(code: str, status: int) -> tuple[type[errors.AwsError], str | None]:
    """Return the class and the remedy for AWS's *code* of an answer with HTTP *status*."""
    if code in _EXACT:
        return _EXACT[code]
    for scheme, kind, remedy in _SCHEMES:
        if scheme.fullmatch(code):
            return kind, remedy
    if status >= 500:
        return errors.UnreachableError, "a fault on AWS's side; try again"
    return errors.AwsError, None
