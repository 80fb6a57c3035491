"""Translate botocore's exceptions into ours, which name the remedy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cml_iam import errors
from cml_iam.aws._codes import by_remedy
from cml_iam.catalogue import load_catalogue

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_GIVE = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with --profile"
_SIGN_IN = "sign in again: `aws sso login` or `aws login` with this profile"
_REACH = "check --endpoint-url, AWS_ENDPOINT_URL, the region, the network and the proxy"
_NOT_AWS = (
    "check --endpoint-url and AWS_ENDPOINT_URL, and whether a proxy or a network's sign-in page "
    "answers instead of AWS"
)

# By the name of botocore's class or of an ancestor, so that none must be imported.
_CREDENTIALS = {
    "CredentialRetrievalError": "run the profile's credential process by hand to see why",
    "LoginError": _SIGN_IN,
    "MetadataRetrievalError": _GIVE,
    "NoAuthTokenError": _GIVE,
    "NoCredentialsError": _GIVE,
    "PartialCredentialsError": _GIVE,
    "ProfileNotFound": "see `aws configure list-profiles`",
    "RefreshWithMFAUnsupportedError": (
        "assume the role with `aws sts assume-role` and an MFA code, and use the session's "
        "credentials"
    ),
    "SSOError": _SIGN_IN,
    "TokenRetrievalError": _SIGN_IN,
    "UnknownCredentialError": _GIVE,
}
_UNREACHABLE = {
    "ChecksumError": _REACH,
    "ConnectionError": _REACH,
    "HTTPClientError": _REACH,
    "IncompleteReadError": _REACH,
}
_CONFIGURATION = {
    "BaseEndpointResolverError": "name a region with --region or AWS_REGION",
    "ConfigNotFound": "check AWS_CONFIG_FILE",
    "ConfigParseError": "correct the file, see `aws configure list`",
    "EndpointProviderError": "check the region and the endpoint",
    "InvalidConfigError": "correct the profile in ~/.aws/config",
    "InvalidRegionError": "name a region such as us-east-1",
    "UnknownRegionError": "name a region such as us-east-1",
}

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


def botocore_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that a call through botocore may raise, for an `except` clause."""
    from xml.etree.ElementTree import ParseError

    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    # A handler of botocore, not its parser, reads a bucket's location from the XML.
    return (BotoCoreError, ClientError, ResponseParserError, ParseError)


def as_error(
    error: Exception, service: str, operation: str, url: str = "there"
) -> errors.CmlIamError:
    """Translate *error*, raised by botocore when calling *operation*.

    *url* is where the request was sent.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        return _answered(error, service)
    if not isinstance(error, BotoCoreError):  # raised by a parser that received something else
        what = "XML that cannot be read" if isinstance(error, SyntaxError) else str(error)
        return errors.UnreachableError(
            f"the server at {url} is not AWS: {what}", operation=operation, remedy=_NOT_AWS
        )
    message = _HEADER.sub(r"\1", _lower(str(error))).rstrip(".")
    ancestry = [kind.__name__ for kind in type(error).__mro__]
    for table, kind in ((_CREDENTIALS, errors.CredentialsError), (_UNREACHABLE, _no_answer)):
        for name in ancestry:
            if name in table:
                return kind(message, operation=operation, remedy=table[name])
    for name in ancestry:
        if name in _CONFIGURATION:
            return errors.InputError(message, remedy=_CONFIGURATION[name])
    return errors.RequestError(message, operation=operation)


def _no_answer(message: str, *, operation: str, remedy: str) -> errors.UnreachableError:
    return errors.UnreachableError(f"no answer: {message}", operation=operation, remedy=remedy)


def _answered(error: ClientError, service: str) -> errors.AwsError:
    response = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    encoded = _ENCODED.search(str(error))
    message = _ENCODED.sub(_shortened, _NO_RETRY.sub("", str(error))).rstrip(". ")
    name = error.operation_name
    kind, remedy = by_remedy(code, status, message)
    if issubclass(kind, errors.DeniedError):
        denied = _denied(message, code, name, service, remedy)
        denied.encoded = encoded[2] + encoded[3] if encoded else ""
        return denied
    return kind(message, code=code, operation=name, remedy=remedy)


def _denied(
    message: str, code: str, operation: str, service: str, remedy: str | None
) -> errors.DeniedError:
    told = _ACTION.search(message)
    action = told.group(1) if told else _action(service, operation)
    if not _is_the_managers(action):
        remedy = _ADMINISTRATOR
    return errors.DeniedError(
        message,
        code=code,
        operation=operation,
        action=action,
        remedy=remedy.replace("the permission", f"`{action}`") if remedy else None,
    )


def _is_the_managers(action: str) -> bool:
    catalogue = load_catalogue()
    optional = (each.action for _, each in catalogue.options)
    return action in (*catalogue.actions, *optional)


def _action(service: str, operation: str) -> str:
    # This is true of every EC2, IAM, STS and CloudWatch operation. S3-like services name a few
    # actions differently, but their messages name the action.
    return f"{service}:{operation}"


def _shortened(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}… ({len(match[2]) + len(match[3])} characters)"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
