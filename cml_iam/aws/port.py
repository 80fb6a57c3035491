"""What we ask of AWS: one call, or all pages of one. Everything above speaks to this port.

The real one is `cml_iam.aws.connect(...)`; tests may pass anything with the same three methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


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
