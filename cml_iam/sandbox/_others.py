"""The services around the manager: S3, CloudTrail, CloudWatch Logs, SNS, secrets and whatever more.

What a request asks is read from its one place, and its resources are derived from that. Where an
operation's resources are not known a caller needs `service:Operation` on `*`; where not even the
operation is, the request is the root's alone.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from cml_iam.sandbox._answers import fault_answer
from cml_iam.sandbox._asked_others import others_asked
from cml_iam.sandbox._asked_s3 import bucket_policy, s3_asked
from cml_iam.sandbox._call import Call, params_of
from cml_iam.sandbox._faults import Fault, Unauthenticated, unauthenticated
from cml_iam.sandbox._guard import authorize_all
from cml_iam.sandbox._moto import harmless_json, service_model
from cml_iam.sandbox._principals import authenticate
from cml_iam.sandbox._strict_trail import check_trail
from cml_iam.sandbox._suffering import suffer
from cml_iam.sandbox._wire import Answer

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Protocol
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._signature import Claim
    from cml_iam.sandbox._wire import Message
    from cml_iam.sandbox._world import World

_MODELS: Final = {
    "email": "ses",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
"""The name of a service's model where it is not that of its credential scope."""

_PREFIXES: Final = {"email": "ses", "tagging": "tag"}
"""IAM's prefix where it is not the name in the credential scope."""

_CLOSED: Final = ("moto-api", "latest", "favicon.ico")
"""Paths of moto's own pages, which show everything to everybody."""

_PASSED_ON: Final = frozenset(
    {"content-type", "content-encoding", "content-md5", "accept", "if-match", "if-none-match"}
)
_NOT_PASSED_ON: Final = frozenset({"x-amz-account-id", "x-amz-security-token"})


_S3_ERROR: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
    "<Message>{message}</Message><RequestId>{id}</RequestId></Error>"
)
_S3_CODES: Final = {"InvalidClientTokenId": "InvalidAccessKeyId"}
_SNS_CODES: Final = {"AccessDenied": "AuthorizationError"}
_JSON_CODES: Final = {
    "AccessDenied": ("AccessDeniedException", 400),
    "ExpiredToken": ("ExpiredTokenException", 400),
    "IncompleteSignature": ("IncompleteSignatureException", 400),
    "InvalidClientTokenId": ("UnrecognizedClientException", 400),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", 400),
    "SignatureDoesNotMatch": ("InvalidSignatureException", 400),
}
"""How services name what IAM's own protocol names otherwise, by the protocol they speak."""


def answer_other(world: World, message: Message, claim: Claim) -> Answer:
    """Answer a request to a service that is not the manager's own.

    Raises Fault and Unauthenticated.
    """
    try:
        return _answer(world, message, claim)
    except Unauthenticated as error:
        fault = unauthenticated(error, claim.service)
    except Fault as error:
        fault = error
    return other_fault(fault, message, claim.service)


def _answer(world: World, message: Message, claim: Claim) -> Answer:
    principal = authenticate(world, message, claim)
    path = unquote(message.path, encoding="latin-1")
    if path.lower().lstrip("/").startswith(_CLOSED) or not world.moto.has(claim.service):
        said = f"The sandbox has no service {claim.service} at this path."
        raise Fault("UnknownOperationException", said, 404)
    if claim.region not in world.regions:
        raise Unauthenticated("region")
    return suffer(
        world,
        _action(world, principal, message, claim),
        lambda: _served(world, principal, message, claim, path),
        lambda fault: other_fault(fault, message, claim.service),
    )


def _action(world: World, principal: Principal, message: Message, claim: Claim) -> str:
    """Return the action of *message*, empty where nobody asks for it or it cannot be told."""
    if not world.conditions.refuse:
        return ""
    if claim.service == "s3":
        asked = s3_asked(world, principal.caller, message, claim.region)
        return asked[0].action if asked else ""
    call = _call(message, claim)
    return call.action if call is not None else ""


def _served(
    world: World, principal: Principal, message: Message, claim: Claim, path: str
) -> Answer:
    """Authorize *message*, and have moto do it."""
    call = _call(message, claim) if claim.service != "s3" else None
    if not principal.is_root:
        if claim.service == "s3":
            _authorize_s3(world, principal, message, claim)
        else:
            _authorize(world, principal, call, claim)
    if call is not None:
        check_trail(world, call)
    key = principal.access_key_id
    if call is not None and call.protocol == "query" and not principal.is_root:
        # Written anew, so that what was authorized is what is done.
        return world.moto.execute(call, key)
    given, body = _given(message, path), _body(message)
    return world.moto.execute_raw(claim.service, claim.region, key, given, body)


