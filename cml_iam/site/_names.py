"""Names that help texts and the command line show without loading the rest of the room."""

from typing import Final, Literal, get_args

DEFAULT_USER: Final = "cml-cloud-manager-service"
DEFAULT_POLICY: Final = "CMLWorkerManagementPolicy"
DEFAULT_BOUNDARY: Final = "CMLWorkerBoundary"
DEFAULT_GUARD: Final = "CMLWorkerGuard"

Trust = Literal["ec2", "ecs", "irsa", "pod-identity", "oidc", "roles-anywhere"]
"""The ways in which the manager's role can be assumed."""

TRUSTS: Final[tuple[Trust, ...]] = get_args(Trust)

IDLE_RULES: Final = {"cpu": "cpu_percent", "network": "network_kib", "cml": "cml_nodes"}
"""The names of `Idle`'s rules in the site file."""
