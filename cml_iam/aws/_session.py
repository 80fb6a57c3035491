"""Set up botocore's session: credentials, configuration, response parsing, logs without secrets.

`greet` asks an endpoint, without credentials, which server answers and what its time is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from types import SimpleNamespace
from typing import Any, Final

import botocore.session
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import create_loader

from cml_iam import clock, errors
from cml_iam.aws._bounds import bound
from cml_iam.aws._errors import BOTOCORE_ERRORS, as_error
from cml_iam.aws._reading import reader
from cml_iam.aws.port import Session
from cml_iam.catalogue import load_catalogue
from cml_iam.secret import Secret, masked

CONNECT_TIMEOUT: Final = 5.0
ORIGIN: Final = "cml-iam.origin"
"""The name of the session variable with the origin of the profile or key."""


def make_session(
    profile: str | None = None,
    access_key: str | None = None,
    secret_key: Secret | None = None,
    session_token: Secret | None = None,
    origin: str = "",
) -> Any:
    """Return botocore's session, marked with *origin*; see `connect` for arguments and errors."""
    if (access_key is None) != (secret_key is None):
        raise errors.InputError("an access key needs both its id and its secret")
    session = botocore.session.Session(profile=profile)
    silence()
    session.register_component(ORIGIN, origin)
    session.register_component("response_parser_factory", reader())
    if access_key is not None and secret_key is not None:
        token = session_token.reveal() if session_token else None
        session.set_credentials(access_key, secret_key.reveal(), token)
    try:
        session.get_scoped_config()  # reads the files, to detect a missing profile or a broken file
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    except BOTOCORE_ERRORS as error:
        failure = as_error(error, "", "")
    else:
        return session
    raise failure


def make_client(
    session: Any, service: str, region: str | None, endpoint_url: str | None, config: Config
) -> Any:
    """Return botocore's client with bounded responses.

    Raises InputError for an *endpoint_url* that is not one, and what botocore reports.
    """
    try:
        client = session.create_client(
            service, region_name=region, endpoint_url=endpoint_url, config=config
        )
    except BOTOCORE_ERRORS as error:  # some of them are also ValueErrors
        failure = as_error(error, service, "")
    except ValueError as error:  # "Invalid endpoint: …"
        failure = errors.InputError(
            f"not an endpoint: {error}", remedy="use a URL such as http://127.0.0.1:4566"
        )
    else:
        bound(client)
        return client
    finally:
        silence()
    raise failure


def session_like(original: Session) -> Any:
    """Return a botocore session with the credentials of the boto3 session *original*.

    The credentials are the same object, so *original* refreshes them. Everything else is separate,
    so that *original* and its clients stay unchanged.
    """
    session = make_session(original.profile_name if original.profile_name != "default" else None)
    # If this provider fails, the first call reports why.
    provider = SimpleNamespace(load_credentials=original.get_credentials)
    session.register_component("credential_provider", provider)
    return session


