"""Every request is decided by the user's policies, on all of its resources as they are."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cml_iam.sandbox import UBUNTU_IMAGE
from tests.sandbox.conftest import Identity, launch, refused, tag_list
from tests.sandbox.documents import (
    ACCOUNT,
    BASE,
    EVERYTHING,
    GUARD,
    IMAGE,
    RESTRICTED,
    allow,
    deny,
    document,
)

DENIED = ("UnauthorizedOperation", 403)
CREATED = "arn:aws:ec2:us-east-1:111122223333"


@pytest.fixture(scope="module")
def manager(user: Callable[..., Identity]) -> Identity:
    """A user with the restricted permissions."""
    return user(RESTRICTED)


@pytest.fixture(scope="module")
def base(user: Callable[..., Identity]) -> Identity:
    """A user with the base permissions."""
    return user(BASE)


@pytest.fixture
def worker(manager: Identity) -> Iterator[str]:
    """A worker of the manager's own."""
    ec2 = manager.client("ec2")
    made = launch(ec2)
    yield made
    ec2.terminate_instances(InstanceIds=[made])


@pytest.fixture(scope="module")
def foreign(root: Identity) -> str:
    """An instance without the guard tag."""
    return launch(root.client("ec2"), tags={"Name": "somebody else's"})


@pytest.mark.parametrize("who", ["manager", "base"])
def test_both_policies_allow_the_whole_life_of_a_worker(
    who: str, request: pytest.FixtureRequest
) -> None:
    identity: Identity = request.getfixturevalue(who)
    ec2, cloudwatch = identity.client("ec2"), identity.client("cloudwatch")
    made = launch(ec2, tags={**GUARD, "Name": "worker"})
    for look in ("instances", "instance_status", "images", "tags", "regions"):
        getattr(ec2, f"describe_{look}")()
    ec2.create_tags(Resources=[made], Tags=tag_list({"Lab": "1"}))
    ec2.delete_tags(Resources=[made], Tags=[{"Key": "Lab"}])
    now = datetime.now(UTC)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": "InstanceId", "Value": made}],
        StartTime=now - timedelta(hours=1),
        EndTime=now,
        Period=300,
        Statistics=["Average"],
    )["Datapoints"]
    assert points
    ec2.stop_instances(InstanceIds=[made])
    ec2.start_instances(InstanceIds=[made])
    ec2.terminate_instances(InstanceIds=[made])


LAUNCHES: list[tuple[str, dict[str, Any], str]] = [
    ("another type", {"InstanceType": "t3.large"}, f"ec2:RunInstances on resource: {CREATED}:inst"),
    ("another image", {"ImageId": UBUNTU_IMAGE}, f"image/{UBUNTU_IMAGE}"),
    ("no tags", {"TagSpecifications": []}, "instance/*"),
    ("a wrong tag", {"TagSpecifications": [("instance", {"ManagedBy": "me"})]}, "instance/*"),
    ("a twin", {"TagSpecifications": [("instance", {"managedby": GUARD["ManagedBy"]})]}, "inst"),
    (
        "the tag on the volume only",
        {"TagSpecifications": [("volume", GUARD)]},
        "instance/*",
    ),
    (
        "a snapshot",
        {
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-0a1b2c3d4e5f60001"}}
            ]
        },
        "snapshot/snap-0a1b2c3d4e5f60001",
    ),
]


@pytest.mark.parametrize(("what", "changed", "resource"), LAUNCHES, ids=[e[0] for e in LAUNCHES])
def test_a_launch_is_decided_on_every_resource(
    what: str, changed: dict[str, Any], resource: str, manager: Identity, base: Identity
) -> None:
    parameters = dict(changed)
    if "TagSpecifications" in parameters:
        parameters["TagSpecifications"] = [
            {"ResourceType": kind, "Tags": tag_list(tags)}
            for kind, tags in parameters["TagSpecifications"]
        ]
    for dry in (True, False):
        answer = refused(launch, ec2=manager.client("ec2"), DryRun=dry, **parameters)
        assert (answer.code, answer.status) == DENIED
        assert resource in answer.message
        assert "because no identity-based policy allows the ec2:RunInstances" in answer.message
    permitted = refused(launch, ec2=base.client("ec2"), DryRun=True, **parameters)
    assert (permitted.code, permitted.status) == ("DryRunOperation", 412)


