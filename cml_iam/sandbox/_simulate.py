"""Simulate* and GetContextKeysFor*, answered by the engine about the policies of this account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine import (
    PrincipalPolicies,
    SimulationError,
    context_keys,
    simulate_custom,
    simulate_principal,
)
from cml_iam.errors import DocumentError
from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._principals import group_policies, role_policies, user_policies

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World


def simulate_custom_policy(world: World, _: Principal, call: Call) -> Answer:
    """Answer SimulateCustomPolicy."""
    try:
        return result_answer(call, simulate_custom(call.params, shape=world.shape))
    except SimulationError as error:
        raise _fault(error) from error


def simulate_principal_policy(world: World, _: Principal, call: Call) -> Answer:
    """Answer SimulatePrincipalPolicy."""
    source = find_source(world, call.params["PolicySourceArn"])
    try:
        return result_answer(call, simulate_principal(call.params, source, shape=world.shape))
    except SimulationError as error:
        raise _fault(error) from error


def context_keys_for_custom_policy(_: World, __: Principal, call: Call) -> Answer:
    """Answer GetContextKeysForCustomPolicy."""
    return _keys(call, call.params["PolicyInputList"])


def context_keys_for_principal_policy(world: World, _: Principal, call: Call) -> Answer:
    """Answer GetContextKeysForPrincipalPolicy."""
    arn = call.params["PolicySourceArn"]
    source = find_source(world, arn)
    if source is None:
        raise Fault("NoSuchEntity", f"The entity {arn} cannot be found.", 404)
    attached = [each.document for each in source.policies]
    return _keys(call, [*attached, *call.params.get("PolicyInputList", ())])


def find_source(world: World, arn: str) -> PrincipalPolicies | None:
    """Return the user, group or role *arn* with its policies, or None if there is none."""
    for kind, policies in _POLICIES.items():
        entity = world.entity(kind, arn)
        if entity is not None:
            found = policies(world, entity.name)
            return PrincipalPolicies(arn, found.identity, found.boundary)
    return None


_POLICIES: Final = {"user": user_policies, "group": group_policies, "role": role_policies}


def _keys(call: Call, documents: list[Any]) -> Answer:
    try:
        return result_answer(call, {"ContextKeyNames": context_keys(documents)})
    except DocumentError as error:
        raise Fault("InvalidInput", error.message) from error


def _fault(error: SimulationError) -> Fault:
    return Fault(error.code, error.message, error.status)
