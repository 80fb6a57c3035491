"""Which operations only read: what `--read-only` lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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
