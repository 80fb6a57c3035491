"""State transitions of instances, with durations from the sandbox's conditions.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._services import rows
from cml_iam.sandbox._wire import Fault
from cml_iam.sandbox._world import Delay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._principals import Principal
    from cml_iam.sandbox._wire import Values
    from cml_iam.sandbox._world import World

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
    for instance_id, (region, since) in list(world.ended.items()):
        if now - since > SHOWN_TERMINATED:
            _forget(world.ec2(region), instance_id)
            del world.ended[instance_id]


def launched(world: World, region: str, instances: Sequence[Any]) -> None:
    """Start the transitions of new *instances*, invisible at first if the conditions say so."""
    unseen = timedelta(seconds=world.conditions.seconds.new_instance)
    for instance in instances:
        instance.launch_time = _naive(world)
        if unseen:
            world.unseen[instance.id] = (region, world.now() + unseen)
        _depart(world, instance, "pending", "running")


def change(world: World, _: Principal, call: Call) -> Values | None:
    """Execute StartInstances, StopInstances or TerminateInstances, for all instances or none.

    Only a termination can be partial: if an instance is protected, all in its zone remain.
    """
    ids = list(dict.fromkeys(call.params.get("InstanceIds", ())))
    backend = world.ec2(call.region)
    found = [backend.get_instance_by_id(each) for each in ids]
    if None in found:
        return None
    what = rows("changes")[call.operation]
    _check_states(found, what)
    if call.operation == "StopInstances":
        _check_spot(found)
    wanted, protected = _by_protection(call, found)
    changes = [_changed(world, call, each, what) for each in wanted]
    if protected:
        raise _protection(call, protected[0])
    return {what["members"]: changes}


def status_of(world: World, instance: Any) -> str:
    """Return the result of *instance*'s two status checks."""
    if instance.state != "running":
        return "not-applicable"
    since = world.healthy.get(instance.id)
    return "initializing" if since is not None and world.now() < since else "ok"


@contextmanager
def only(backend: Any, wanted: Callable[[Any], bool]) -> Iterator[None]:
    """Limit moto's *backend* to the instances *wanted* for the duration of one call."""
    from copy import copy

    before = backend.reservations
    kept = before.__class__()
    for name, reservation in before.items():
        instances = [instance for instance in reservation.instances if wanted(instance)]
        if instances:
            kept[name] = copy(reservation)
            kept[name].instances = instances
    backend.reservations = kept
    try:
        yield
    finally:
        backend.reservations = before


def seen(world: World, region: str) -> Callable[[Any], bool] | None:
    """Return a test for the instances that are visible now; None if all of them are."""
    now = world.now()
    for instance_id, (_, since) in list(world.unseen.items()):
        if now >= since:
            del world.unseen[instance_id]
    hidden = {each for each, (where, _) in world.unseen.items() if where == region}
    return (lambda instance: instance.id not in hidden) if hidden else None


def _changed(world: World, call: Call, instance: Any, what: dict[str, Any]) -> dict[str, Any]:
    """Change one instance; return its previous and current state."""
    before = instance.state
    on_its_way = world.delays.get(instance.id)
    if before != what["final"] and (on_its_way is None or on_its_way.final != what["final"]):
        if what["final"] == "running":
            instance.launch_time = _naive(world)
        _act(world, call, instance)
        _depart(world, instance, what["way"], what["final"])
    shown = instance.state if before in (what["final"], what["way"]) else what["way"]
    return {
        "InstanceId": instance.id,
        "PreviousState": {"Name": before, "Code": rows("states")[before]},
        "CurrentState": {"Name": shown, "Code": rows("states")[shown]},
    }


def _act(world: World, call: Call, instance: Any) -> None:
    match call.operation:
        case "StartInstances":
            instance.start()
        case "StopInstances":
            instance.stop()
            if call.params.get("Hibernate"):
                code = "Client.UserInitiatedHibernate"
                instance.state_reason.code = code
                instance.state_reason.message = f"{code}: User initiated hibernate"
        case _:
            instance.terminate()
            world.ended[instance.id] = (call.region, world.now())


def _depart(world: World, instance: Any, way: str, final: str) -> None:
    """Show *instance* in the state *way*, and in *final* later, or at once without a delay."""
    seconds: float = getattr(world.conditions.seconds, way.replace("-", "_"))
    delay = Delay(
        instance, final, world.describes_until_arrived, world.now() + timedelta(seconds=seconds)
    )
    if not world.describes_until_arrived and not seconds:
        world.delays.pop(instance.id, None)
        _arrived(world, delay)
        return
    world.delays[instance.id] = delay
    _show(instance, way)
    if way == "pending":
        hide_public(instance)


def hide_public(instance: Any) -> None:
    """Remove the public address of *instance* until its state is `running`."""
    for nic in instance.nics.values():
        nic.stop()


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


class _NoNetwork(dict[int, Any]):
    """The network interfaces of a terminated instance: none, so it has no addresses either.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/how-ec2-instance-termination-works.html
    """

    def __missing__(self, number: int) -> Any:
        return SimpleNamespace(private_ip_address=None, public_ip=None)


def _show(instance: Any, state: str) -> None:
    instance._state.name = state  # noqa: SLF001 - no setter
    instance._state.code = rows("states")[state]  # noqa: SLF001


def _check_states(instances: Iterable[Any], what: dict[str, Any]) -> None:
    for instance in instances:
        if instance.state not in what.get("allowed", rows("states")):
            said = f"The instance '{instance.id}' is not in a state from which it can be "
            raise Fault("IncorrectInstanceState", f"{said}{what['verb']}.")


def _check_spot(instances: Iterable[Any]) -> None:
    """Raise Fault for stopping a one-time Spot Instance, which can only be terminated.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-interruptions.html
    """
    for instance in instances:
        if instance.lifecycle == "spot" and not getattr(instance, "persistent_spot", False):
            said = (
                f"You can't stop the Spot Instance '{instance.id}' because it is associated with a "
            )
            more = "one-time Spot Instance request. You can only stop Spot Instances associated "
            raise Fault(
                "UnsupportedOperation", f"{said}{more}with persistent Spot Instance requests."
            )


def _by_protection(call: Call, instances: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Return the instances to change, and those that their protection keeps unchanged.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-stop-protection.html
    """
    if call.operation == "StartInstances":
        return list(instances), []
    ends = call.operation == "TerminateInstances"
    protected = [
        instance
        for instance in instances
        if instance.disable_api_stop is True or (ends and instance.disable_api_termination is True)
    ]
    protected = [each for each in protected if each.state != "terminated"]
    if protected and not ends:
        raise _protection(call, protected[0])
    zones = {each.availability_zone for each in protected}
    return [
        instance for instance in instances if instance.availability_zone not in zones
    ], protected


def _protection(call: Call, instance: Any) -> Fault:
    verb = rows("changes")[call.operation]["verb"]
    name = "disableApiStop" if instance.disable_api_stop is True else "disableApiTermination"
    said = f"The instance '{instance.id}' may not be {verb}. Modify its '{name}' instance attribute"
    return Fault("OperationNotPermitted", f"{said} and try again.")


def _forget(backend: Any, instance_id: str) -> None:
    for name, reservation in list(backend.reservations.items()):
        reservation.instances = [
            instance for instance in reservation.instances if instance.id != instance_id
        ]
        if not reservation.instances:
            del backend.reservations[name]


def _naive(world: World) -> datetime:
    """Return the time in moto's form: naive UTC."""
    return world.now().astimezone(UTC).replace(tzinfo=None)
