"""Of EC2's model only what is called is kept; what else is called is found all the same."""

from typing import Any

import pytest

from cml_iam.aws._session import make_session, need_operation
from cml_iam.catalogue import load_catalogue
from cml_iam.secret import Secret

pytest.importorskip("botocore")


def client(session: Any, service: str = "ec2", region: str = "us-east-1") -> Any:
    return session.create_client(service, region_name=region)


def session() -> Any:
    return make_session(access_key="AKIAIOSFODNN7EXAMPLE", secret_key=Secret("none"))


def test_a_client_of_ec2_describes_what_is_called_and_little_else() -> None:
    operations = client(session()).meta.service_model.operation_names
    names = (permission.action.partition(":") for permission in load_catalogue().permissions)

    assert {name for service, _, name in names if service == "ec2"} <= set(operations)
    assert "DescribeRegions" in operations
    assert len(operations) < 40  # of 790; tests of this process may have needed others


def test_what_is_kept_means_what_the_whole_model_says() -> None:
    import botocore.session

    whole = botocore.session.Session().get_service_model("ec2")
    part = client(session()).meta.service_model

    for name in part.operation_names:
        kept, full = part.operation_model(name), whole.operation_model(name)
        assert kept.input_shape.members.keys() == full.input_shape.members.keys()
        assert shapes(kept.input_shape) == shapes(full.input_shape)
        assert shapes(kept.output_shape) == shapes(full.output_shape)


def shapes(shape: Any) -> dict[str, Any]:
    """Return the raw shape of every name that *shape* reaches."""
    reached: dict[str, Any] = {}
    pending = [shape] if shape else []
    while pending:
        one = pending.pop()
        if one.name in reached:
            continue
        reached[one.name] = (one.type_name, one.metadata, one.serialization)
        if one.type_name == "structure":
            pending += one.members.values()
        elif one.type_name == "list":
            pending.append(one.member)
        elif one.type_name == "map":
            pending += (one.key, one.value)
    return reached


def test_an_operation_that_nobody_thought_of_is_there_once_it_is_needed() -> None:
    here = session()
    assert not hasattr(client(here), "describe_vpn_gateways")

    need_operation(here, "describe_vpn_gateways")

    assert hasattr(client(here), "describe_vpn_gateways")
    assert hasattr(client(here), "describe_instances")


def test_other_services_are_described_whole() -> None:
    import botocore.session

    whole = botocore.session.Session().get_service_model("iam").operation_names

    assert client(session(), "iam").meta.service_model.operation_names == whole
