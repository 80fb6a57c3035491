"""Translate botocore's exceptions and AWS's error codes into ours, which name the remedy.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
"""

from __future__ import annotations

import re
from typing import Final
from xml.etree.ElementTree import ParseError

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from cml_iam import errors
from cml_iam.catalogue import load_catalogue

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
_GONE = "it may be deleted, or in another region or account: "
_IMAGE = (
    f"{_GONE}see `cml-iam worker images 'PATTERN'`; an image of another account "
    "must be shared with this one, and an AWS Marketplace image needs a subscription"
)
_KEY_PAIR = f"{_GONE}see `aws ec2 describe-key-pairs`, or omit --key-name"
_SUBNET = f"{_GONE}see `aws ec2 describe-subnets`, or correct the site file"
_GROUP = f"{_GONE}see `aws ec2 describe-security-groups`, or correct the site file"
_INSTANCE = "it may be terminated, or in another region: see `cml-iam worker list`"
_TERMINATE = "EC2 cannot stop it, only terminate it: `cml-iam worker terminate`"
_UNPROTECT = (
    "ask an administrator to remove the protection: `aws ec2 modify-instance-attribute "
    "--instance-id {id} --no-disable-api-{change}`"
)
_POLICY = (
    "allow the permission for this request in the policy: check its conditions (region, tag, "
    "type, image), an explicit Deny and a boundary"
)
_PROTECTED = "it is protected against this: ask an administrator"
_AGAIN = "an error on AWS's side; try again"

# Codes with several meanings, which only the message distinguishes; its groups fill the remedy.
_MEANINGS: tuple[tuple[str, str, type[errors.AwsError], str], ...] = (
    ("AuthFailure", "Not authorized for images", errors.NotFoundError, _IMAGE),
    ("AuthFailure", "expired|not yet current", errors.CredentialsError, _CLOCK),
    (
        "InvalidSignatureException|SignatureDoesNotMatch",
        "Signature expired|Signature not yet current",
        errors.CredentialsError,
        _CLOCK,
    ),
    (
        "OperationNotPermitted",
        "'(?P<id>i-[0-9a-f]+)'.*disableApi(?P<change>Stop|Termination)",
        errors.ProtectedError,
        _UNPROTECT,
    ),
    (
        "UnsupportedOperation",
        "one-time Spot|root device type and cannot be stopped",
        errors.StateError,
        _TERMINATE,
    ),
)

