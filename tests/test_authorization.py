"""Which authorizations a call means, beyond those the expectations show.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from cml_iam.engine.authorization import (
    Caller,
    Image,
    Launch,
    Resource,
    launch,
    resource_arn,
    tag_on_create,
    use,
)

ACCOUNT = "111122223333"
CALLER = Caller(f"arn:aws:iam::{ACCOUNT}:user/manager")
VOLUME = Resource("volume", "vol-1", "us-east-1", ACCOUNT, {"Team": "a"})
LAUNCH = Launch("us-east-1", ACCOUNT, Image("ami-1", ACCOUNT), "c5.large")


@pytest.mark.parametrize("kind", ["image", "snapshot"])
def test_images_and_snapshots_have_no_account_in_their_arn(kind: str) -> None:
    one = replace(VOLUME, kind=kind, id="x")

    assert resource_arn(CALLER, one) == f"arn:aws:ec2:us-east-1::{kind}/x"
    assert resource_arn(CALLER, VOLUME) == f"arn:aws:ec2:us-east-1:{ACCOUNT}:volume/vol-1"


def test_the_use_of_a_resource_tells_its_tags_and_the_requests() -> None:
    (asked,) = use(CALLER, "ec2:CreateTags", VOLUME, {"Lab": "1"})

    assert asked.resource.endswith(":volume/vol-1")
    assert asked.context["aws:ResourceTag/Team"] == asked.context["ec2:ResourceTag/Team"] == "a"
    assert asked.context["aws:RequestTag/Lab"] == "1"
    assert asked.context["aws:TagKeys"] == ["Lab"]
    assert "ec2:CreateAction" not in asked.context


def test_tags_on_create_tell_the_action_that_creates() -> None:
    (asked,) = tag_on_create(CALLER, "CreateVolume", replace(VOLUME, id="*", tags={}), {"a": "b"})

    assert asked.action == "ec2:CreateTags"
    assert asked.context["ec2:CreateAction"] == "CreateVolume"


def test_a_launch_tells_tenancy_optimization_and_its_placement_group() -> None:
    asked = launch(
        CALLER, replace(LAUNCH, tenancy="dedicated", ebs_optimized=True, placement_group="rack")
    )
    by_kind = {each.resource.rpartition(":")[2].partition("/")[0]: each for each in asked}

    assert by_kind["instance"].context["ec2:Tenancy"] == "dedicated"
    assert by_kind["instance"].context["ec2:EbsOptimized"] == "true"
    assert by_kind["placement-group"].resource.endswith("placement-group/rack")
    plain = {each.resource.rpartition(":")[2].partition("/")[0] for each in launch(CALLER, LAUNCH)}
    assert "placement-group" not in plain
