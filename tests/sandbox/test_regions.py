"""The regions of an account: those of its partition, and only the enabled ones answer.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
"""

from __future__ import annotations

from typing import Any

import pytest

from cml_iam.facts import known_regions, opt_in_regions
from tests.sandbox.conftest import Identity, refused


def names(answer: dict[str, Any]) -> set[str]:
    return {region["RegionName"] for region in answer["Regions"]}


def test_only_enabled_regions_are_described_unless_all_are_wanted(ec2: Any) -> None:
    every = ec2.describe_regions(AllRegions=True)
    status = {region["RegionName"]: region["OptInStatus"] for region in every["Regions"]}

    assert names(ec2.describe_regions()) == set(known_regions("aws")) - opt_in_regions()
    assert set(status) == set(known_regions("aws"))
    assert status["us-east-1"] == "opt-in-not-required"
    assert {status[each] for each in ("af-south-1", "eu-south-1", "ap-southeast-3")} == {
        "not-opted-in"
    }
    assert (
        every["Regions"][0]["Endpoint"] == f"ec2.{every['Regions'][0]['RegionName']}.amazonaws.com"
    )


def test_names_and_filters_narrow_it(ec2: Any) -> None:
    assert names(ec2.describe_regions(RegionNames=["ap-east-1"])) == {"ap-east-1"}
    for name, value, found in (
        ("opt-in-status", "opted-in", set()),
        ("region-name", "eu-west-*", {"eu-west-1", "eu-west-2", "eu-west-3"}),
        ("endpoint", "ec2.us-west-2.*", {"us-west-2"}),
    ):
        filters = [{"Name": name, "Values": [value]}]
        assert names(ec2.describe_regions(Filters=filters)) == found
    assert refused(ec2.describe_regions, RegionNames=["nowhere-1"]).code == "InvalidParameterValue"
    wrong = [{"Name": "nonesuch", "Values": ["x"]}]
    assert refused(ec2.describe_regions, Filters=wrong).code == "InvalidParameterValue"


@pytest.mark.parametrize("region", ["ap-east-1", "cn-north-1", "us-gov-west-1"])
def test_a_region_that_is_not_enabled_answers_as_to_a_wrong_key(
    region: str, root: Identity
) -> None:
    said = refused(root.client("ec2", region).describe_instances)

    assert (said.code, said.status) == ("AuthFailure", 401)