# The first row that fits counts; most codes of EC2 follow a scheme, so those rows come last.
_CODES: tuple[tuple[str, type[errors.AwsError], str | None], ...] = (
    (
        "AuthFailure|InvalidAccessKeyId|InvalidClientTokenId|InvalidSecurity|NotAuthenticated"
        "|InvalidSignatureException|SignatureDoesNotMatch|UnrecognizedClientException"
        "|(IncompleteSignature|MissingAuthenticationToken)(Exception)?",
        errors.CredentialsError,
        _CHECK_KEY,
    ),
    ("ExpiredToken(Exception)?|TokenRefreshRequired", errors.CredentialsError, _RENEW),
    ("Request(Expired|InTheFuture|TimeTooSkewed)", errors.CredentialsError, _CLOCK),
    # HEAD has no body, so S3 reports only the status: 403 or 404.
    (
        "403|AccessDenied(Exception)?|AuthorizationError|NotAuthorized"
        "|Unauthorized(Access|Exception|Operation)",
        errors.DeniedError,
        _POLICY,
    ),
    (r"InvalidAMIID\.(NotFound|Unavailable)", errors.NotFoundError, _IMAGE),
    (r"Invalid(Group|SecurityGroupID)\.NotFound", errors.NotFoundError, _GROUP),
    (r"InvalidInstanceID\.NotFound", errors.NotFoundError, _INSTANCE),
    (r"InvalidKeyPair\.NotFound", errors.NotFoundError, _KEY_PAIR),
    (r"InvalidSubnet(ID)?\.NotFound", errors.NotFoundError, _SUBNET),
    ("404|(Parameter|ParameterVersion|Resource)?NotFound", errors.NotFoundError, None),
    (
        "ConcurrentModification|DeleteConflict|DependencyViolation|EntityTemporarilyUnmodifiable"
        "|IncorrectInstanceState|IncorrectState(Exception)?|InvalidState",
        errors.StateError,
        None,
    ),
    ("OperationNotPermitted|UnmodifiableEntity", errors.ProtectedError, _PROTECTED),
    ("ReservationCapacityExceeded", errors.CapacityError, _CAPACITY),
    (
        "(Bandwidth|Request)LimitExceeded|((EC2|Request)?Throttled|Throttling)Exception"
        "|RequestThrottled|Throttling|SlowDown|PriorRequestNotComplete|TooManyRequestsException",
        errors.ThrottledError,
        _SLOWER,
    ),
    ("ServiceQuotaExceededException|MaxSpotInstanceCountExceeded", errors.LimitError, _QUOTA),
    ("NotSignedUp|OptInRequired", errors.NotOfferedError, _OPT_IN),
    ("Blocked", errors.NotOfferedError, _BLOCKED),
    ("PendingVerification", errors.NotOfferedError, _PENDING),
    (
        "InvalidAction|NotImplemented|RegionDisabledException|UnknownOperationException",
        errors.NotOfferedError,
        _ELSEWHERE,
    ),
    (
        "Internal(Error|Failure|ServerError)|RequestTimeout(Exception)?|ServerInternal"
        "|ServiceFailure|ServiceUnavailable(Exception)?|Unavailable",
        errors.UnreachableError,
        _AGAIN,
    ),
    (
        "IdempotentParameterMismatch|PolicyEvaluation|UnknownParameter|Validation(Error|Exception)",
        errors.RequestError,
        None,
    ),
    (r".*\.NotFound|.*NotFound(Exception|Error)|NoSuch.*", errors.NotFoundError, None),
    ("Insufficient.*", errors.CapacityError, _CAPACITY),
    (".*LimitExceeded(Exception)?|.*QuotaExceeded", errors.LimitError, _QUOTA),
    (r".*\.(InUse|Duplicate)|.*AlreadyExists.*", errors.StateError, None),
    ("Unsupported.*", errors.NotOfferedError, _ELSEWHERE),
    (r"(Invalid|Malformed|Missing).*|.*\.Malformed", errors.RequestError, None),
)


def _by_code(code: str, status: int, message: str) -> tuple[type[errors.AwsError], str | None]:
    """Return our exception class and the remedy for AWS's *code*, HTTP *status* and *message*."""
    for codes, part, kind, remedy in _MEANINGS:
        match = re.search(part, message) if re.fullmatch(codes, code) else None
        if match:
            values = {name: value.lower() for name, value in match.groupdict().items()}
            return kind, remedy.format(**values)
    for codes, kind, fix in _CODES:
        if re.fullmatch(codes, code):
            return kind, fix
    if status >= 500:
        return errors.UnreachableError, _AGAIN
    return errors.AwsError, None


_GIVE = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile"
_SIGN_IN = "sign in again: `aws sso login` or `aws login` with this profile"
_REACH = "check --endpoint-url, AWS_ENDPOINT_URL, the region, the network and the proxy"
_NOT_AWS = (
    "check --endpoint-url and AWS_ENDPOINT_URL, and whether a proxy or a network's sign-in page "
    "answers instead of AWS"
)

