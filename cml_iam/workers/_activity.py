"""What CML itself says of its labs: how many nodes run. EC2 and CloudWatch cannot know.

POST /api/v0/authenticate gives a token, GET /api/v0/system_stats counts the nodes of each compute.
https://developer.cisco.com/docs/modeling-labs/
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPException
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import RefusedError
from cml_iam.visible import visible
from cml_iam.workers._cml import Asked, CmlAccess

if TYPE_CHECKING:
    from cml_iam.secret import Secret
    from cml_iam.workers._model import Worker

_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403
_ADVICE: Final = {
    _UNAUTHORIZED: "CML does not know this user and password",
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
    """A user of CML, the same on all workers."""

    username: str
    password: Secret


def cml_activity(worker: Worker, access: CmlAccess, login: CmlLogin) -> Activity:
    """Ask the CML on *worker* how many nodes run; what fails is the reason it is unknown.

    Raises RefusedError where the certificate would not be checked: whoever answers would be given
    the password.
    """
    if access.insecure:
        raise RefusedError(
            "the password of CML is not sent to whoever answers",
            remedy="trust CML's certificate: --cml-ca FILE",
        )
    address = worker.private_ip if access.private else worker.address
    if not address:
        return Activity(unknown="the worker has no address", remedy="see `cml-iam worker show`")
    try:
        token = _said(access, address, _sign_in(login))
        signed = {"Authorization": f"Bearer {_text(token)}"}
        stats = _said(access, address, Asked("/api/v0/system_stats", headers=signed))
        return Activity(nodes=running_nodes(stats))
    except _StatusError as error:
        remedy = _ADVICE.get(error.status, "look at CML's own health")
        return Activity(unknown=f"CML at {address} answered HTTP {error.status}", remedy=remedy)
    except SSLCertVerificationError as error:
        return Activity(
            unknown=f"CML at {address}: its certificate is not trusted ({error.verify_message})",
            remedy="give the certificate it shows, or its authority's, as --cml-ca FILE",
        )
    except (OSError, HTTPException) as error:
        why = "timed out" if isinstance(error, TimeoutError) else visible(str(error))
        return Activity(
            unknown=f"CML at {address} could not be asked: {why}",
            remedy="check that port 443 is open from here, and that CML runs",
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Activity(
            unknown=f"what answers at {address} does not say how many nodes run",
            remedy="check that it is CML, and the primary of its cluster",
        )


def running_nodes(stats: Any) -> int:
    """Return how many nodes run on all computes; raises where one does not say."""
    counts = [each["stats"]["dominfo"]["running_nodes"] for each in stats["computes"].values()]
    if not counts or not all(type(each) is int and each >= 0 for each in counts):
        raise ValueError("no count of running nodes")
    return sum(counts)


class _StatusError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _sign_in(login: CmlLogin) -> Asked:
    sent = json.dumps({"username": login.username, "password": login.password.reveal()})
    headers = {"Content-Type": "application/json"}
    return Asked("/api/v0/authenticate", "POST", sent.encode(), headers)


def _text(token: Any) -> str:
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        raise ValueError("no token")
    return token


def _said(access: CmlAccess, address: str, asked: Asked) -> Any:
    status, body = access.exchange(address, asked)
    if status != _OK:
        raise _StatusError(status)
    return json.loads(body)