def test_another_region_is_refused(manager: Identity, base: Identity) -> None:
    for look in ("describe_instances", "describe_images", "describe_tags"):
        assert refused(getattr(manager.client("ec2", "eu-west-1"), look)).code == DENIED[0]
        getattr(base.client("ec2", "eu-west-1"), look)()
    manager.client("ec2", "eu-west-1").describe_regions()
    manager.client("ec2", "us-west-2").describe_instances()


@pytest.mark.parametrize("verb", ["start", "stop", "terminate"])
def test_the_life_of_a_foreign_instance_is_not_the_managers(
    verb: str, manager: Identity, foreign: str, worker: str
) -> None:
    operation = getattr(manager.client("ec2"), f"{verb}_instances")
    one = refused(operation, InstanceIds=[foreign])
    assert (one.code, one.status) == DENIED
    assert f"{CREATED}:instance/{foreign}" in one.message
    among = refused(operation, InstanceIds=[worker, foreign])
    assert foreign in among.message
    assert refused(operation, InstanceIds=[worker], DryRun=True).code == "DryRunOperation"


def test_a_foreign_instance_cannot_be_made_ones_own(manager: Identity, foreign: str) -> None:
    ec2 = manager.client("ec2")
    for tags in (GUARD, {"managedby": "x"}, {"Lab": "1"}):
        answer = refused(ec2.create_tags, Resources=[foreign], Tags=tag_list(tags))
        assert (answer.code, answer.status) == DENIED


def test_the_guard_tag_cannot_be_touched_by_any_way(manager: Identity, worker: str) -> None:
    ec2 = manager.client("ec2")
    for tags in (GUARD, {"ManagedBy": "me"}, {"managedBY": "x"}, {**GUARD, "Lab": "1"}):
        assert refused(ec2.create_tags, Resources=[worker], Tags=tag_list(tags)).code == DENIED[0]
    assert refused(ec2.delete_tags, Resources=[worker], Tags=[{"Key": "ManagedBy"}]).code
    assert refused(ec2.delete_tags, Resources=[worker]).code == DENIED[0]
    described = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [worker]}])["Tags"]
    assert {each["Key"]: each["Value"] for each in described} == GUARD


@pytest.mark.parametrize("kind", ["volume", "network-interface", "image", "subnet"])
def test_other_resources_are_not_tagged_later(
    kind: str, manager: Identity, root: Identity, worker: str
) -> None:
    instance = root.client("ec2").describe_instances(InstanceIds=[worker])["Reservations"][0][
        "Instances"
    ][0]
    ids = {
        "volume": instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"],
        "network-interface": instance["NetworkInterfaces"][0]["NetworkInterfaceId"],
        "image": IMAGE,
        "subnet": instance["SubnetId"],
    }
    answer = refused(
        manager.client("ec2").create_tags, Resources=[ids[kind]], Tags=tag_list({"a": "b"})
    )
    assert answer.code == DENIED[0]
    assert f"{kind}/{ids[kind]}" in answer.message


UNLISTED: list[tuple[str, str, dict[str, Any]]] = [
    ("ec2", "create_snapshot", {"VolumeId": "vol-0a1b2c3d4e5f60001"}),
    ("ec2", "modify_instance_attribute", {"InstanceId": "i-0a1b2c3d4e5f60001"}),
    ("ec2", "create_security_group", {"GroupName": "g", "Description": "d"}),
    ("ec2", "describe_instance_types", {}),
    ("ec2", "reboot_instances", {"InstanceIds": ["i-0a1b2c3d4e5f60001"]}),
    ("iam", "create_user", {"UserName": "x"}),
    ("iam", "list_users", {}),
    ("iam", "create_access_key", {}),
    ("sts", "decode_authorization_message", {"EncodedMessage": "x"}),
    ("cloudwatch", "put_metric_data", {"Namespace": "Mine", "MetricData": []}),
    ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}),
    ("ssm", "get_parameters", {"Names": ["x"]}),
    ("s3", "list_buckets", {}),
]


@pytest.mark.parametrize(("service", "operation", "parameters"), UNLISTED)
def test_what_is_not_listed_is_refused(
    service: str, operation: str, parameters: dict[str, Any], manager: Identity
) -> None:
    answer = refused(getattr(manager.client(service), operation), **parameters)
    words = {"ec2": ("UnauthorizedOperation", 403), "ssm": ("AccessDeniedException", 400)}
    assert (answer.code, answer.status) == words.get(service, ("AccessDenied", 403))


