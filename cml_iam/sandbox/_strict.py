"""The steps around authorization, by service: complete, check, settle, perform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.sandbox._launch import settle
from cml_iam.sandbox._metrics import check_cloudwatch, perform_cloudwatch
from cml_iam.sandbox._strict_ec2 import check_ec2, perform_ec2
from cml_iam.sandbox._strict_iam import check_iam, complete_iam, perform_iam
from cml_iam.sandbox._strict_trail import check_trail

if TYPE_CHECKING:
    from collections.abc import Callable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World


def complete(world: World, principal: Principal, call: Call) -> Call:
    """Return *call* with every value settled that the service chooses for the caller.

    Raises Fault for values no service takes, whoever gives them.
    """
    match call.service:
        case "ec2":
            check_ec2(call)
            return settle(world, call) if call.operation == "RunInstances" else call
        case "iam":
            call = complete_iam(principal, call)
            check_iam(world, call)
        case "cloudwatch":
            check_cloudwatch(call)
    return call


def perform(
    world: World, principal: Principal, call: Call, execute: Callable[[Call], Answer]
) -> Answer:
    """Do the authorized *call*; *execute* does it as it stands."""
    match call.service:
        case "ec2":
            return perform_ec2(world, principal, call, execute)
        case "iam":
            return perform_iam(world, principal, call, execute)
        case "cloudwatch":
            return perform_cloudwatch(world, principal, call, execute)
        case "cloudtrail":
            check_trail(world, call)
        case "secretsmanager" if call.operation == "GetSecretValue":
            if not {"VersionId", "VersionStage"} & set(call.params):
                # Moto would answer the first version, whatever the label was moved to.
                call = call.with_params(VersionStage="AWSCURRENT")
    return execute(call)
