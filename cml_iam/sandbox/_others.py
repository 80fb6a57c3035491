"""The services that are not understood: admitted only by a permission on every resource.

What they are asked is known only by its operation, so a caller needs `service:Operation` on `*`;
the root needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote

from cml_iam.sandbox._faults import Fault, Unauthenticated
from cml_iam.sandbox._guard import authorize_action
from cml_iam.sandbox._principals import authenticate

if TYPE_CHECKING:
    from cml_iam.sandbox._signature import Claim
    from cml_iam.sandbox._wire import Answer, Message
    from cml_iam.sandbox._world import World

_PREFIXES: Final = {"email": "ses", "sso": "sso", "states": "states"}
"""IAM's prefix where it is not the name in the credential scope."""

_CLOSED: Final = ("moto-api", "latest", "favicon.ico")
"""Paths of moto's own pages, which show everything to everybody."""

_PASSED_ON: Final = ("content-type", "x-amz-target", "content-encoding", "content-md5", "accept")


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
    operation = _operation(message)
    if operation is None and not principal.is_root:
        said = f"The sandbox cannot tell the operation of this request to {claim.service}."
        raise Fault("AccessDenied", said, 403)
    if operation is not None:
        prefix = _PREFIXES.get(claim.service, claim.service)
        authorize_action(world, principal, f"{prefix}:{operation}", claim.region)
    given: dict[str, Any] = {
        "REQUEST_METHOD": message.method,
        "PATH_INFO": path,
        "QUERY_STRING": message.query,
    }
    for name in _PASSED_ON:
        if name in message.headers:
            variable = name.upper().replace("-", "_")
            key = variable if name == "content-type" else f"HTTP_{variable}"
            given[key] = message.headers[name]
    return world.moto.execute_raw(
        claim.service, claim.region, principal.access_key_id, given, message.body
    )


def _operation(message: Message) -> str | None:
    """Return the operation, if the request names exactly one, in the way RPC services do."""
    url = dict(parse_qsl(message.query, keep_blank_values=True))
    named = [url["Action"]] if "Action" in url else []
    if "x-amz-target" in message.headers:
        named.append(message.headers["x-amz-target"].rpartition(".")[2])
    if message.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        form = parse_qsl(message.body.decode("utf-8", "replace"), keep_blank_values=True)
        named += [value for name, value in form if name == "Action"]
    return named[0] if len(named) == 1 else None
