"""Instances that look like workers and are none, and who becomes one."""

from __future__ import annotations

from typing import Any

import pytest

from cml_iam.errors import RefusedError
from cml_iam.site import Restrictions, Site
from cml_iam.tag import DEFAULT_TAG
from cml_iam.workers import Orphan, WorkerManager, adopt_change, check_adoption, find_orphans
from tests.workers.fake import GUARD_TAG, FakeAws, instance

SITE = Site(
    account="111122223333",
    restrict=Restrictions(
        instance_types=("m5zn.metal", "c5.*"), images={"us-east-1": ("ami-00000000000000099",)}
    ),
)


def tags(**given: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in given.items()]


def found(*instances: dict[str, Any], images: tuple[str, ...] = ()) -> tuple[Orphan, ...]:
    aws = FakeAws(instances=list(instances))
    aws.images = [
        {"ImageId": f"ami-{number:017x}", "Name": name} for number, name in enumerate(images, 1)
    ]
    manager = WorkerManager(aws)
    return find_orphans(manager, manager.get_all_instances(managed_only=False), SITE)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Tags": tags(Name="CML-lab-3")}, "its name is `CML-lab-3`"),
        ({"Tags": tags(Name="virl2_test")}, "its name is `virl2_test`"),
        ({"Tags": tags(Name="Cisco Modeling Labs")}, "its name is `Cisco Modeling Labs`"),
        ({"Tags": tags(), "ImageId": "ami-00000000000000001"}, "image is called `cml2.9-worker`"),
        ({"Tags": tags(), "ImageId": "ami-00000000000000099"}, "is one of the site's"),
        ({"Tags": tags(App="cml")}, "its tag `App=cml`"),
        ({"Tags": tags(managedby="lablet-cloud-manager")}, "is almost the guard tag"),
        ({"Tags": tags(ManagedBy="Lablet-Cloud-Manager ")}, "is almost the guard tag"),
    ],
)
def test_a_name_an_image_or_a_tag_makes_it_likely(changed: dict[str, Any], reason: str) -> None:
    (orphan,) = found(instance(InstanceType="t3.micro", **changed), images=("cml2.9-worker",))

    assert orphan.likely
    assert any(reason in each for each in orphan.reasons), orphan.reasons


def test_a_type_alone_makes_it_possible_and_comes_last() -> None:
    possible, likely = found(
        instance(1, Tags=tags(), InstanceType="c5.large"),
        instance(2, Tags=tags(Name="cml"), InstanceType="t3.micro"),
    )[::-1]

    assert (likely.likely, possible.likely) == (True, False)
    assert possible.reasons == ("its type c5.large is one of the site's (`c5.*`)",)


@pytest.mark.parametrize(
    "changed",
    [
        {},  # a worker of ours
        {"Tags": tags(Name="web-1")},
        {"Tags": tags(Name="camlab")},
        {"Tags": tags(Name="cml"), "State": {"Name": "terminated"}},
        {"Tags": tags(Name="cml"), "State": {"Name": "shutting-down"}},
    ],
)
def test_what_is_ours_other_or_gone_is_no_orphan(changed: dict[str, Any]) -> None:
    assert found(instance(**{"InstanceType": "t3.micro", **changed})) == ()


def test_an_image_that_is_gone_is_no_reason_and_no_error() -> None:
    assert found(instance(Tags=tags(), InstanceType="t3.micro"), images=()) == ()


def test_images_are_asked_for_together() -> None:
    aws = FakeAws(instances=[instance(n, Tags=tags(), InstanceType="t3.micro") for n in range(9)])
    manager = WorkerManager(aws)

    find_orphans(manager, manager.get_all_instances(managed_only=False), SITE)

    assert aws.actions == ["ec2:DescribeInstances", "ec2:DescribeImages"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"Tags": tags(managedby="x")}, "`managedby`, which IAM does not distinguish from"),
        ({"Tags": tags(ManagedBy="terraform")}, "belongs to somebody else: `ManagedBy=terraform`"),
        ({"Tags": tags(), "State": {"Name": "terminated"}}, "nothing is left to adopt"),
    ],
)
def test_what_must_not_be_adopted_is_refused(changed: dict[str, Any], words: str) -> None:
    manager = WorkerManager(FakeAws(instances=[instance(**changed)]))

    with pytest.raises(RefusedError) as raised:
        check_adoption(manager.get_all_instances(managed_only=False), DEFAULT_TAG)

    assert words in raised.value.message


def test_one_that_is_a_worker_already_is_left_out() -> None:
    manager = WorkerManager(FakeAws(instances=[instance(1), instance(2, Tags=tags(Name="cml"))]))

    wanted = check_adoption(manager.get_all_instances(managed_only=False), DEFAULT_TAG)

    assert [each.name for each in wanted] == ["cml"]


def test_adopting_sets_the_guard_tag_and_nothing_else() -> None:
    aws = FakeAws(instances=[instance(1, Tags=tags(Name="cml"))])

    WorkerManager(aws).do(adopt_change(["i-00000000000000001"], DEFAULT_TAG))

    assert aws.calls[-1] == (
        "ec2:CreateTags",
        {"region": "us-east-1", "Resources": ["i-00000000000000001"], "Tags": [GUARD_TAG]},
    )
