"""The services that are not understood: admitted only by a permission on every resource.

Of what they are asked only the operation is known, and only where a request names it once and in
one place, so a caller needs `service:Operation` on `*`. The rest is the root's alone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from cml_iam.sandbox._faults import Fault, Unauthenticated
from cml_iam.sandbox._guard import authorize_action
from cml_iam.sandbox._moto import harmless_json, service_model
from cml_iam.sandbox._principals import authenticate

if TYPE_CHECKING:
    from cml_iam.sandbox._signature import Claim
    from cml_iam.sandbox._wire import Answer, Message
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


def answer_other(world: World, message: Message, claim: Claim) -> Answer:
    """Answer a request to a service of which only the operation is known.

    Raises Fault and Unauthenticated.
    """
    principal = authenticate(world, message, claim)
    path = unquote(message.path, encoding="latin-1")
    if path.lower().lstrip("/").startswith(_CLOSED) or not world.moto.has(claim.service):
        said = f"The sandbox has no service {claim.service} at this path."
        raise Fault("UnknownOperationException", said, 404)
    if claim.region not in world.regions:
        raise Unauthenticated("region")
    operation = _operation(message, claim.service)
    if operation is not None:
        prefix = _PREFIXES.get(claim.service, claim.service)
        authorize_action(world, principal, f"{prefix}:{operation}", claim.region)
    elif not principal.is_root:
        said = f"The sandbox cannot tell the operation of this request to {claim.service}."
        raise Fault("AccessDenied", said, 403)
    return world.moto.execute_raw(
        claim.service, claim.region, principal.access_key_id, _given(message, path), _body(message)
    )


def _operation(message: Message, service: str) -> str | None:
    """Return the operation of an RPC request that names one and means no other."""
    model = service_model(_MODELS.get(service, service))
    if model is None or model.signing_name != service or message.path not in ("/", ""):
        return None
    if message.query or message.method != "POST":
        return None
    target = message.headers.get("x-amz-target")
    if target is not None and model.protocol == "json" and _is_json(message):
        prefix, _, named = target.rpartition(".")
        found = [named] if prefix == model.metadata.get("targetPrefix") else []
    elif target is None and model.protocol == "query":
        form = parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True)
        found = [value for name, value in form if name == "Action"]
    else:
        return None
    return found[0] if len(found) == 1 and found[0] in model.operation_names else None


def _is_json(message: Message) -> bool:
    return message.headers.get("content-type", "").startswith("application/x-amz-json-")


def _body(message: Message) -> bytes:
    """Return the body; moto would also look for a form inside a body of JSON."""
    if not _is_json(message):
        return message.body
    try:
        return harmless_json(json.loads(message.body or b"{}"))
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", "The body is not JSON.") from error


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
