"""The state that only CML itself knows: whether it is ready, and how many nodes run.

`GET /api/v0/system_information` needs no sign-in and returns `ready`. `POST /api/v0/authenticate`
returns a token, with which `GET /api/v0/system_stats` counts the nodes of each compute host.
https://developer.cisco.com/docs/modeling-labs/
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cml_iam.errors import InputError, RefusedError
from cml_iam.files import open_regular, parse_json
from cml_iam.secret import Secret
from cml_iam.visible import visible
from cml_iam.workers._model import Worker

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
    seconds: float = 5.0

    def check(self) -> None:
        """Raise InputError for an unusable *ca_file*."""
        self._context()
        if self.ca_file and not _certificates(self.ca_file):
            raise InputError(f"`{self.ca_file}` holds no certificate", remedy=_PEM)

    def address_of(self, worker: Worker) -> str | None:
        """Return the address to query CML on *worker*; None if it has none."""
        return worker.private_ip if self.private else worker.address

    def ask(self, worker: Worker) -> CmlAnswer:
        """Query CML once, within twice the timeout; raises InputError for an unusable *ca_file*."""
        address = self.address_of(worker)
        if not address:
            kind = "private" if self.private else "public"
            return CmlAnswer(False, f"CML: the worker has no {kind} address yet")
        try:
            status, body = self.exchange(address, "/api/v0/system_information")
        except ssl.SSLCertVerificationError as error:
            return _untrusted(address, error)
        except (OSError, HTTPException) as error:
            return CmlAnswer(False, f"CML: no answer ({_reason(error)})", address=address)
        return _read(address, status, body)

    def exchange(
        self,
        address: str,
        path: str,
        body: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, bytes]:
        """Send a GET, or a POST of *body*, once; return the status and the body, up to a limit.

        Raises ssl.SSLCertVerificationError for an untrusted certificate, and OSError and
        HTTPException if there is no response.
        """
        try:
            return self._send(address, path, body, headers)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _OTHER_NAME or self.ca_file is None:
                raise
            return self._send(address, path, body, headers, mismatch=error)

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
        path: str,
        body: str | None,
        headers: Mapping[str, str],
        mismatch: ssl.SSLCertVerificationError | None = None,
    ) -> tuple[int, bytes]:
        """Send once; after a *mismatch* of names, to a server whose certificate is in the file.

        A certificate that an appliance creates itself rarely names the address that EC2 assigned.
        """
        context = self._context(any_name=mismatch is not None)
        until = time.monotonic() + self.seconds
        connection = HTTPSConnection(address, self.port, timeout=self.seconds, context=context)
        with closing(connection):
            connection.connect()
            shown = connection.sock.getpeercert(binary_form=True)
            if mismatch is not None and shown not in _certificates(self.ca_file):
                raise mismatch from None
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, {"Accept": "application/json", **headers})
            answer = connection.getresponse()
            received = b""
            # A socket's timeout applies to each read, so a slow sender could take any time in
            # total.
            while len(received) < _LARGEST and (part := answer.read1(_LARGEST)):
                received += part
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
            return answer.status, received


def _certificates(path: Path | None) -> frozenset[bytes]:
    """Return the certificates in the PEM file at *path*, as DER."""
    if path is None:
        return frozenset()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    authorities = set(context.get_ca_certs(binary_form=True))
    # `get_ca_certs` leaves out certificates that do not belong to an authority.
    end = "-----END CERTIFICATE-----"
    parts = (part + end for part in path.read_text("ascii", "replace").split(end)[:-1])
    begun = (part[part.index("-----BEGIN CERTIFICATE-----") :] for part in parts if "BEGIN" in part)
    return frozenset(authorities | {ssl.PEM_cert_to_DER_cert(part) for part in begun})


def _untrusted(address: str, error: ssl.SSLCertVerificationError) -> CmlAnswer:
    words = f"CML at {address}: its certificate is not trusted ({error.verify_message})"
    return CmlAnswer(False, words, address=address, hopeless=True, remedy=_CERTIFICATE)


def _read(address: str, status: int, body: bytes) -> CmlAnswer:
    ready, version = False, ""
    if status != 200:
        words = f"CML: HTTP {status}"
    else:
        try:
            information = parse_json(body)
            ready = information["ready"] is True
        except (ValueError, KeyError, TypeError):
            words = "CML: the server that answers is not CML"
        else:
            version = str(information.get("version") or "")
            words = f"CML {version} is ready" if ready else "CML answers but is not ready"
    return CmlAnswer(ready, words.replace("  ", " "), version, address, answered=True)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()


_ADVICE: Final = {
    401: "CML rejects this user and password",
    403: "the user must be an administrator of CML",
}


@dataclass(frozen=True, slots=True)
class Activity:
    """How many *nodes* run in CML's labs, or why that is *unknown*."""

    nodes: int | None = None
    unknown: str | None = None
    remedy: str | None = None


def cml_activity(worker: Worker, access: CmlAccess, user: str, password: Secret) -> Activity:
    """Ask CML on *worker*, as *user*, how many nodes run; if it fails, return the reason.

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
        named = {"username": user, "password": password.reveal()}
        is_json = {"Content-Type": "application/json"}
        token = _json_answer(
            access.exchange(address, "/api/v0/authenticate", json.dumps(named), is_json)
        )
        signed = {"Authorization": f"Bearer {_text(token)}"}
        stats = _json_answer(access.exchange(address, "/api/v0/system_stats", headers=signed))
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


def _text(token: Any) -> str:
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise ValueError("no token")
    return token


def _json_answer(answer: tuple[int, bytes]) -> Any:
    status, body = answer
    if status != 200:
        raise _StatusError(status)
    return parse_json(body)
