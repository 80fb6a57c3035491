"""Each method of the manager uses the permission the catalogue lists for it, and no other."""

from collections.abc import Callable

import pytest

from cml_iam.catalogue import load_catalogue
from cml_iam.workers import Launch, WorkerManager
from tests.workers.fake import FakeAws, instance

ID = "i-00000000000000001"

CALLS: dict[str, Callable[[WorkerManager], object]] = {
    "create_instance": lambda m: m.create_instance(Launch("w", "ami-1", "m5zn.metal")),
    "start_instance": lambda m: m.start_instance(ID),
    "stop_instance": lambda m: m.stop_instance(ID, force=True),
    "terminate_instance": lambda m: m.terminate_instance(ID),
    "get_instance_details": lambda m: m.get_instance_details(ID),
    "get_all_instances": lambda m: m.get_all_instances(),
    "get_instance_status": lambda m: m.get_instance_status(ID),
    "get_ami_ids_by_name": lambda m: m.get_ami_ids_by_name("cml-*"),
    "update_instance_tags": lambda m: m.update_instance_tags(ID, {"k": "v"}),
    "delete_instance_tags": lambda m: m.delete_instance_tags(ID, ["k"]),
    "get_instance_tags": lambda m: m.get_instance_tags(ID),
    "get_instance_resources_utilization": lambda m: m.get_instance_resources_utilization(ID),
}


def expected(method: str) -> set[str]:
    return {
        permission.action
        for permission in load_catalogue().permissions
        if method in permission.methods
    }


@pytest.mark.parametrize("method", CALLS)
def test_the_calls_of_each_method_are_those_of_the_catalogue(method: str) -> None:
    aws = FakeAws(instances=[instance()])

    CALLS[method](WorkerManager(aws))

    assert set(aws.actions) == expected(method)


def test_health_does_for_real_what_the_catalogue_says_and_tries_the_rest() -> None:
    """Beyond DescribeRegions it reads what its dry runs need, and changes nothing."""
    aws = FakeAws(instances=[instance()])

    WorkerManager(aws).health()

    assert expected("health") == {"ec2:DescribeRegions"} <= set(aws.actions)
    assert set(aws.actions) == set(load_catalogue().actions)


def test_these_are_all_the_methods_of_the_catalogue_and_all_exist() -> None:
    named = {method for permission in load_catalogue().permissions for method in permission.methods}

    assert named == {*CALLS, "health"}
    assert all(callable(getattr(WorkerManager, name)) for name in named)