def test_a_user_without_policies_may_only_ask_who_it_is(user: Callable[..., Identity]) -> None:
    nobody = user()

    assert nobody.client("sts").get_caller_identity()["Arn"] == nobody.arn
    assert refused(nobody.client("ec2").describe_regions).code == "UnauthorizedOperation"
    answer = refused(nobody.client("iam").get_user)
    assert answer.message == (
        f"User: {nobody.arn} is not authorized to perform: iam:GetUser on resource: {nobody.arn} "
        "because no identity-based policy allows the iam:GetUser action"
    )


def test_nobody_can_be_kept_from_asking_who_it_is(user: Callable[..., Identity]) -> None:
    someone = user(document(deny("*")))

    assert someone.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_an_explicit_deny_is_named(user: Callable[..., Identity]) -> None:
    someone = user(EVERYTHING, document(deny("ec2:DescribeTags", "iam:ListUsers")))

    said = refused(someone.client("ec2").describe_tags).message
    assert "with an explicit deny in an identity-based policy" in said
    said = refused(someone.client("iam").list_users).message
    assert said.endswith("with an explicit deny in an identity-based policy")


def test_group_policies_and_managed_policies_count_while_they_are_attached(
    user: Callable[..., Identity], root: Identity
) -> None:
    someone, iam = user(), root.client("iam")
    ec2 = someone.client("ec2")
    iam.create_group(GroupName="readers")
    iam.put_group_policy(
        GroupName="readers", PolicyName="p", PolicyDocument=document(allow("ec2:DescribeTags"))
    )
    assert refused(ec2.describe_tags).code == DENIED[0]
    iam.add_user_to_group(GroupName="readers", UserName=someone.name)
    ec2.describe_tags()
    iam.remove_user_from_group(GroupName="readers", UserName=someone.name)
    assert refused(ec2.describe_tags).code == DENIED[0]
    policy = iam.create_policy(
        PolicyName="reads", PolicyDocument=document(allow("ec2:DescribeTags"))
    )["Policy"]["Arn"]
    iam.attach_user_policy(UserName=someone.name, PolicyArn=policy)
    ec2.describe_tags()
    iam.create_policy_version(
        PolicyArn=policy, PolicyDocument=document(deny("ec2:*")), SetAsDefault=True
    )
    assert "explicit deny" in refused(ec2.describe_tags).message
    iam.set_default_policy_version(PolicyArn=policy, VersionId="v1")
    ec2.describe_tags()
    iam.detach_user_policy(UserName=someone.name, PolicyArn=policy)
    assert refused(ec2.describe_tags).code == DENIED[0]
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam.attach_user_policy(UserName=someone.name, PolicyArn=administrator)
    ec2.describe_tags()


