"""Where moto's EC2 is lenient and a caller's fault would pass unseen, this one is strict.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._asked_ec2 import KINDS
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._launch import profile_and_role
from cml_iam.sandbox._world import Delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

_ID: Final = re.compile(r"[a-z]+-(?:[0-9a-f]{8}|[0-9a-f]{17})")
_MALFORMED: Final = {
    "InstanceIds": ("InvalidInstanceID.Malformed", "i"),
    "InstanceId": ("InvalidInstanceID.Malformed", "i"),
    "ImageIds": ("InvalidAMIID.Malformed", "ami"),
    "ImageId": ("InvalidAMIID.Malformed", "ami"),
    "SubnetId": ("InvalidSubnetID.Malformed", "subnet"),
    "SecurityGroupIds": ("InvalidGroupId.Malformed", "sg"),
}
_TOKEN_LENGTH: Final = 64
_START: Final = frozenset({"stopped", "running", "pending"})
_STOP: Final = frozenset({"running", "stopped", "stopping"})
_ARRIVALS: Final = {
    "RunInstances": ("pending", 0),
    "StartInstances": ("pending", 0),
    "StopInstances": ("stopping", 64),
    "TerminateInstances": ("shutting-down", 32),
}
_THERE: Final[dict[str, tuple[Any, str]]] = {
    "i": (lambda ec2: {each.id for each in ec2.all_instances()}, "InvalidInstanceID.NotFound"),
    "ami": (lambda ec2: ec2.amis, "InvalidAMIID.NotFound"),
    "eni": (lambda ec2: ec2.enis, "InvalidNetworkInterfaceID.NotFound"),
    "snap": (lambda ec2: ec2.snapshots, "InvalidSnapshot.NotFound"),
    "vol": (lambda ec2: ec2.volumes, "InvalidVolume.NotFound"),
    "vpc": (lambda ec2: ec2.vpcs, "InvalidVpcID.NotFound"),
}
"""How to tell whether a resource is there, by the prefix of its id, and the code if it is not."""

_LOOKS: Final = frozenset({"DescribeInstances", "DescribeInstanceStatus"})


def check_ec2(call: Call) -> None:
    """Raise Fault for what EC2 refuses before it looks at anything: the form of the values."""
    params = call.params
    for name, (code, prefix) in _MALFORMED.items():
        for each in _as_list(params.get(name, ())):
            if not _ID.fullmatch(each) or not each.startswith(f"{prefix}-"):
                raise Fault(code, f'Invalid id: "{each}"')
    if params.get("MaxResults") and params.get("InstanceIds"):
        said = "The parameter instancesSet cannot be used with the parameter maxResults"
        raise Fault("InvalidParameterCombination", said)
    _check_tags(params.get("Tags", ()) if call.operation == "CreateTags" else ())
    for specification in params.get("TagSpecifications", ()):
        _check_tags(specification.get("Tags", ()))
    if call.operation in ("CreateTags", "DeleteTags"):
        _check_resources(params.get("Resources", ()))


def perform_ec2(
    world: World, _: Principal, call: Call, execute: Callable[[Call], Answer]
) -> Answer:
    """Do the authorized *call* by *execute*, with what moto leaves out before and after."""
    if call.operation == "RunInstances":
        return _run(world, call, execute)
    if call.operation in ("CreateTags", "DeleteTags"):
        _check_there(world, call)
    if call.operation == "DeleteTags" and not call.params.get("Tags"):
        return _wipe(world, call)
    if call.operation in _LOOKS:
        _tick(world)
    if call.operation in _ARRIVALS:
        return _change_state(world, call, execute)
    return execute(call)


def _run(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    token = call.params.get("ClientToken", "")
    if len(token) > _TOKEN_LENGTH or not token.isascii():
        raise Fault("InvalidParameterValue", "ClientToken has to be of at most 64 ASCII characters")
    known = world.launches.get((call.region, token)) if token else None
    if known is not None:
        earlier, answer = known
        if earlier.params != call.params:
            said = "Arguments on this idempotent request are inconsistent with arguments used in "
            raise Fault("IdempotentParameterMismatch", f"{said}previous request(s).")
        return answer
    _check_launch(world, call)
    backend = world.ec2(call.region)
    before = {each.id for each in backend.all_instances()}
    # Moto launches the minimum; EC2, whose capacity here has no end, the maximum. The contents of
    # the launch template are parameters of the call by now: moto is not to add them once more.
    asked = call.with_params(MinCount=call.params["MaxCount"], LaunchTemplate=None)
    answer = execute(asked)
    if answer.ok:
        made = [each for each in backend.all_instances() if each.id not in before]
        for each in made:
            each.disable_api_termination = bool(call.params.get("DisableApiTermination"))
        _delay(world, call.operation, made)
        if token:
            world.launches[(call.region, token)] = (call, answer)
    return answer


def _check_launch(world: World, call: Call) -> None:
    """Raise Fault for whatever the launch names and the region has not."""
    params, backend = call.params, world.ec2(call.region)
    if not 1 <= params["MinCount"] <= params["MaxCount"]:
        raise Fault("InvalidParameterValue", "MinCount has to be 1 to MaxCount")
    if params["ImageId"] not in backend.amis:
        said = f"The image id '[{params['ImageId']}]' does not exist"
        raise Fault("InvalidAMIID.NotFound", said)
    if not offered(params["InstanceType"], call.region):
        said = f"Invalid value '{params['InstanceType']}' for InstanceType."
        raise Fault("InvalidParameterValue", said)
    if "KeyName" in params and params["KeyName"] not in backend.key_pairs:
        said = f"The key pair '{params['KeyName']}' does not exist"
        raise Fault("InvalidKeyPair.NotFound", said)
    profile_and_role(world, call)
    subnets = {each.id for each in backend.describe_subnets()}
    if "SubnetId" in params and params["SubnetId"] not in subnets:
        said = f"The subnet ID '{params['SubnetId']}' does not exist"
        raise Fault("InvalidSubnetID.NotFound", said)
    groups = {each for vpc in backend.groups.values() for each in vpc}
    for each in params.get("SecurityGroupIds", ()):
        if each not in groups:
            raise Fault("InvalidGroup.NotFound", f"The security group '{each}' does not exist")


def offered(instance_type: str, region: str) -> bool:
    """Say whether *region* has *instance_type*."""
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

    offers = INSTANCE_TYPE_OFFERINGS["region"].get(region, ())
    return any(each["InstanceType"] == instance_type for each in offers)


def _check_there(world: World, call: Call) -> None:
    """Raise Fault unless there are the resources to tag."""
    backend = world.ec2(call.region)
    for each in call.params.get("Resources", ()):
        known, code = _THERE.get(each.split("-")[0], (None, ""))
        if known is not None and each not in known(backend):
            raise Fault(code, f"The ID '{each}' does not exist")


def _wipe(world: World, call: Call) -> Answer:
    """Delete all of the user's tags: what DeleteTags without Tags means."""
    backend = world.ec2(call.region)
    for each in call.params.get("Resources", ()):
        kept = {k: v for k, v in backend.tags.get(each, {}).items() if k.startswith("aws:")}
        backend.tags[each] = kept
    return result_answer(call, {})


