"""The state that only CML itself knows: whether it is ready, and how many nodes run.

`GET /api/v0/system_information` needs no sign-in and returns `ready`. `POST /api/v0/authenticate`
returns a token, with which `GET /api/v0/system_stats` counts the nodes of each compute host.
https://developer.cisco.com/docs/modeling-labs/
"""

from __future__ import annotations

import json
import ssl
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError, RefusedError
from cml_iam.files import open_regular
from cml_iam.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cml_iam.secret import Secret
    from cml_iam.workers._model import Worker


PATH: Final = "/api/v0/system_information"
_SECONDS: Final = 5.0
_LARGEST: Final = 64 * 1024
_TRUST: Final = "pass its certificate, or its CA's, as --cml-ca FILE"
_CERTIFICATE: Final = f"{_TRUST} (--insecure skips the check)"
_PEM: Final = "--cml-ca takes a PEM file of certificates"
# OpenSSL's verification errors for a name and for an address that the certificate does not have.
_OTHER_NAME: Final = {62, 64}


@dataclass(frozen=True, slots=True)
class CmlAnswer:
    """CML's answer at *address*: whether it is *ready*, and *said*, which describes the answer.

    *answered* is True if anything answered. *hopeless* is True if waiting longer does not help;
    *remedy* then says what to do instead.
    """

    ready: bool
    said: str
    version: str = ""
    address: str = ""
    hopeless: bool = False
    remedy: str | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class CmlRequest:
    """A request to CML's API; its body and headers may be secret."""

    path: str
    method: str = "GET"
    sent: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


SYSTEM_INFORMATION: Final = CmlRequest(PATH)
"""The request that needs no sign-in."""


@lru_cache(maxsize=4)
def _tls_context(
    ca_file: Path | None,
    stamp: int,  # noqa: ARG001 - so that a changed file is loaded again
    *,
    insecure: bool,
    any_name: bool,
) -> ssl.SSLContext:
    """Return the shared context for these values; every context takes a megabyte."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"cannot use `{ca_file}`: {_reason(error)}", remedy=_PEM) from None
    if insecure or any_name:
        context.check_hostname = False
    if insecure:
        context.verify_mode = ssl.CERT_NONE
    if ca_file:
        # The file may hold the server's own certificate rather than an authority's.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@dataclass(frozen=True, slots=True)
class CmlAccess:
    """How to reach CML: over https with certificate checks, unless *insecure*.

    *ca_file* contains the certificates to trust instead of the system's authorities. A server whose
    own certificate is in the file is trusted under any name. *private* uses the private address.
    """

    ca_file: Path | None = None
    insecure: bool = False
    private: bool = False
    port: int = 443
    seconds: float = _SECONDS

    def check(self) -> None:
        """Raise InputError for an unusable *ca_file*."""
        self._context()
        if self.ca_file and not _certificates(self.ca_file):
            raise InputError(f"`{self.ca_file}` holds no certificate", remedy=_PEM)

    def address_of(self, worker: Worker) -> str | None:
        """Return the address to query CML on *worker*; None if it has none."""
        return worker.private_ip if self.private else worker.address

    def ask(self, worker: Worker) -> CmlAnswer:
        """Query CML once. Raises InputError for an unusable *ca_file*."""
        address = self.address_of(worker)
        if not address:
            kind = "private" if self.private else "public"
            return CmlAnswer(False, f"CML: the worker has no {kind} address yet")
        return self.ask_at(address)

    def ask_at(self, address: str) -> CmlAnswer:
        """Query CML at *address* once; takes at most twice the timeout."""
        try:
            status, body = self.exchange(address)
        except ssl.SSLCertVerificationError as error:
            return _untrusted(address, error)
        except (OSError, HTTPException) as error:
            return CmlAnswer(False, f"CML: no answer ({_reason(error)})", address=address)
        return _read(address, status, body)

    def exchange(self, address: str, request: CmlRequest = SYSTEM_INFORMATION) -> tuple[int, bytes]:
        """Send *asked* once; return the status and the body, up to a limit.

        Raises ssl.SSLCertVerificationError for an untrusted certificate, and OSError and
        HTTPException if there is no response.
        """
        try:
            return self._send(address, request, self._context())
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _OTHER_NAME or self.ca_file is None:
                raise
            try:
                return self._send_pinned(address, request)
            except _NotPinnedError:
                raise error from None

    def _send_pinned(self, address: str, request: CmlRequest) -> tuple[int, bytes]:
        """Send to a server under another name, if its certificate is in the file.

        A certificate that an appliance creates itself rarely names the address that EC2 assigned.
        """
        context = self._context(any_name=True)
        pinned = _certificates(self.ca_file)
        return self._send(address, request, context, lambda shown: shown in pinned)

    def _context(self, *, any_name: bool = False) -> ssl.SSLContext:
        stamp = 0
        if self.ca_file:
            open_regular(self.ca_file)  # OpenSSL would block on a pipe or device
            with suppress(OSError):  # reported when the file is loaded
                stamp = self.ca_file.stat().st_mtime_ns
        return _tls_context(self.ca_file, stamp, insecure=self.insecure, any_name=any_name)

    def _send(
        self,
        address: str,
        request: CmlRequest,
        context: ssl.SSLContext,
        trusts: Callable[[bytes], bool] = lambda _: True,
    ) -> tuple[int, bytes]:
        until = time.monotonic() + self.seconds
        connection = HTTPSConnection(address, self.port, timeout=self.seconds, context=context)
        with closing(connection):
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True) or b""
            if not trusts(shown):
                raise _NotPinnedError
            headers = {"Accept": "application/json", **request.headers}
            connection.request(request.method, request.path, request.sent, headers)
            answer = connection.getresponse()
            body = b""
            # A socket's timeout applies to each read, so a slow sender could take any time in
            # total.
            while len(body) < _LARGEST and (part := answer.read1(_LARGEST)):
                body += part
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
            return answer.status, body


class _NotPinnedError(Exception):
    """The server presents a certificate that is not in the file."""


def _certificates(path: Path | None) -> frozenset[bytes]:
    """Return the certificates in the PEM file at *path*, as DER."""
    if path is None:
        return frozenset()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    authorities = set(context.get_ca_certs(binary_form=True))
    # `get_ca_certs` leaves out certificates that do not belong to an authority.
    end = "-----END CERTIFICATE-----"
    parts = (each + end for each in path.read_text("ascii", "replace").split(end)[:-1])
    begun = (part[part.index("-----BEGIN CERTIFICATE-----") :] for part in parts if "BEGIN" in part)
    return frozenset(authorities | {ssl.PEM_cert_to_DER_cert(each) for each in begun})


def _untrusted(address: str, error: ssl.SSLCertVerificationError) -> CmlAnswer:
    said = f"CML at {address}: its certificate is not trusted ({error.verify_message})"
    return CmlAnswer(False, said, address=address, hopeless=True, remedy=_CERTIFICATE)


def _read(address: str, status: int, body: bytes) -> CmlAnswer:
    if status != 200:
        return CmlAnswer(False, f"CML: HTTP {status}", address=address, answered=True)
    try:
        told = json.loads(body)
        ready = told["ready"]
    except (ValueError, KeyError, TypeError):
        return CmlAnswer(
            False, "CML: the server that answers is not CML", address=address, answered=True
        )
    version = str(told.get("version") or "")
    if ready is not True:
        return CmlAnswer(False, "CML answers but is not ready", version, address, answered=True)
    said = f"CML {version} is ready".replace("  ", " ")
    return CmlAnswer(True, said, version, address, answered=True)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()


_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403
_ADVICE: Final = {
    _UNAUTHORIZED: "CML rejects this user and password",
    _FORBIDDEN: "the user must be an administrator of CML",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """How many *nodes* run in CML's labs, or why that is *unknown*."""

    nodes: int | None = None
    unknown: str | None = None
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class CmlLogin:
    """A CML user that exists on all workers."""

    username: str
    password: Secret


