"""Whether CML itself is up on a worker: what EC2's status checks cannot tell.

`GET /api/v0/system_information` needs no sign-in and says `ready`.
https://developer.cisco.com/docs/modeling-labs/
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cml_iam.errors import InputError
from cml_iam.files import open_regular

if TYPE_CHECKING:
    from cml_iam.workers._model import Worker

PATH: Final = "/api/v0/system_information"
_SECONDS: Final = 5.0
_LARGEST: Final = 64 * 1024
_CERTIFICATE: Final = (
    "give the certificate it shows, or its authority's, as --cml-ca FILE (--insecure checks none)"
)
_PEM: Final = "--cml-ca takes a file of certificates in PEM"
# OpenSSL's verification errors for a name and for an address that the certificate does not have.
_OTHER_NAME: Final = {62, 64}


@dataclass(frozen=True, slots=True)
class CmlAnswer:
    """What CML said at *address*: whether it is *ready*, or in *said* what came instead.

    *answered* says that something did answer, *hopeless* that waiting longer changes nothing; then
    *remedy* says what would.
    """

    ready: bool
    said: str
    version: str = ""
    address: str = ""
    hopeless: bool = False
    remedy: str | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of CML's API; what it sends and its headers may be secret."""

    path: str
    method: str = "GET"
    sent: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


ANYBODY: Final = Asked(PATH)
"""What anybody may ask: no sign-in is needed for it."""


@dataclass(frozen=True, slots=True)
class CmlAccess:
    """How CML is asked: over https whose certificate is checked, unless *insecure*.

    *ca_file* holds the authorities, or certificates, to trust instead of the system's; a server
    that shows exactly a certificate of that file is trusted under any name. *private* asks at the
    private address.
    """

    ca_file: Path | None = None
    insecure: bool = False
    private: bool = False
    port: int = 443
    seconds: float = _SECONDS

    def check(self) -> None:
        """Raise InputError for a *ca_file* that cannot be used."""
        self._context()
        if self.ca_file and not _certificates(self.ca_file):
            raise InputError(f"`{self.ca_file}` holds no certificate", remedy=_PEM)

    def ask(self, worker: Worker) -> CmlAnswer:
        """Ask once. Raises InputError for a *ca_file* that cannot be used."""
        address = worker.private_ip if self.private else worker.address
        if not address:
            kind = "private" if self.private else "public"
            return CmlAnswer(False, f"CML: the worker has no {kind} address yet")
        return self.ask_at(address)

    def ask_at(self, address: str) -> CmlAnswer:
        """Ask at *address* once; never longer than twice its seconds."""
        try:
            status, body = self.exchange(address)
        except ssl.SSLCertVerificationError as error:
            return _untrusted(address, error)
        except (OSError, HTTPException) as error:
            return CmlAnswer(False, f"CML: no answer ({_reason(error)})", address=address)
        return _read(address, status, body)

    def exchange(self, address: str, asked: Asked = ANYBODY) -> tuple[int, bytes]:
        """Send *asked* once and return the status and what came, up to a bound.

        Raises ssl.SSLCertVerificationError for a certificate that is not trusted, and OSError and
        HTTPException where no answer comes.
        """
        try:
            return self._send(address, asked, self._context())
        except ssl.SSLCertVerificationError as error:
            if error.verify_code not in _OTHER_NAME or self.ca_file is None:
                raise
            try:
                return self._send_pinned(address, asked)
            except _NotPinnedError:
                raise error from None

    def _send_pinned(self, address: str, asked: Asked) -> tuple[int, bytes]:
        """Send to a server of another name, if it shows exactly a certificate of the file.

        An appliance's own certificate rarely names the address that EC2 gave it.
        """
        context = self._context()
        context.check_hostname = False
        pinned = _certificates(self.ca_file)
        return self._send(address, asked, context, lambda shown: shown in pinned)

    def _context(self) -> ssl.SSLContext:
        if self.ca_file:
            open_regular(self.ca_file)  # OpenSSL would wait for a pipe, and read a device on and on
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"cannot use `{self.ca_file}`: {_reason(error)}",
                remedy=_PEM,
            ) from None
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.ca_file:
            # The file may hold the server's own certificate, which is no authority's.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def _send(
        self,
        address: str,
        asked: Asked,
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
            headers = {"Accept": "application/json", **asked.headers}
            connection.request(asked.method, asked.path, asked.sent, headers)
            answer = connection.getresponse()
            body = b""
            # One that drips must not hold us up: the time out of a socket is for each read.
            while len(body) < _LARGEST and (part := answer.read1(_LARGEST)):
                body += part
                if time.monotonic() > until:
                    raise TimeoutError("timed out")
            return answer.status, body


class _NotPinnedError(Exception):
    """The server shows a certificate that is not in the file."""


def _certificates(path: Path | None) -> frozenset[bytes]:
    """Return the certificates in the PEM file at *path*, in DER."""
    if path is None:
        return frozenset()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    authorities = set(context.get_ca_certs(binary_form=True))
    # `get_ca_certs` leaves out certificates that are no authority's.
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
        return CmlAnswer(False, "CML: what answers is not CML", address=address, answered=True)
    version = str(told.get("version") or "")
    if ready is not True:
        return CmlAnswer(False, "CML answers, not ready", version, address, answered=True)
    said = f"CML {version} is ready".replace("  ", " ")
    return CmlAnswer(True, said, version, address, answered=True)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS"
    return str(getattr(error, "strerror", None) or error or type(error).__name__).lower()
