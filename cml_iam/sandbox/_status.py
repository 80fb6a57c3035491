"""DescribeInstanceStatus: the two status checks, in the time they take.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceStatus.html
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from cml_iam.sandbox._answers import result_answer
from cml_iam.sandbox._faults import Fault
from cml_iam.sandbox._transitions import status_of

if TYPE_CHECKING:
    from cml_iam.sandbox._call import Call
    from cml_iam.sandbox._wire import Answer
    from cml_iam.sandbox._world import World

MOST_IDS: Final = 100
"""The most ids one call may name."""

_REACHABILITY: Final = {"ok": "passed", "initializing": "initializing"}


def check_status(call: Call) -> None:
    """Raise Fault for more ids than one call takes."""
    ids = call.params.get("InstanceIds", ())
    if call.operation == "DescribeInstanceStatus" and len(ids) > MOST_IDS:
        said = f"Too many instance ids: {len(ids)}. The maximum is {MOST_IDS}."
        raise Fault("InvalidParameterValue", said)


def instance_status(world: World, call: Call) -> Answer:
    """Answer the status of the instances asked about, of the running ones unless all are."""
    backend = world.ec2(call.region)
    ids = list(dict.fromkeys(call.params.get("InstanceIds", ())))
    found = backend.get_multi_instances_by_id(ids) if ids else backend.all_instances()
    if not call.params.get("IncludeAllInstances"):
        found = [each for each in found if each.state == "running"]
    statuses = [_status(world, each) for each in found]
    for each in call.params.get("Filters", ()):
        statuses = [status for status in statuses if _passes(status, each)]
    return result_answer(call, {"InstanceStatuses": statuses})


def _status(world: World, instance: Any) -> dict[str, Any]:
    said = status_of(world, instance)
    check: dict[str, Any] = {"Status": said}
    if said in _REACHABILITY:
        check["Details"] = [{"Name": "reachability", "Status": _REACHABILITY[said]}]
    return {
        "AvailabilityZone": instance.availability_zone,
        "InstanceId": instance.id,
        "InstanceState": {"Code": instance.state_code, "Name": instance.state},
        "InstanceStatus": check,
        "SystemStatus": check,
    }


def _passes(status: dict[str, Any], given: dict[str, Any]) -> bool:
    name = given.get("Name", "")
    looked_at = {
        "availability-zone": status["AvailabilityZone"],
        "instance-state-code": str(status["InstanceState"]["Code"]),
        "instance-state-name": status["InstanceState"]["Name"],
        "instance-status.status": status["InstanceStatus"]["Status"],
        "system-status.status": status["SystemStatus"]["Status"],
    }
    if name not in looked_at:
        raise Fault("InvalidParameterValue", f"The filter '{name}' is invalid")
    return any(fnmatchcase(looked_at[name], value) for value in given.get("Values", ()))