# By the name of botocore's class or of an ancestor: not every version has all of them.
_CLASSES: tuple[tuple[str, type[errors.CmlIamError], str], ...] = (
    (
        "MetadataRetrievalError|NoAuthTokenError|NoCredentialsError|PartialCredentialsError"
        "|UnknownCredentialError",
        errors.CredentialsError,
        _GIVE,
    ),
    ("LoginError|SSOError|TokenRetrievalError", errors.CredentialsError, _SIGN_IN),
    (
        "CredentialRetrievalError",
        errors.CredentialsError,
        "run the profile's credential process by hand to see why",
    ),
    ("ProfileNotFound", errors.CredentialsError, "see `aws configure list-profiles`"),
    (
        "RefreshWithMFAUnsupportedError",
        errors.CredentialsError,
        "assume the role with `aws sts assume-role` and an MFA code, and use the session's "
        "credentials",
    ),
    (
        "ChecksumError|ConnectionError|HTTPClientError|IncompleteReadError",
        errors.UnreachableError,
        _REACH,
    ),
    ("BaseEndpointResolverError", errors.InputError, "name a region with --region or AWS_REGION"),
    ("ConfigNotFound", errors.InputError, "check AWS_CONFIG_FILE"),
    ("ConfigParseError", errors.InputError, "correct the file, see `aws configure list`"),
    ("EndpointProviderError", errors.InputError, "check the region and the endpoint"),
    ("InvalidConfigError", errors.InputError, "correct the profile in ~/.aws/config"),
    ("InvalidRegionError|UnknownRegionError", errors.InputError, "name a region such as us-east-1"),
)
_BY_NAME = {name: (kind, remedy) for names, kind, remedy in _CLASSES for name in names.split("|")}

_ADMINISTRATOR = (
    "run this as an administrator with the permission (--profile NAME); the manager itself should "
    "not have it"
)

_ENCODED = re.compile(r"(Encoded authorization failure message: )(\S{16})(\S+)")
# http.client's error repeats the header it refuses: the signature or the session token.
_HEADER = re.compile(r"(Invalid header value).*", re.DOTALL)
# For a call without retries, botocore reports that it reached the maximum of 0 retries.
_NO_RETRY = re.compile(r" \(reached max retries: 0\)")
_ACTION = re.compile(
    r"(?:not authorized to perform:? |allows the |policy allowing the )"
    r"([a-z0-9-]+:[A-Za-z0-9*]+)"
)


BOTOCORE_ERRORS: Final = (BotoCoreError, ClientError, ResponseParserError, ParseError)
"""What a call through botocore may raise.

ParseError is from the XML with a bucket's location, which a handler of botocore reads.
"""


def as_error(
    error: Exception, service: str, operation: str, url: str = "there"
) -> errors.CmlIamError:
    """Translate *error*, raised by botocore when sending *operation* to *url*."""
    if isinstance(error, ClientError):
        return _answered(error, service)
    if not isinstance(error, BotoCoreError):  # raised by a parser that received something else
        content = "XML that cannot be read" if isinstance(error, SyntaxError) else str(error)
        return errors.UnreachableError(
            f"the server at {url} is not AWS: {content}", operation=operation, remedy=_NOT_AWS
        )
    text = str(error)
    message = _HEADER.sub(r"\1", text[:1].lower() + text[1:]).rstrip(".")
    ancestry = (ancestor.__name__ for ancestor in type(error).__mro__)
    name = next((name for name in ancestry if name in _BY_NAME), None)
    if name is None:
        return errors.RequestError(message, operation=operation)
    kind, remedy = _BY_NAME[name]
    if kind is errors.UnreachableError:
        message = f"no answer: {message}"
    if issubclass(kind, errors.AwsError):
        return kind(message, operation=operation, remedy=remedy)
    return kind(message, remedy=remedy)


def _answered(error: ClientError, service: str) -> errors.AwsError:
    response, operation = error.response, error.operation_name
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    encoded = _ENCODED.search(str(error))
    message = _ENCODED.sub(_shortened, _NO_RETRY.sub("", str(error))).rstrip(". ")
    kind, remedy = _by_code(code, status, message)
    if not issubclass(kind, errors.DeniedError):
        return kind(message, code=code, operation=operation, remedy=remedy)
    named = _ACTION.search(message)
    # Operations and actions have the same name in EC2, IAM, STS and CloudWatch. S3-like services
    # name a few actions differently, but their messages name the action.
    action = named[1] if named else f"{service}:{operation}"
    catalogue = load_catalogue()
    if action not in (*catalogue.actions, *(option.action for _, option in catalogue.options)):
        remedy = _ADMINISTRATOR
    remedy = (remedy or "").replace("the permission", f"`{action}`")
    denied = kind(message, code=code, operation=operation, action=action, remedy=remedy)
    denied.encoded = encoded[2] + encoded[3] if encoded else ""
    return denied


def _shortened(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}… ({len(match[2]) + len(match[3])} characters)"
