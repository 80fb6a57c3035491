"""Requests, answers and errors on the wire, and the services' models that describe them.

A *scope* is a service's name in signatures; a *prefix* is its name in IAM's actions.
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, unquote

from cml_iam import facts
from cml_iam.files import shipped_text

Protocol = Literal["ec2", "query", "json", "cbor", "rest-json", "rest-xml"]

Values = dict[str, Any]
"""What a call is answered with, by the names of the service's model."""

Edit = Callable[[Any], Any]
"""Returns changed values of a response; some values are moto's own objects."""

Reason = Literal[
    "missing", "incomplete", "unknown", "signature", "token", "region", "expired", "late", "early"
]


@dataclass(frozen=True, slots=True)
class Message:
    """An HTTP request as received: *target* is the undecoded path with its query.

    Header names are lower case; a header sent twice is joined by a comma, as for signing.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str = "127.0.0.1"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The decoded query parameters, without the signature's."""
        pairs = form_fields(self.query)
        return [(name, value) for name, value in pairs if not name.startswith("X-Amz-")]


def form_fields(text: str) -> list[tuple[str, str]]:
    """Return the fields of a form or a query, including empty ones."""
    return parse_qsl(text, keep_blank_values=True)


def environ_of(
    method: str, target: str, headers: Mapping[str, str], body: bytes = b""
) -> dict[str, Any]:
    """Return the WSGI environment of a request; *target* is undecoded."""
    from werkzeug.test import create_environ

    path, _, query = target.partition("?")
    environ: dict[str, Any] = create_environ(
        method=method, headers=dict(headers), data=body, query_string=query
    )
    environ |= {"PATH_INFO": unquote(path, encoding="latin-1"), "RAW_URI": path}
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response, sent after *seconds*; a *lost* one is never sent."""

    status: int
    body: bytes
    content_type: str = "text/xml;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    lost: bool = False
    seconds: float = 0.0


@dataclass(eq=False)
class Fault(Exception):  # noqa: N818 - AWS's word for an error response
    """The AWS error *code*, by default with the HTTP status in which AWS sends it."""

    code: str
    message: str
    status: int = 0

    def __post_init__(self) -> None:
        self.status = self.status or rows("statuses").get(self.code, 400)


@dataclass(eq=False)
class Unauthenticated(Exception):  # noqa: N818 - an error of the caller, not of the sandbox
    """The request does not prove its sender; each service words this error differently."""

    reason: Reason
    detail: str = ""


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(shipped_text("policies", "sandbox-services.toml"))


def rows(name: str) -> Any:
    """Return the table *name* of `policies/sandbox-services.toml`."""
    return _tables()[name]


_SCOPE: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


@cache
def models_of(scope: str) -> tuple[Any, ...]:
    """Return botocore's models of the service *scope*."""
    names = dict.fromkeys((scope, *backends_of(scope), *rows("models").get(scope, ())))
    models = (_model(name) for name in names if _SCOPE.fullmatch(scope))
    return tuple(model for model in models if model is not None and model.signing_name == scope)


@cache
def backends_of(scope: str) -> tuple[str, ...]:
    """Return moto's names of the services behind *scope*."""
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
    named = "smithy-rpc-v2-cbor" if protocol == "cbor" else protocol
    return named in (model.metadata.get("protocols") or (model.metadata["protocol"],))


def prefix_of(scope: str) -> str:
    """Return IAM's prefix for the service *scope*."""
    return str(rows("prefixes").get(scope, scope))


@cache
def _s3_action(operation: str) -> str:
    match = re.fullmatch(r"(Delete|Get|Put)(.+)", operation)
    if match is None or operation in rows("s3-actions"):
        return str(rows("s3-actions").get(operation, operation))
    verb, subject = match[1], rows("s3-subjects").get(match[2], match[2])
    # Without a Delete action, the Put action covers deletion too.
    if verb == "Delete" and not known_action("s3", f"Delete{subject}"):
        verb = "Put" if known_action("s3", f"Put{subject}") else verb
    return f"{verb}{subject}"


def resource_types(service: str, operation: str) -> dict[str, bool]:
    """Return an action's resource types and whether each is required; empty if unknown."""
    action = known_action(service, operation)
    targets = action.targets if action is not None else ()
    return {target.type: target.required for target in targets if target.type}


ID: Final = re.compile(r"([a-z]+)-(?:[0-9a-f]{8}|[0-9a-f]{17})")
"""The id of a resource of EC2."""


def kind_of(resource_id: str) -> str | None:
    """Return IAM's type of the EC2 resource with this id; None if it is not an id."""
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE

    match = ID.fullmatch(resource_id)
    kind = EC2_PREFIX_TO_RESOURCE.get(match[1]) if match else None
    return rows("kinds").get(kind, kind) if kind else None


def known_action(service: str, name: str) -> facts.Action | None:
    """Return what AWS publishes about an action."""
    published = facts.service(service)
    return published.action(name) if published is not None else None


@dataclass(frozen=True, slots=True)
class Call:
    """One API operation: *params* by the names of the *model*; *service* is IAM's prefix."""

    service: str
    operation: str
    region: str
    protocol: Protocol
    params: dict[str, Any]
    model: Any = field(compare=False, repr=False)

    @property
    def action(self) -> str:
        """The IAM action of the call, such as `s3:ListBucket` of ListObjects."""
        name = _s3_action(self.operation) if self.service == "s3" else self.operation
        return f"{self.service}:{name}"

    @property
    def plain_protocol(self) -> str:
        """The protocol in which the call is executed: CBOR is only a form of JSON."""
        return "json" if self.protocol == "cbor" else self.protocol

    def with_params(self, **params: Any) -> Call:
        """Return the same call with changed *params*; None removes one."""
        merged = {**self.params, **params}
        return replace(
            self, params={name: value for name, value in merged.items() if value is not None}
        )
