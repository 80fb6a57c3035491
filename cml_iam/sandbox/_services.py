"""The models of services, found by signature name, and IAM's names of operations.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import Any, Final, Literal

from cml_iam import facts
from cml_iam.files import shipped_text

Protocol = Literal["ec2", "query", "json", "cbor", "rest-json", "rest-xml"]

_SCOPE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_WIRE: Final[dict[Protocol, str]] = {"cbor": "smithy-rpc-v2-cbor"}
"""botocore's name of a protocol, where it differs."""

QUERY_COMPATIBLE: Final = frozenset({"cloudwatch", "sqs"})
"""JSON services that use the error codes of the query protocol."""


@cache
def rows(name: str) -> Any:
    """Return the table *name* of `policies/sandbox-services.toml`."""
    return tomllib.loads(shipped_text("policies", "sandbox-services.toml"))[name]


@cache
def models_of(scope: str) -> tuple[Any, ...]:
    """Return botocore's models of the service with the signature name *scope*."""
    names = dict.fromkeys((scope, *backends_of(scope), *rows("models").get(scope, ())))
    models = (_model(name) for name in names if _SCOPE.fullmatch(scope))
    return tuple(model for model in models if model is not None and model.signing_name == scope)


@cache
def backends_of(scope: str) -> tuple[str, ...]:
    """Return moto's names of the services behind the signature name *scope*."""
    from moto.backend_index import backend_url_patterns

    hosts = (f"http://{scope}.us-east-1.amazonaws.com", f"http://{scope}.amazonaws.com")
    fitting = (name for name, url in backend_url_patterns if any(map(url.match, hosts)))
    return tuple(dict.fromkeys(fitting)) if _SCOPE.fullmatch(scope) else ()


@cache
def _model(name: str) -> Any:
    from moto.core.utils import get_service_model

    try:
        return get_service_model(name)
    except Exception as error:
        # botocore's own error, whose class only `cml_iam.aws` may import.
        if type(error).__name__ != "UnknownServiceError":
            raise
        return None


def operation_model(service: str, operation: str) -> Any:
    """Return the model of *operation* in the model *service*, or None if there is none."""
    model = _model(service)
    return model.operation_model(operation) if operation in model.operation_names else None


def speaks(model: Any, protocol: Protocol) -> bool:
    """Return whether the service of *model* supports *protocol*."""
    named = _WIRE.get(protocol, protocol)
    return named in (model.metadata.get("protocols") or (model.metadata["protocol"],))


def prefix_of(scope: str) -> str:
    """Return IAM's prefix for the service with the signature name *scope*."""
    return str(rows("prefixes").get(scope, scope))


def action_of(prefix: str, operation: str) -> str:
    """Return the IAM action of an *operation*."""
    return f"{prefix}:{_s3_action(operation) if prefix == 's3' else operation}"


@cache
def _s3_action(operation: str) -> str:
    match = re.fullmatch(r"(Delete|Get|Put)(.+)", operation)
    if match is None or operation in rows("s3-actions"):
        return str(rows("s3-actions").get(operation, operation))
    verb, subject = match[1], rows("s3-subjects").get(match[2], match[2])
    # Without a Delete action, the Put action covers deletion too.
    put = verb == "Delete" and is_s3_action(f"Put{subject}") and not is_s3_action(verb + subject)
    return f"Put{subject}" if put else f"{verb}{subject}"


def is_s3_action(action: str) -> bool:
    """Return whether S3 has this action."""
    known = facts.service("s3")
    return known is not None and known.action(action) is not None


def resource_types(service: str, operation: str) -> dict[str, bool]:
    """Return an action's resource types and whether each is required; empty if unknown."""
    known = facts.service(service)
    action = known.action(operation) if known is not None else None
    targets = action.targets if action is not None else ()
    return {target.type: target.required for target in targets if target.type}