def test_a_permissions_boundary_limits_and_is_shown(
    user: Callable[..., Identity], root: Identity
) -> None:
    someone, iam = user(EVERYTHING), root.client("iam")
    text = document(allow("ec2:Describe*"), deny("ec2:DescribeTags"))
    boundary = iam.create_policy(PolicyName="limit", PolicyDocument=text)["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName=someone.name, PermissionsBoundary=boundary)
    ec2 = someone.client("ec2")

    ec2.describe_regions()
    said = refused(someone.client("iam").list_users).message
    assert "because no permissions boundary allows the iam:ListUsers action" in said
    assert "with an explicit deny in a permissions boundary" in refused(ec2.describe_tags).message
    held = iam.get_user(UserName=someone.name)["User"]["PermissionsBoundary"]
    assert held["PermissionsBoundaryArn"] == boundary
    assert all("PermissionsBoundary" not in each for each in iam.list_users()["Users"])
    iam.delete_user_permissions_boundary(UserName=someone.name)
    ec2.describe_tags()
    assert "PermissionsBoundary" not in iam.get_user(UserName=someone.name)["User"]
    missing = f"arn:aws:iam::{ACCOUNT}:policy/none"
    assert (
        refused(
            iam.put_user_permissions_boundary, UserName=someone.name, PermissionsBoundary=missing
        ).code
        == "NoSuchEntity"
    )
    made = iam.create_user(UserName="limited", PermissionsBoundary=boundary)["User"]
    assert made["PermissionsBoundary"]["PermissionsBoundaryArn"] == boundary
    assert refused(iam.create_user, UserName="x", PermissionsBoundary=missing).code == (
        "NoSuchEntity"
    )
    assert refused(iam.delete_policy, PolicyArn=boundary).code == "DeleteConflict"


def test_an_operator_can_make_users_only_within_the_boundary(
    user: Callable[..., Identity], root: Identity
) -> None:
    iam = root.client("iam")
    limit = iam.create_policy(PolicyName="bound", PolicyDocument=BASE)["Policy"]["Arn"]
    worker_policy = iam.create_policy(PolicyName="CML", PolicyDocument=BASE)["Policy"]["Arn"]
    within = {"iam:PermissionsBoundary": limit}
    operator = user(
        document(
            allow("iam:CreateUser", on="arn:aws:iam::*:user/cml-*", StringEquals=within),
            allow(
                "iam:AttachUserPolicy",
                on="arn:aws:iam::*:user/cml-*",
                StringEquals=within,
                ArnEquals={"iam:PolicyARN": worker_policy},
            ),
        )
    ).client("iam")

    assert refused(operator.create_user, UserName="cml-a").code == "AccessDenied"
    assert (
        refused(operator.create_user, UserName="other", PermissionsBoundary=limit).code
        == "AccessDenied"
    )
    operator.create_user(UserName="cml-a", PermissionsBoundary=limit)
    operator.attach_user_policy(UserName="cml-a", PolicyArn=worker_policy)
    assert (
        refused(
            operator.attach_user_policy,
            UserName="cml-a",
            PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess",
        ).code
        == "AccessDenied"
    )
    assert refused(
        operator.create_user,
        UserName="cml-b",
        PermissionsBoundary=limit,
        Tags=tag_list({"a": "b"}),
    ).message.count("iam:TagUser")


def test_the_encoded_message_tells_who_may_decode_it(
    user: Callable[..., Identity], manager: Identity, foreign: str
) -> None:
    answer = refused(manager.client("ec2").stop_instances, InstanceIds=[foreign])
    encoded = answer.message.rpartition("Encoded authorization failure message: ")[2]
    decoder = user(document(allow("sts:DecodeAuthorizationMessage"))).client("sts")
    text = decoder.decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"]
    told = json.loads(text)

    assert foreign not in encoded
    assert told["allowed"] is False
    assert told["explicitDeny"] is False
    assert told["context"]["action"] == "ec2:StopInstances"
    assert told["context"]["resource"] == f"{CREATED}:instance/{foreign}"
    assert told["context"]["principal"]["arn"] == manager.arn
    keys = {item["key"] for item in told["context"]["conditions"]["items"]}
    assert {"aws:ResourceTag/Name", "aws:RequestedRegion", "ec2:InstanceType"} <= keys
    wrong = refused(decoder.decode_authorization_message, EncodedMessage="AAAA")
    assert wrong.code == "InvalidAuthorizationMessageException"


def test_an_instance_profile_needs_pass_role(user: Callable[..., Identity], root: Identity) -> None:
    iam = root.client("iam")
    trust = document(
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )
    arn = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName="worker")
    iam.add_role_to_instance_profile(InstanceProfileName="worker", RoleName="worker")
    passing = allow(
        "iam:PassRole", on=arn, StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}
    )
    profile = {"IamInstanceProfile": {"Name": "worker"}}

    answer = refused(launch, ec2=user(BASE).client("ec2"), **profile)
    assert f"iam:PassRole on resource: {arn}" in answer.message
    launch(user(BASE, document(passing)).client("ec2"), **profile)
    giving = document(allow("ec2:*"))
    asked = {"InstanceId": launch(root.client("ec2")), **profile}
    answer = refused(user(giving).client("ec2").associate_iam_instance_profile, **asked)
    assert f"iam:PassRole on resource: {arn}" in answer.message
    user(giving, document(passing)).client("ec2").associate_iam_instance_profile(**asked)


def test_a_launch_template_is_judged_by_its_contents(
    user: Callable[..., Identity], root: Identity, manager: Identity
) -> None:
    made = root.client("ec2").create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={
            "ImageId": UBUNTU_IMAGE,
            "InstanceType": "c5.large",
            "UserData": "aGVsbG8=",
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tag_list({"of": "t"})}],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    named = {"LaunchTemplate": {"LaunchTemplateId": made}, "MinCount": 1, "MaxCount": 1}
    everything_but = document(
        allow("ec2:*"), deny("ec2:RunInstances", on=f"arn:aws:ec2:*::image/{UBUNTU_IMAGE}")
    )

    assert refused(manager.client("ec2").run_instances, **named).code == DENIED[0]
    answer = refused(user(everything_but).client("ec2").run_instances, **named)
    assert f"image/{UBUNTU_IMAGE}" in answer.message
    launched = user(BASE).client("ec2").run_instances(**named)["Instances"][0]
    assert (launched["ImageId"], launched["InstanceType"]) == (UBUNTU_IMAGE, "c5.large")
    own = [tag for tag in launched["Tags"] if not tag["Key"].startswith("aws:")]
    assert own == tag_list({"of": "t"})
    data = root.client("ec2").describe_instance_attribute(
        InstanceId=launched["InstanceId"], Attribute="userData"
    )
    assert data["UserData"]["Value"] == "aGVsbG8="