def _change_state(world: World, call: Call, execute: Callable[[Call], Answer]) -> Answer:
    backend = world.ec2(call.region)
    found = [backend.get_instance_by_id(each) for each in call.params.get("InstanceIds", ())]
    named = [each for each in found if each is not None]
    allowed = {"StartInstances": _START, "StopInstances": _STOP}.get(call.operation)
    if len(named) == len(found) and allowed is not None:
        for each in named:
            if each.state not in allowed:
                verb = "started" if call.operation == "StartInstances" else "stopped"
                said = f"The instance '{each.id}' is not in a state from which it can be {verb}."
                raise Fault("IncorrectInstanceState", said)
    moving = [each for each in named if not _is_there(each, call.operation)]
    answer = execute(call)
    if answer.ok:
        _delay(world, call.operation, moving)
    return answer


def _is_there(instance: Any, operation: str) -> bool:
    final = {"StartInstances": "running", "StopInstances": "stopped"}.get(operation, "terminated")
    return bool(instance.state == final)


def _delay(world: World, operation: str, instances: Iterable[Any]) -> None:
    """Show *instances* on their way for as many describes as the sandbox was told."""
    if not world.describes_until_arrived:
        return
    for each in instances:
        final = (each._state.name, each._state.code)  # noqa: SLF001 - moto has no setter
        state = _ARRIVALS[operation]
        world.delays[each.id] = Delay(each, final, world.describes_until_arrived)
        _show(each, state)


def _tick(world: World) -> None:
    for instance_id, delay in list(world.delays.items()):
        if delay.left == 0:
            _show(delay.instance, delay.final)
            del world.delays[instance_id]
        delay.left -= 1


def _show(instance: Any, state: tuple[str, int]) -> None:
    instance._state.name, instance._state.code = state  # noqa: SLF001 - moto has no setter


def _check_tags(tags: Iterable[dict[str, str]]) -> None:
    for each in tags:
        if each.get("Key", "").lower().startswith("aws:"):
            said = "Tag keys starting with 'aws:' are reserved for internal use"
            raise Fault("InvalidParameterValue", said)


def _check_resources(ids: Iterable[str]) -> None:
    for each in ids:
        if not _ID.fullmatch(each) or each.split("-")[0] not in KINDS:
            raise Fault("InvalidID", f"The ID '{each}' is not valid")


def _as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
