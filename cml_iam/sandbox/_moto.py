"""Run moto and clean its responses; only this module knows moto's server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from importlib.util import find_spec
from typing import Any, Final
from urllib.parse import urlencode

from cml_iam.aws import wire
from cml_iam.errors import CmlIamError, MissingExtraError
from cml_iam.sandbox._wire import Answer, Call, Edit, Fault, environ_of

_SWITCHES: Final[Mapping[str, str | None]] = {
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    "MOTO_ACCOUNT_ID": None,
    "AWS_PROFILE": None,
    "AWS_DEFAULT_PROFILE": None,
}
"""The environment variables that moto sees while the sandbox runs; None removes one.

The sandbox sends the account in a header. If a profile were set, moto could not create its session.
"""

_NEEDED: Final = ("moto", "flask")
_CLOSED: Final = ("moto-api", "latest", "favicon.ico")
"""Paths of moto's own pages, which would show everything to anyone and are not served."""

_UNKNOWN: Final = "UnsupportedOperation"
_EDIT: Final[ContextVar[Edit | None]] = ContextVar("edit", default=None)


def check_installed() -> None:
    """Raise MissingExtraError unless the packages that the sandbox needs are installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the sandbox needs {' and '.join(missing)}, not installed here",
            remedy="in the checkout of cml-iam: pip install '.[sandbox]'",
        )


class Moto:
    """Moto's services and models for one *account*."""

    def __init__(self, account: str) -> None:
        check_installed()
        self.account = account
        self._before = {name: os.environ.get(name) for name in _SWITCHES}
        _set_variables(_SWITCHES)
        from moto import settings
        from moto.moto_server import werkzeug_app

        # Moto gets each service's URLs from a model. For another account it would create everything
        # twice, above all AWS's policies.
        vars(werkzeug_app)["DEFAULT_ACCOUNT_ID"] = account
        # Not by environment variables: moto reads these once, perhaps before the sandbox starts.
        vars(werkzeug_app)["DISABLE_GLOBAL_CORS"] = True
        settings.ENABLE_AMI_VALIDATION = settings.EC2_ENABLE_INSTANCE_TYPE_VALIDATION = True
        self._application = _application()
        self.reset()

    def reset(self) -> None:
        """Delete everything: moto's backends are global to the process."""
        from moto.core.base_backend import BackendDict
        from moto.core.model_instances import reset_model_data

        # Moto's own reset first creates every backend again, which takes half a second.
        started: list[Any] = BackendDict._instances  # type: ignore[misc]  # noqa: SLF001 - no other way
        for backend in started:
            if backend.service_name == "s3":
                # Moto's S3 keeps a temporary file open for each object.
                for account in backend.values():
                    for region in account.values():
                        region.reset()
            backend.clear()
        started.clear()
        reset_model_data()

    def close(self) -> None:
        """Delete everything and restore the environment."""
        self.reset()
        _set_variables(self._before)

    def all(self, service: str) -> Any:
        """Return moto's models of *service* by region."""
        from moto import backends

        # Moto declares an overload for each service.
        find: Any = backends.get_backend
        return find(service)[self.account]

    def backend(self, service: str, region: str) -> Any:
        """Return moto's model of *service* in *region*; `aws` for services without regions."""
        return self.all(service)[region]

    def execute(self, call: Call, access_key_id: str, edit: Edit | None = None) -> Answer:
        """Let moto execute *call* as a new request, built from its parameters.

        *edit* changes the values of the answer before they are written, if moto has them.
        """
        written = wire.write_request(call.model, call.plain_protocol, call.params)
        path, _, literal = written["url_path"].partition("?")
        if path.lower().lstrip("/").startswith(_CLOSED):
            raise Fault(_UNKNOWN, f"The sandbox cannot serve {path}.", 404)
        query = "&".join(filter(None, (literal, urlencode(written["query_string"], doseq=True))))
        body = written["body"]
        body = urlencode(body) if isinstance(body, dict) else body
        endpoint = call.model.service_model.endpoint_prefix
        headers = {
            **written["headers"],
            "Host": f"{written.get('host_prefix', '')}{endpoint}.{call.region}.amazonaws.com",
            "Authorization": (
                f"AWS4-HMAC-SHA256 Credential={access_key_id}/20000101/{call.region}/{endpoint}"
                "/aws4_request, SignedHeaders=host, Signature=checked"
            ),
            "x-moto-account-id": self.account,
        }
        # Without a query, moto would look for a form in any body.
        target = f"{path}?{query or f'x-id={call.operation}'}"
        content = body.encode() if isinstance(body, str) else bytes(body)
        before = _EDIT.set(edit)
        try:
            return self._answer(environ_of(written["method"], target, headers, content))
        except ModuleNotFoundError as error:
            service = call.model.service_model.service_name
            raise Fault(
                _UNKNOWN,
                f"The sandbox has no {service} without the package {error.name}, not installed "
                f"here: pip install 'moto[{service}]'",
            ) from error
        finally:
            _EDIT.reset(before)

    def _answer(self, environ: dict[str, Any]) -> Answer:
        from werkzeug.test import run_wsgi_app

        chunks, status, headers = run_wsgi_app(self._application, environ, buffered=True)
        kept = {name.lower(): value for name, value in headers.items()}
        # A response without a body states the length that the body would have.
        length = kept.get("content-length") if environ["REQUEST_METHOD"] == "HEAD" else None
        kind = kept.get("content-type", "text/xml")
        kept = {name: value for name, value in kept.items() if name not in _OURS}
        kept |= {"content-length": length} if length else {}
        return Answer(int(status.split(maxsplit=1)[0]), b"".join(chunks), kind, kept)


