"""What we ask of AWS: one call, or all pages of one. Everything above speaks to this port.

The real one is `cml_iam.aws.connect(...)`; tests may pass anything with the same three methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Identity:
    """Who AWS takes us for: sts:GetCallerIdentity."""

    account: str
    arn: str
    user_id: str


class Session(Protocol):
    """What of a `boto3.Session` is used: its credentials, and what it says of region and profile.

    https://docs.aws.amazon.com/boto3/latest/reference/core/session.html
    """

    @property
    def region_name(self) -> str | None:
        """The region that clients are made for by default."""

    @property
    def profile_name(self) -> str:
        """The profile, `default` without one."""

    def get_credentials(self) -> Any:
        """Return the credentials, which may refresh themselves; None if there are none."""


class Aws(Protocol):
    """AWS as one principal sees it. Every method raises the AwsError its failure calls for."""

    @property
    def region(self) -> str | None:
        """The region calls go to when none is named."""

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call *operation* (boto3's spelling, `run_instances`) of *service* and return the answer.

        With *once* the request is sent a single time, whatever happens to the answer: for calls
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
        """Yield the elements of the list *key* of every page of the answer.

        Of EC2's instances the network interfaces and what else `aws._reading.UNREAD` names are left
        out: nothing reads them, and they are half of what a large fleet costs.
        """

    def identity(self) -> Identity:
        """Return who AWS takes us for; raises CredentialsError when it knows nobody."""


class Counted:
    """The port *aws*; *calls* counts what was asked, a list of several pages once."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._lock = Lock()
        self.calls = 0

    @property
    def region(self) -> str | None:
        """The region calls go to when none is named."""
        return self._aws.region

    def call(
        self,
        service: str,
        operation: str,
        *,
        region: str | None = None,
        once: bool = False,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call as the port does, and count it."""
        self._count()
        return self._aws.call(service, operation, region=region, once=once, **parameters)

    def pages(
        self,
        service: str,
        operation: str,
        key: str,
        *,
        region: str | None = None,
        **parameters: Any,
    ) -> Iterator[Any]:
        """Yield as the port does, and count it once."""
        self._count()
        return self._aws.pages(service, operation, key, region=region, **parameters)

    def identity(self) -> Identity:
        """Ask who we are, and count it."""
        self._count()
        return self._aws.identity()

    def _count(self) -> None:
        with self._lock:
            self.calls += 1


# The verbs AWS gives to operations of access level List and Read. `assume_role` hands out
# credentials and `generate_*_report` a report; neither changes a resource. Anything else counts as
# a change, so an operation nobody thought of is refused rather than let through.
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
    """Say whether the call changes nothing; EC2's DryRun of a change changes nothing either.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
    """
    if service == "ec2" and parameters and parameters.get("DryRun") is True:
        return True
    return operation.startswith(_READING)