def cml_activity(worker: Worker, access: CmlAccess, login: CmlLogin) -> Activity:
    """Ask CML on *worker* how many nodes run; if it fails, return the reason.

    Raises RefusedError without certificate checks: any server could receive the password.
    """
    if access.insecure:
        raise RefusedError(
            "the CML password is not sent without a certificate check",
            remedy="trust CML's certificate: --cml-ca FILE",
        )
    address = access.address_of(worker)
    if not address:
        return Activity(unknown="the worker has no address", remedy="see `cml-iam worker show`")
    try:
        token = _json_answer(access, address, _sign_in(login))
        signed = {"Authorization": f"Bearer {_text(token)}"}
        stats = _json_answer(access, address, CmlRequest("/api/v0/system_stats", headers=signed))
        return Activity(nodes=running_nodes(stats))
    except _StatusError as error:
        remedy = _ADVICE.get(error.status, "check the system health in CML")
        return Activity(unknown=f"CML at {address} answered HTTP {error.status}", remedy=remedy)
    except ssl.SSLCertVerificationError as error:
        return Activity(unknown=_untrusted(address, error).said, remedy=_TRUST)
    except (OSError, HTTPException) as error:
        why = "timed out" if isinstance(error, TimeoutError) else visible(str(error))
        return Activity(
            unknown=f"CML at {address} did not answer: {why}",
            remedy="check that port 443 is open from here, and that CML runs",
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Activity(
            unknown=f"the server at {address} does not report how many nodes run",
            remedy="check that it is CML and the primary node of its cluster",
        )


def running_nodes(stats: Any) -> int:
    """Return the number of running nodes on all compute hosts; raises if a host omits it."""
    counts = [
        compute["stats"]["dominfo"]["running_nodes"] for compute in stats["computes"].values()
    ]
    if not counts or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("no count of running nodes")
    return sum(counts)


class _StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _sign_in(login: CmlLogin) -> CmlRequest:
    sent = json.dumps({"username": login.username, "password": login.password.reveal()})
    headers = {"Content-Type": "application/json"}
    return CmlRequest("/api/v0/authenticate", "POST", sent.encode(), headers)


def _text(token: Any) -> str:
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise ValueError("no token")
    return token


def _json_answer(access: CmlAccess, address: str, request: CmlRequest) -> Any:
    status, body = access.exchange(address, request)
    if status != _OK:
        raise _StatusError(status)
    return json.loads(body)
