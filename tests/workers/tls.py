"""Certificates that sign themselves, and what a TLS server on the loopback interface is made of."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Certificate:
    """A certificate, in a file with its key and in one without."""

    both: Path
    alone: Path


def certificate(folder: Path, name: str, address: str | None) -> Certificate:
    """Make a certificate that signs itself, for *name* and maybe an *address*."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.IPAddress(ip_address(address))] if address else []
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    found = Certificate(folder / f"{name}-both.pem", folder / f"{name}.pem")
    found.both.write_bytes(secret + pem)
    found.alone.write_bytes(pem)
    return found


class Quiet:
    """For a handler that says nothing of what it answers."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A client that does not trust us leaves: that is what is tested."""


AnswerTls = Callable[[Certificate, type[BaseHTTPRequestHandler]], int]


@contextmanager
def tls_servers() -> Iterator[AnswerTls]:
    """Give what starts a server with a certificate and a handler, and returns its port."""
    servers: list[ThreadingHTTPServer] = []

    def start(shown: Certificate, handler: type[BaseHTTPRequestHandler]) -> int:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.both)
        server = _Server(("127.0.0.1", 0), handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