def test_what_is_not_understood_needs_the_action_on_every_resource(
    user: Callable[..., Identity],
) -> None:
    name = f"arn:aws:ssm:us-east-1:{ACCOUNT}:document/x"
    narrow = user(document(allow("ssm:ListDocuments", on=name)))
    wide = user(document(allow("ssm:ListDocuments")))

    assert refused(narrow.client("ssm").list_documents).code == "AccessDeniedException"
    assert "DocumentIdentifiers" in wide.client("ssm").list_documents()


def template_of(root: Identity, **data: Any) -> dict[str, str]:
    """Make a launch template; return how it is named."""
    kept = {"ImageId": IMAGE, "InstanceType": "c5.large", **data}
    made = root.client("ec2").create_launch_template(
        LaunchTemplateName=f"t-{len(data)}-{uuid.uuid4().hex[:6]}", LaunchTemplateData=kept
    )
    return {"LaunchTemplateId": made["LaunchTemplate"]["LaunchTemplateId"], "Version": "$Latest"}


def fleet(root: Identity, **data: Any) -> tuple[str, dict[str, Any]]:
    capacity = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"}
    configs = [{"LaunchTemplateSpecification": template_of(root, **data)}]
    return "create_fleet", {
        "Type": "instant",
        "TargetCapacitySpecification": capacity,
        "LaunchTemplateConfigs": configs,
    }


def spot(_: Identity, **data: Any) -> tuple[str, dict[str, Any]]:
    return "request_spot_instances", {
        "InstanceCount": 1,
        "LaunchSpecification": {"ImageId": IMAGE, "InstanceType": "c5.large", **data},
    }


def spot_fleet(root: Identity, **data: Any) -> tuple[str, dict[str, Any]]:
    configs = [{"LaunchTemplateSpecification": template_of(root, **data)}]
    return "request_spot_fleet", {
        "SpotFleetRequestConfig": {
            "IamFleetRole": f"arn:aws:iam::{ACCOUNT}:role/fleet",
            "AllocationStrategy": "lowestPrice",
            "TargetCapacity": 1,
            "LaunchTemplateConfigs": configs,
        }
    }


@pytest.mark.parametrize("form", [fleet, spot, spot_fleet])
def test_whoever_launches_by_another_name_needs_to_launch(
    form: Callable[..., tuple[str, dict[str, Any]]],
    user: Callable[..., Identity],
    root: Identity,
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-fleet-prerequisites.html"""
    iam = root.client("iam")
    name = f"by-{form.__name__}"
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"},
    }
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.create_instance_profile(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    before = len(root.client("ec2").describe_instances()["Reservations"])
    operation, parameters = form(root, IamInstanceProfile={"Name": name})
    asking = allow("ec2:CreateFleet", "ec2:RequestSpotInstances", "ec2:RequestSpotFleet")
    passing = allow("iam:PassRole", on=f"arn:aws:iam::{ACCOUNT}:role/fleet")
    refusals = []
    for more in ([], [allow("ec2:RunInstances")]):
        someone = user(document(asking, passing, *more))
        refusals.append(refused(getattr(someone.client("ec2"), operation), **parameters))

    assert [refusal.code for refusal in refusals] == ["UnauthorizedOperation"] * 2
    assert "ec2:RunInstances" in refusals[0].message
    assert f"iam:PassRole on resource: {role}" in refusals[1].message
    assert len(root.client("ec2").describe_instances()["Reservations"]) == before
    able = user(document(asking, allow("ec2:RunInstances"), allow("iam:PassRole")))
    getattr(able.client("ec2"), operation)(**parameters)


def test_whoever_enlarges_a_spot_fleet_needs_to_launch(
    user: Callable[..., Identity], root: Identity
) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySpotFleetRequest.html"""
    made = root.client("ec2").request_spot_fleet(**spot_fleet(root)[1])["SpotFleetRequestId"]
    larger = {"SpotFleetRequestId": made, "TargetCapacity": 3}
    modifying = allow("ec2:ModifySpotFleetRequest")

    said = refused(user(document(modifying)).client("ec2").modify_spot_fleet_request, **larger)
    assert (said.code, "ec2:RunInstances" in said.message) == ("UnauthorizedOperation", True)
    able = user(document(modifying, allow("ec2:RunInstances")))
    able.client("ec2").modify_spot_fleet_request(**larger)
