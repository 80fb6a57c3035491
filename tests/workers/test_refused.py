"""A refused launch names the statement that would have to allow it."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from cml_iam import errors
from cml_iam.check.manager import launch_requests
from cml_iam.cli.worker_scene import Scene, explain, explained, refused_by
from cml_iam.site import Grants, Restrictions, Site, Tag
from cml_iam.tag import DEFAULT_TAG
from cml_iam.workers import Disk, Image, Launch, Outcome, WorkerManager
from cml_iam.workers._model import worker_from
from tests.workers.fake import FakeAws, instance

SITE = Site(
    account="111122223333",
    restrict=Restrictions(
        regions=("us-east-1",),
        guard_tag=Tag("ManagedBy", "lablet-cloud-manager"),
        instance_types=("m5zn.metal",),
        image_owners=("111122223333",),
        images=MappingProxyType({}),
        encrypted_volumes=True,
    ),
)
OWN = Image("ami-0a1b2c3d4e5f60001", "cml", "111122223333", "")


def refused(kind: str = "m5zn.metal", region: str = "us-east-1", image: Image = OWN) -> str:
    launch = Launch("lab", image.id, kind, disk=Disk(64))
    requests = launch_requests(SITE.principal_arn, launch, image, region, DEFAULT_TAG)
    return "; ".join(refused_by(SITE, requests))


def test_what_the_site_allows_is_not_refused() -> None:
    assert refused() == ""


@pytest.mark.parametrize(
    ("said", "sid", "key"),
    [
        (refused(kind="c5.large"), "LaunchInstance", "ec2:InstanceType"),
        (refused(region="us-west-2"), "LaunchInstance", "aws:RequestedRegion"),
        (
            refused(image=Image("ami-0a1b2c3d4e5f60002", "x", "999988887777", "")),
            "LaunchFromOwnersImage",
            "ec2:Owner",
        ),
    ],
)
def test_the_statement_and_its_condition_are_named(said: str, sid: str, key: str) -> None:
    assert f"statement `{sid}` of `hardened` does not allow it" in said
    assert f"`{key}` is" in said


ROLE = "arn:aws:iam::111122223333:role/cml-worker"


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        (None, ["`iam:PassRole`", "the only role that it may pass: none"]),
        (
            "other",
            ["`iam:PassRole`", "may pass: `other`"],
        ),
        ("cml-worker", ["the site file's policy allows it", "`cml-iam bootstrap plan`"]),
    ],
)
def test_a_role_that_may_not_be_handed_over_is_explained(
    granted: str | None, said: list[str]
) -> None:
    aws = FakeAws()
    site = replace(SITE, grant=Grants(pass_role=granted))
    here = Scene(WorkerManager(aws), ("us-east-1",), "us-east-1", site, aws)
    launch = Launch("lab", OWN.id, "m5zn.metal", instance_profile="cml-worker")
    refusal = errors.DeniedError(
        f"You are not authorized to perform: iam:PassRole on resource: {ROLE} because no "
        "identity-based policy allows the iam:PassRole action",
        code="UnauthorizedOperation",
        action="iam:PassRole",
    )

    with pytest.raises(errors.DeniedError) as raised, explained(here, launch):
        raise refusal

    for each in said:
        assert each in (raised.value.remedy or "")


@pytest.mark.parametrize(
    ("tags", "action", "said"),
    [
        ({}, "ec2:StopInstances", "`aws:ResourceTag/ManagedBy` is"),
        ({"ManagedBy": "another"}, "ec2:TerminateInstances", "`aws:ResourceTag/ManagedBy` is"),
        (
            {"ManagedBy": "lablet-cloud-manager"},
            "ec2:StopInstances",
            "the site file's policy allows it",
        ),
    ],
)
def test_a_refused_worker_names_the_statement_too(
    tags: dict[str, str], action: str, said: str
) -> None:
    aws = FakeAws()
    here = Scene(WorkerManager(aws), ("us-east-1",), "us-east-1", SITE, aws)
    raw = instance(Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    error = errors.DeniedError("no", code="UnauthorizedOperation", action=action)
    outcome = Outcome(worker_from(raw, "us-east-1"), error=error)

    explain(here, [outcome])

    assert said in (error.remedy or "")
