"""A region that refuses a credential which AWS accepts elsewhere is said to be the matter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Aws
from cml_iam.workers import WorkerManager, list_fleet
from tests.aws import answers
from tests.aws.conftest import Endpoint

Connect = Callable[..., Aws]
REFUSED = (401, answers.ec2_error("AuthFailure", "AWS was not able to validate the credentials"))
NOT_SIGNED_IN = (403, answers.iam_error("InvalidClientTokenId", "The security token is invalid"))


def test_a_region_that_is_not_enabled_is_named(endpoint: Endpoint, to: Connect) -> None:
    endpoint.regions = {"me-south-1": REFUSED, "us-east-1": (200, answers.CALLER)}

    with pytest.raises(errors.NotOfferedError) as caught:
        to(region="me-south-1").call("ec2", "describe_instances")

    assert "me-south-1 refuses a credential that STS accepts in us-east-1" in caught.value.message
    assert "cml-iam doctor regions" in (caught.value.remedy or "")


def test_a_region_that_does_not_exist_is_a_typing_error(endpoint: Endpoint, to: Connect) -> None:
    endpoint.regions = {"us-esat-1": REFUSED, "us-east-1": (200, answers.CALLER)}

    with pytest.raises(errors.NotOfferedError) as caught:
        to(region="us-esat-1").call("ec2", "describe_instances")

    assert caught.value.remedy == "did you mean `us-east-1`?"


def test_in_china_the_first_region_there_is_asked(endpoint: Endpoint, to: Connect) -> None:
    endpoint.regions = {"cn-northwest-1": REFUSED, "cn-north-1": (200, answers.CALLER)}

    with pytest.raises(errors.NotOfferedError, match="accepts in cn-north-1"):
        list(to(region="cn-northwest-1").pages("ec2", "describe_instances", "Reservations"))


@pytest.mark.parametrize(
    "sts", [NOT_SIGNED_IN, (500, ""), (200, "<html></html>")], ids=["refused", "500", "foreign"]
)
def test_a_key_that_nobody_accepts_is_the_keys_fault(
    endpoint: Endpoint, to: Connect, sts: Any
) -> None:
    endpoint.regions = {"me-south-1": REFUSED, "us-east-1": sts}

    with pytest.raises(errors.CredentialsError, match="AuthFailure"):
        to(region="me-south-1", attempts=1).call("ec2", "describe_instances")


def test_the_fleet_of_the_other_regions_is_shown(endpoint: Endpoint, to: Connect) -> None:
    endpoint.regions = {"me-south-1": REFUSED, "us-west-2": (200, answers.instances("i-1"))}
    endpoint.answers = [(200, answers.CALLER)]
    manager = WorkerManager(to())

    found = list_fleet(
        ["us-west-2", "me-south-1"], lambda region: manager.get_all_instances(region=region)
    )

    assert [worker.id for worker in found.workers] == ["i-1"]
    assert list(found.failures) == ["me-south-1"]
    assert isinstance(found.failures["me-south-1"], errors.NotOfferedError)
