"""The port to AWS, which all other packages use: make a call, or read all pages of a list.

`cml_iam.aws.connect(...)` returns the real port; tests may pass any object with the same methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity that AWS sees: sts:GetCallerIdentity."""

    account: str
    arn: str
    user_id: str


class Session(Protocol):
    """The part of `boto3.Session` that cml-iam uses: credentials, region and profile.

    https://docs.aws.amazon.com/boto3/latest/reference/core/session.html
    """

    @property
    def region_name(self) -> str | None:
        """The default region of clients."""

    @property
    def profile_name(self) -> str:
        """The name of the profile; `default` if none was given."""

    def get_credentials(self) -> Any:
        """Return the credentials, which may refresh themselves, or None."""


class Aws(Protocol):
    """AWS as seen by one principal. Every method raises an AwsError that matches the failure."""

    @property
    def region(self) -> str | None:
        """The default region of calls."""

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call *operation* (boto3's spelling, `run_instances`) of *service*; return the response.

        With *once*, the request is sent only once, even if the response is lost. This is for calls
        that must not be repeated, such as iam:CreateAccessKey.
        """

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        """Yield the elements of the list *key* from every page of the response.

        EC2 instances lack their network interfaces and the other members in `aws._reading.UNREAD`.
        cml-iam does not use them, and they are half the cost of listing a large fleet.
        """

    def identity(self) -> Identity:
        """Return the identity AWS sees; raises CredentialsError if AWS accepts no credentials."""


class Counted:
    """Wraps the port *aws* and counts *calls*; all pages of a list count as one."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._lock = Lock()
        self.calls = 0

    @property
    def region(self) -> str | None:
        """The default region of calls."""
        return self._aws.region

    def call(self, service: str, operation: str, **options: Any) -> dict[str, Any]:
        """Call through the port, and count the call."""
        self._count()
        return self._aws.call(service, operation, **options)

    def pages(self, service: str, operation: str, key: str, **options: Any) -> Iterator[Any]:
        """Yield from the port, and count one call."""
        self._count()
        return self._aws.pages(service, operation, key, **options)

    def identity(self) -> Identity:
        """Return the identity, and count the call."""
        self._count()
        return self._aws.identity()

    def _count(self) -> None:
        with self._lock:
            self.calls += 1


# The verbs of operations with the access level List or Read. `assume_role` returns credentials and
# `generate_*_report` a report; neither changes a resource. Anything else counts as a change, so
# that an unforeseen operation is refused.
_READING = (
    "assume_role",
    "batch_get_",
    "check_",
    "decode_authorization_message",
    "describe_",
    "generate_credential_report",
    "generate_service_last_accessed_details",
    "get_",
    "head_",
    "list_",
    "lookup_",
    "search_",
    "simulate_",
    "validate_",
)


def is_read(service: str, operation: str, parameters: Mapping[str, Any] | None = None) -> bool:
    """Return whether the call changes nothing; this includes the DryRun of a change.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
    """
    if service == "ec2" and parameters and parameters.get("DryRun") is True:
        return True
    return operation.startswith(_READING)