class _Models:
    """botocore's `load_service_model`, which for EC2 keeps only the operations that are called.

    EC2's model describes 790 operations in 14 MB, and each client has a method for every operation,
    which takes 1.4 MB per region. For a service that calls eleven operations, this is half of its
    memory. These are the operations that the catalogue or `doctor` uses; for any other, the model
    is read again.
    """

    def __init__(self, loader: Any, fresh: Callable[[], Any]) -> None:
        self._load = loader.load_service_model
        self._fresh = fresh
        self._operations = {"describe_regions"} | {
            permission.operation
            for permission in load_catalogue().permissions
            if permission.service == "ec2"
        }
        self._ec2: dict[str | None, dict[str, Any]] = {}

    def __call__(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        if (service_name, type_name) != ("ec2", "service-2"):
            return self._load(service_name, type_name, api_version)
        if api_version not in self._ec2:
            # The loader that reads the whole model would keep it.
            whole = self._fresh().load_service_model(service_name, type_name, api_version)
            self._ec2[api_version] = _part(whole, self._operations)
        return self._ec2[api_version]

    def need(self, operation: str) -> None:
        """Include EC2's *operation* in the models that are loaded from now on."""
        if operation not in self._operations:
            self._operations.add(operation)
            self._ec2.clear()


def _part(model: dict[str, Any], operations: Collection[str]) -> dict[str, Any]:
    """Return the part of *model* with *operations* (as method names) and the shapes they use."""
    kept = {name: o for name, o in model["operations"].items() if xform_name(name) in operations}
    shapes: dict[str, Any] = {}
    pending = [
        part["shape"]
        for operation in kept.values()
        for part in (operation.get("input"), operation.get("output"), *operation.get("errors", ()))
        if part
    ]
    while pending:
        name = pending.pop()
        if name not in shapes:
            shape = shapes[name] = model["shapes"][name]
            parts = (shape.get("member"), shape.get("key"), shape.get("value"))
            parts += tuple(shape.get("members", {}).values())
            pending += [part["shape"] for part in parts if part]
    return {**model, "operations": kept, "shapes": shapes}


def need_operation(session: Any, operation: str) -> None:
    """Make *operation* available in EC2 clients that *session* creates from now on."""
    session.get_component("data_loader").load_service_model.need(operation)


@cache
def _loader(data_path: str | None) -> Any:
    """Return the process's shared loader of botocore's models: EC2's takes half a second."""
    loader = create_loader(data_path)
    # To check that a file exists, it would walk the folders of 430 services for each kind of file.
    # Reading a missing file raises an error of the same class.
    vars(loader)["list_available_services"] = lambda _: _Every()
    vars(loader)["load_service_model"] = _Models(loader, lambda: create_loader(data_path))
    return loader


class _Every:
    """A collection that contains every name."""

    def __contains__(self, name: object) -> bool:
        return True


def configured_region(session: Any) -> str | None:
    """Return the region set in the environment or the profile."""
    named = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return named or session.get_config_variable("region")


# The members with credentials in the responses of iam:CreateAccessKey, sts:AssumeRole,
# ec2:CreateKeyPair, iam:CreateServiceSpecificCredential and secretsmanager:GetSecretValue.
_SECRET_MEMBERS = frozenset(
    {"KeyMaterial", "SecretAccessKey", "SecretString", "ServicePassword", "SessionToken"}
)
_LEAKING = ("boto3", "botocore")


def wrap(answer: Any) -> Any:
    """Return *answer* with every secret in it wrapped in a `Secret`."""
    if isinstance(answer, list):
        return [wrap(element) for element in answer]
    if not isinstance(answer, dict):
        return answer
    # The type of a Systems Manager parameter shows that it is a secret.
    parameter = {"Value"} if answer.get("Type") == "SecureString" else set()
    return {
        name: Secret(value)
        if name in _SECRET_MEMBERS | parameter and isinstance(value, str)
        else wrap(value)
        for name, value in answer.items()
    }


def unwrap(parameters: Any, seen: list[str]) -> Any:
    """Return *parameters* in AWS's form, adding every secret in them to *seen*."""
    if isinstance(parameters, Secret):
        seen.append(parameters.reveal())
        return seen[-1]
    if isinstance(parameters, dict):
        return {name: unwrap(value, seen) for name, value in parameters.items()}
    if isinstance(parameters, list | tuple):
        return [unwrap(parameter, seen) for parameter in parameters]
    return parameters


def redact(text: str, secrets: list[str]) -> str:
    """Return *text* without any secret: botocore's error messages repeat parameters."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return masked(text)


class _Discreet(logging.Filter):
    """Drops DEBUG records and tracebacks, which contain whole requests, and masks secrets.

    Known upstream and closed without a fix: https://github.com/boto/botocore/issues/2626
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        if record.levelno > logging.DEBUG:
            record.msg, record.args = masked(record.getMessage()), ()
        return record.levelno > logging.DEBUG


_DISCREET = _Discreet()


def silence() -> None:
    """Keep botocore's DEBUG records and tracebacks out of every log of this process.

    A later `setLevel` would override a level, and a record passes only its own logger's filters.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LEAKING:
            logging.getLogger(name).addFilter(_DISCREET)


# Any response is enough, including the refusal of an unsigned request.
_QUESTIONS: Final = {
    "cloudwatch": "list_metrics",
    "ec2": "describe_regions",
    "sts": "get_caller_identity",
}
_READ_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Greeting:
    """The response of *url*: the *server*, and how many seconds this machine's clock is *ahead*.

    *ahead* is negative if the clock is behind, None if the response has no date; it is accurate to
    about a second.
    """

    service: str
    url: str
    server: str
    ahead: timedelta | None


def greet(
    service: str,
    region: str,
    *,
    profile: str | None = None,
    endpoint_url: str | None = None,
    now: Callable[[], datetime] = clock.now,
) -> Greeting:
    """Send *service* one unsigned request.

    Raises UnreachableError if there is no answer, or if it does not come from AWS.
    """
    config = Config(
        signature_version=UNSIGNED,
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    client = make_client(make_session(profile), service, region, endpoint_url, config)
    operation, url = _QUESTIONS[service], client.meta.endpoint_url
    before = now()
    try:
        headers = _headers(client, operation)
    except BOTOCORE_ERRORS as error:
        failure = as_error(error, service, operation, url)
    else:
        middle = before + (now() - before) / 2
        return Greeting(service, url, headers.get("server", ""), _ahead(headers, middle))
    raise failure


def _headers(client: Any, operation: str) -> dict[str, Any]:
    try:
        answer = getattr(client, operation)()
    except ClientError as error:
        answer = error.response
    headers: dict[str, Any] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _ahead(headers: dict[str, Any], here: datetime) -> timedelta | None:
    try:
        there = parsedate_to_datetime(headers["date"])
    except (KeyError, TypeError, ValueError):
        return None
    # The header has whole seconds, so on average it is half a second behind.
    return here - there - timedelta(seconds=0.5)