def _authorize(world: World, principal: Principal, call: Call | None, claim: Claim) -> None:
    """Raise Fault unless *principal* may do *call*."""
    if call is None:
        raise _untold(claim.service)
    try:
        asked = others_asked(world, principal.caller, call)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Fault("ValidationException", f"A parameter is malformed: {error}.") from error
    authorize_all(world, principal, asked)


def _authorize_s3(world: World, principal: Principal, message: Message, claim: Claim) -> None:
    """Raise Fault unless *principal* may do what *message* asks of S3."""
    _check_owner(world, message)
    asked = s3_asked(world, principal.caller, message, claim.region)
    if asked is None:
        raise _untold(claim.service)
    authorize_all(world, principal, asked, bucket_policy(world, asked[0]))


def _untold(service: str) -> Fault:
    said = f"The sandbox cannot tell the operation of this request to {service}."
    return Fault("AccessDenied", said, 403)


def other_fault(fault: Fault, message: Message, service: str) -> Answer:
    """Return *fault* in the words and in the form of *service*."""
    if service == "s3":
        code = _S3_CODES.get(fault.code, fault.code)
        text = _S3_ERROR.format(code=escape(code), message=escape(fault.message), id=uuid.uuid4())
        return Answer(fault.status, text.encode(), "application/xml")
    if "x-amz-target" in message.headers:
        code, status = _JSON_CODES.get(fault.code, (fault.code, fault.status))
        return fault_answer(Fault(code, fault.message, status), "json", service)
    code = _SNS_CODES.get(fault.code, fault.code) if service == "sns" else fault.code
    return fault_answer(Fault(code, fault.message, fault.status), "query", service)


def _check_owner(world: World, message: Message) -> None:
    """Refuse a bucket that is to belong to somebody else: there is one account here."""
    if message.headers.get("x-amz-expected-bucket-owner", world.account) != world.account:
        raise Fault("AccessDenied", "Access Denied", 403)


def _call(message: Message, claim: Claim) -> Call | None:
    """Return the call of an RPC request that names one operation and means no other."""
    service = claim.service
    model = service_model(_MODELS.get(service, service))
    if model is None or model.signing_name != service or message.path not in ("/", ""):
        return None
    if message.query or message.method != "POST":
        return None
    target = message.headers.get("x-amz-target")
    given: Any
    if target is not None and model.protocol == "json" and _is_json(message):
        prefix, _, operation = target.rpartition(".")
        given = _parsed(message)
        named = prefix == model.metadata.get("targetPrefix")
    elif target is None and model.protocol == "query":
        form = parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True)
        given = dict(form)
        operation = given.pop("Action", "")
        named = len(given) + 1 == len(form)
    else:
        return None
    if not named or operation not in model.operation_names or not isinstance(given, dict):
        return None
    if model.protocol == "query":
        given = params_of(model.operation_model(operation), "query", given)
    prefix = _PREFIXES.get(service, service)
    protocol: Protocol = "query" if model.protocol == "query" else "json"
    return Call(prefix, operation, claim.region, protocol, given)


def _is_json(message: Message) -> bool:
    return message.headers.get("content-type", "").startswith("application/x-amz-json-")


def _parsed(message: Message) -> Any:
    try:
        return json.loads(message.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", "The body is not JSON.") from error


def _body(message: Message) -> bytes:
    """Return the body; moto would also look for a form inside a body of JSON."""
    if not _is_json(message):
        return message.body
    given = _parsed(message)
    reads = message.headers.get("x-amz-target") == "secretsmanager.GetSecretValue"
    if reads and isinstance(given, dict) and not given.get("VersionId"):
        # Moto would answer the first version, whatever the label was moved to.
        given.setdefault("VersionStage", "AWSCURRENT")
    return harmless_json(given)


def _given(message: Message, path: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "REQUEST_METHOD": message.method,
        "PATH_INFO": path,
        "QUERY_STRING": message.query,
    }
    for name, value in message.headers.items():
        passed = name in _PASSED_ON or (name.startswith("x-amz-") and name not in _NOT_PASSED_ON)
        if passed:
            variable = name.upper().replace("-", "_")
            given[variable if name == "content-type" else f"HTTP_{variable}"] = value
    return given