@cache
def _application() -> Any:
    """Return moto's server, which creates an application for each service on first use."""
    from moto.core import responses
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    dispatcher: Any = DomainDispatcherApplication(create_backend_app)
    # Moto would list the folder of its services and the methods of a class for every request.
    dispatcher.get_backend_for_host = cache(dispatcher.get_backend_for_host)
    dispatch: Any = responses
    dispatch.method_names_from_class = cache(dispatch.method_names_from_class)
    write = dispatch.ActionResult.execute_result

    def edited(result: Any, context: Any) -> Any:
        name, edit = context.service_model.service_name, _EDIT.get()
        context.response.RESPONSE_KEY_PATH_TO_TRANSFORMER.update(_SHOWN.get(name, {}))
        if edit is not None and not isinstance(result.result, Exception):
            result = dispatch.ActionResult(edit(result.result))
        return write(result, context)

    dispatch.ActionResult.execute_result = edited
    return dispatcher


_SHOWN: Final[Mapping[str, Mapping[str, Edit]]] = {
    "ec2": {"NetworkInterface.Association": lambda value: value or None},
    "iam": {"ListUsersResponse.Users.User.PermissionsBoundary": lambda _: None},
}
"""By service: the paths, from their end, of values that differ from AWS's, and AWS's value."""


_OURS: Final = frozenset(
    ["connection", "content-length", "content-type", "date", "server", "status", "x-amzn-requestid"]
)
"""The response headers that our own server writes; moto's others are the service's."""


def failure(error: Exception) -> Fault:
    """Return the response for an *error* of moto, of the engine, or of the sandbox itself."""
    from moto.core.exceptions import ServiceException

    match error:
        case Fault():
            return error
        case ServiceException():
            missing = error.code == "NoSuchEntity"
            return Fault(error.code, str(error.message), 404 if missing else 400)
        case NotImplementedError():
            return Fault(_UNKNOWN, f"The sandbox does not implement this: {error}")
        case CmlIamError():
            # A policy that the engine cannot judge is an error, so that it never permits anything.
            text = f"The sandbox cannot judge this: {error}"
        case _:
            text = f"The sandbox failed: {type(error).__name__}: {error}"
    # Unlike 500, clients do not retry 501.
    return Fault("InternalFailure", text, 501)


def _set_variables(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
