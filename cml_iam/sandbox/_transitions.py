"""State transitions of instances, with durations from the sandbox's conditions.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final

from cml_iam.sandbox._answers import answers
from cml_iam.sandbox._wire import Call, Fault, Values, rows
from cml_iam.sandbox._world import Delay, Principal, World

SHOWN_TERMINATED: Final = timedelta(hours=1)
"""How long EC2 still describes a terminated instance."""


def arrive(world: World, *, look: bool = False) -> None:
    """Complete every transition that is due; a *look* counts towards those that wait for looks."""
    now = world.now()
    for instance_id, delay in list(world.delays.items()):
        if delay.left <= 0 and now >= delay.due:
            _arrived(world, delay)
            del world.delays[instance_id]
        elif look:
            delay.left -= 1
    gone = {
        instance_id: region
        for instance_id, (region, since) in world.ended.items()
        if now - since > SHOWN_TERMINATED
    }
    for instance_id, region in gone.items():
        backend = world.ec2(region)
        backend.reservations = _limited(backend, lambda instance: instance.id not in gone)
        del world.ended[instance_id]


def launched(world: World, region: str, instances: Sequence[Any]) -> None:
    """Start the transitions of new *instances*, invisible at first if the conditions say so."""
    unseen = timedelta(seconds=world.conditions.seconds.new_instance)
    for instance in instances:
        instance.launch_time = world.naive_now()
        if unseen:
            world.unseen[instance.id] = (region, world.now() + unseen)
        _depart(world, instance, "pending", "running")


@contextmanager
def only(backend: Any, shown: Callable[[Any], bool]) -> Iterator[None]:
    """Limit moto's *backend* to the instances *shown* for the duration of one call."""
    before = backend.reservations
    backend.reservations = _limited(backend, shown)
    try:
        yield
    finally:
        backend.reservations = before


def _limited(backend: Any, shown: Callable[[Any], bool]) -> Any:
    limited = backend.reservations.__class__()
    for name, reservation in backend.reservations.items():
        instances = [instance for instance in reservation.instances if shown(instance)]
        if instances:
            limited[name] = copy(reservation)
            limited[name].instances = instances
    return limited


def visible(world: World, region: str) -> AbstractContextManager[None]:
    """Limit moto to the instances of *region* that are visible now, for one call."""
    now = world.now()
    for instance_id, (_, since) in list(world.unseen.items()):
        if now >= since:
            del world.unseen[instance_id]
    hidden = {instance_id for instance_id, (where, _) in world.unseen.items() if where == region}
    shown = only(world.ec2(region), lambda instance: instance.id not in hidden)
    return shown if hidden else nullcontext()


@answers("ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances")
def _change(world: World, _: Principal, call: Call) -> Values | None:
    """Change all instances or none.

    Only a termination can be partial: if an instance is protected, all in its zone remain.
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    """
    ids = dict.fromkeys(call.params.get("InstanceIds", ()))
    backend, row = world.ec2(call.region), rows("changes")[call.operation]
    instances = [backend.get_instance_by_id(instance_id) for instance_id in ids]
    if None in instances:
        return None
    for instance in instances:
        if instance.state not in row.get("allowed", rows("states")):
            text = f"The instance '{instance.id}' is not in a state from which it can be "
            raise Fault("IncorrectInstanceState", f"{text}{row['verb']}.")
    if call.operation == "StopInstances":
        _check_spot(instances)
    protected = [instance for instance in instances if _protection(call, instance)]
    zones = {instance.availability_zone for instance in protected}
    changes = []
    if not protected or call.operation == "TerminateInstances":
        free = [instance for instance in instances if instance.availability_zone not in zones]
        changes = [_changed(world, call, instance, row) for instance in free]
    if protected:
        raise Fault(
            "OperationNotPermitted",
            f"The instance '{protected[0].id}' may not be {row['verb']}. Modify its "
            f"'{_protection(call, protected[0])}' instance attribute and try again.",
        )
    return {row["members"]: changes}


def _check_spot(instances: Sequence[Any]) -> None:
    """Raise Fault for stopping a one-time Spot Instance, which can only be terminated.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html
    """
    for instance in instances:
        if instance.lifecycle == "spot" and not getattr(instance, "persistent_spot", False):
            raise Fault(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a "
                "one-time Spot Instance request. You can only stop Spot Instances associated with "
                "persistent Spot Instance requests.",
            )


def _protection(call: Call, instance: Any) -> str:
    """Return the attribute that protects *instance* from the change, if any.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
    """
    if call.operation == "StartInstances" or instance.state == "terminated":
        return ""
    if instance.disable_api_stop is True:
        return "disableApiStop"
    ends = call.operation == "TerminateInstances"
    return "disableApiTermination" if ends and instance.disable_api_termination is True else ""


def _changed(world: World, call: Call, instance: Any, row: dict[str, Any]) -> dict[str, Any]:
    before, way, final = instance.state, row["way"], row["final"]
    on_its_way = world.delays.get(instance.id)
    if before != final and (on_its_way is None or on_its_way.final != final):
        if final == "running":
            instance.launch_time = world.naive_now()
            instance.start()
        elif final == "stopped":
            instance.stop()
            if call.params.get("Hibernate"):
                code = "Client.UserInitiatedHibernate"
                instance.state_reason.code = code
                instance.state_reason.message = f"{code}: User initiated hibernate"
        else:
            instance.terminate()
            world.ended[instance.id] = (call.region, world.now())
        _depart(world, instance, way, final)
    shown = instance.state if before in (final, way) else way
    return {
        "InstanceId": instance.id,
        "PreviousState": {"Name": before, "Code": rows("states")[before]},
        "CurrentState": {"Name": shown, "Code": rows("states")[shown]},
    }


def _depart(world: World, instance: Any, way: str, final: str) -> None:
    """Show *instance* in the state *way*, and in *final* later, or at once without a delay."""
    seconds: float = getattr(world.conditions.seconds, way.replace("-", "_"))
    due = world.now() + timedelta(seconds=seconds)
    delay = Delay(instance, final, world.describes_until_arrived, due)
    if not delay.left and not seconds:
        world.delays.pop(instance.id, None)
        _arrived(world, delay)
        return
    world.delays[instance.id] = delay
    _show(instance, way)
    if way == "pending":
        hide_public(instance)


def _arrived(world: World, delay: Delay) -> None:
    instance = delay.instance
    _show(instance, delay.final)
    if delay.final == "terminated":
        instance.nics, instance.security_groups = _NoNetwork(), []
        instance._subnet_id = None  # noqa: SLF001 - no setter
    if delay.final != "running":
        world.healthy.pop(instance.id, None)
        return
    checks = timedelta(seconds=world.conditions.seconds.status_checks)
    # Count from the time of the transition, not of the look that completed it.
    world.healthy[instance.id] = delay.due + checks
    for nic in instance.nics.values():
        if not nic.public_ip:
            nic.start()


def hide_public(instance: Any) -> None:
    """Remove the public address of *instance* until its state is `running`."""
    for nic in instance.nics.values():
        nic.stop()


def _show(instance: Any, state: str) -> None:
    instance._state.name = state  # noqa: SLF001 - no setter
    instance._state.code = rows("states")[state]  # noqa: SLF001


class _NoNetwork(dict[int, Any]):
    """The network interfaces of a terminated instance: none, so it has no addresses either.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
    """

    def __missing__(self, number: int) -> Any:
        return SimpleNamespace(private_ip_address=None, public_ip=None)
