"""Instances on their way, and what is not yet known, by a clock that stands still.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-lifecycle.html
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from cml_iam.sandbox import AS_AWS, Conditions, Sandbox, Seconds, Shortage, start_sandbox
from tests.sandbox.conftest import Identity, StoppedClock, launch, refused, root_of
from tests.sandbox.documents import BASE, EVERYTHING, RESTRICTED, allow, document

SLOW = Conditions(
    seconds=Seconds(
        pending=10,
        status_checks=60,
        stopping=20,
        shutting_down=30,
        new_instance=2,
        new_access_key=5,
        policy_change=7,
    )
)


@pytest.fixture
def time() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def slow(time: StoppedClock) -> Iterator[Sandbox]:
    with start_sandbox(conditions=SLOW, clock=time) as running:
        yield running


@pytest.fixture
def root(slow: Sandbox) -> Identity:
    return root_of(slow)


@pytest.fixture
def ec2(root: Identity) -> Any:
    return root.client("ec2")


def instance(ec2: Any, instance_id: str) -> dict[str, Any]:
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return dict(found[0]["Instances"][0])


def state(ec2: Any, instance_id: str) -> str:
    return str(instance(ec2, instance_id)["State"]["Name"])


def checks(ec2: Any, instance_id: str) -> set[str]:
    answer = ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)
    (found,) = answer["InstanceStatuses"]
    return {found["InstanceStatus"]["Status"], found["SystemStatus"]["Status"]}


@pytest.fixture
def running(ec2: Any, time: StoppedClock) -> str:
    made = launch(ec2)
    time.go_on(100)
    assert state(ec2, made) == "running"
    return made


def test_a_new_instance_is_not_found_for_a_moment(ec2: Any, time: StoppedClock) -> None:
    made = launch(ec2, ClientToken="mine")
    mine = [{"Name": "client-token", "Values": ["mine"]}]

    assert refused(ec2.describe_instances, InstanceIds=[made]).code == "InvalidInstanceID.NotFound"
    assert refused(ec2.stop_instances, InstanceIds=[made]).code == "InvalidInstanceID.NotFound"
    assert ec2.describe_instances()["Reservations"] == []
    assert ec2.describe_instances(Filters=mine)["Reservations"] == []
    assert ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"] == []
    time.go_on(2)
    assert state(ec2, made) == "pending"
    assert len(ec2.describe_instances(Filters=mine)["Reservations"]) == 1


def test_it_runs_after_a_while_and_its_checks_pass_later(ec2: Any, time: StoppedClock) -> None:
    made = launch(ec2)
    time.go_on(9)
    seen = instance(ec2, made)
    assert (seen["State"]["Name"], seen.get("PublicIpAddress")) == ("pending", None)
    assert checks(ec2, made) == {"not-applicable"}
    assert ec2.describe_instance_status()["InstanceStatuses"] == []

    time.go_on(1)
    seen = instance(ec2, made)
    assert seen["State"]["Name"] == "running"
    assert seen["PublicIpAddress"]
    assert checks(ec2, made) == {"initializing"}
    time.go_on(59)
    assert checks(ec2, made) == {"initializing"}
    time.go_on(1)
    assert checks(ec2, made) == {"ok"}


def test_a_stop_and_a_start_take_their_time(ec2: Any, running: str, time: StoppedClock) -> None:
    (change,) = ec2.stop_instances(InstanceIds=[running])["StoppingInstances"]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == (
        "running",
        "stopping",
    )
    time.go_on(19)
    assert state(ec2, running) == "stopping"
    assert refused(ec2.start_instances, InstanceIds=[running]).code == "IncorrectInstanceState"
    time.go_on(1)
    seen = instance(ec2, running)
    assert (seen["State"]["Name"], seen.get("PublicIpAddress")) == ("stopped", None)

    before = seen["LaunchTime"]
    (change,) = ec2.start_instances(InstanceIds=[running])["StartingInstances"]
    assert change["CurrentState"]["Name"] == state(ec2, running) == "pending"
    assert refused(ec2.stop_instances, InstanceIds=[running]).code == "IncorrectInstanceState"
    time.go_on(10)
    seen = instance(ec2, running)
    assert seen["State"]["Name"] == "running"
    assert (seen["LaunchTime"] - before).total_seconds() == pytest.approx(20 + 100, abs=1)
    assert checks(ec2, running) == {"initializing"}


def test_asking_again_on_the_way_does_not_prolong_it(
    ec2: Any, running: str, time: StoppedClock
) -> None:
    ec2.stop_instances(InstanceIds=[running])
    time.go_on(15)
    (change,) = ec2.stop_instances(InstanceIds=[running])["StoppingInstances"]
    assert change["PreviousState"] == change["CurrentState"] == {"Code": 64, "Name": "stopping"}
    time.go_on(5)
    assert state(ec2, running) == "stopped"


def test_a_running_one_that_is_started_and_a_stopped_one_that_is_stopped_stay_so(
    ec2: Any, running: str, time: StoppedClock
) -> None:
    (change,) = ec2.start_instances(InstanceIds=[running])["StartingInstances"]
    assert change["PreviousState"] == change["CurrentState"] == {"Code": 16, "Name": "running"}
    ec2.stop_instances(InstanceIds=[running])
    time.go_on(20)
    (change,) = ec2.stop_instances(InstanceIds=[running])["StoppingInstances"]
    assert change["PreviousState"] == change["CurrentState"] == {"Code": 80, "Name": "stopped"}


def test_a_terminated_one_is_shown_for_an_hour(
    ec2: Any, running: str, time: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is signed goes by the sandbox's clock too: a request may be 15 minutes old at most.
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: time().replace(tzinfo=None))
    ec2.terminate_instances(InstanceIds=[running])
    time.go_on(29)
    assert state(ec2, running) == "shutting-down"
    ec2.terminate_instances(InstanceIds=[running])
    time.go_on(1)
    seen = instance(ec2, running)
    assert (seen["State"]["Name"], seen.get("PublicIpAddress")) == ("terminated", None)
    time.go_on(3570)
    assert state(ec2, running) == "terminated"
    time.go_on(1)
    answer = refused(ec2.describe_instances, InstanceIds=[running])
    assert answer.code == "InvalidInstanceID.NotFound"


def test_a_new_access_key_is_not_known_for_a_moment(
    slow: Sandbox, root: Identity, time: StoppedClock
) -> None:
    iam = root.client("iam")
    iam.create_user(UserName="new")
    key = iam.create_access_key(UserName="new")["AccessKey"]
    user = Identity(slow, key["AccessKeyId"], key["SecretAccessKey"])

    assert refused(user.client("ec2").describe_regions).code == "AuthFailure"
    assert refused(user.client("sts").get_caller_identity).code == "InvalidClientTokenId"
    time.go_on(5)
    assert user.client("sts").get_caller_identity()["Arn"].endswith(":user/new")


@pytest.fixture
def user(slow: Sandbox, root: Identity, time: StoppedClock) -> Identity:
    iam = root.client("iam")
    iam.create_user(UserName="user")
    key = iam.create_access_key(UserName="user")["AccessKey"]
    time.go_on(5)
    return Identity(slow, key["AccessKeyId"], key["SecretAccessKey"], name="user")


def may_describe(user: Identity) -> bool:
    from botocore.exceptions import ClientError

    try:
        user.client("ec2").describe_regions()
    except ClientError as error:
        if error.response["Error"]["Code"] != "UnauthorizedOperation":
            raise
        return False
    return True


Change = Callable[[Any, str], None]


def _attach(iam: Any, arn: str) -> None:
    iam.attach_user_policy(UserName="user", PolicyArn=arn)


def _inline(iam: Any, _: str) -> None:
    iam.put_user_policy(UserName="user", PolicyName="inline", PolicyDocument=BASE)


def _group(iam: Any, arn: str) -> None:
    iam.create_group(GroupName="managers")
    iam.attach_group_policy(GroupName="managers", PolicyArn=arn)
    iam.add_user_to_group(GroupName="managers", UserName="user")


@pytest.mark.parametrize("grant", [_attach, _inline, _group])
def test_a_new_permission_is_in_force_later(
    grant: Change, user: Identity, root: Identity, time: StoppedClock
) -> None:
    iam = root.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=BASE)["Policy"]["Arn"]
    grant(iam, arn)

    assert not may_describe(user)
    time.go_on(6)
    assert not may_describe(user)
    time.go_on(1)
    assert may_describe(user)


def test_a_permission_taken_away_and_a_new_boundary_are_in_force_later_too(
    user: Identity, root: Identity, time: StoppedClock
) -> None:
    iam = root.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=EVERYTHING)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="user", PolicyArn=arn)
    time.go_on(7)
    limit = iam.create_policy(PolicyName="limit", PolicyDocument=RESTRICTED)["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="user", PermissionsBoundary=limit)
    assert user.client("iam").list_users()
    time.go_on(7)
    assert refused(user.client("iam").list_users).code == "AccessDenied"
    iam.detach_user_policy(UserName="user", PolicyArn=arn)
    assert may_describe(user)
    time.go_on(7)
    assert not may_describe(user)


def test_a_new_version_of_a_policy_is_in_force_later(
    user: Identity, root: Identity, time: StoppedClock
) -> None:
    iam = root.client("iam")
    arn = iam.create_policy(PolicyName="p", PolicyDocument=BASE)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="user", PolicyArn=arn)
    time.go_on(7)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=EVERYTHING, SetAsDefault=True)
    assert refused(user.client("iam").list_users).code == "AccessDenied"
    time.go_on(7)
    assert user.client("iam").list_users()["Users"]


def test_without_conditions_everything_is_there_at_once() -> None:
    with start_sandbox(clock=StoppedClock()) as sandbox:
        ec2 = root_of(sandbox).client("ec2")
        made = launch(ec2)
        seen = instance(ec2, made)
        assert (seen["State"]["Name"], bool(seen["PublicIpAddress"])) == ("running", True)
        assert checks(ec2, made) == {"ok"}


def test_as_aws_is_slow_in_everything_it_can_be() -> None:
    from dataclasses import astuple

    assert AS_AWS.throttle
    assert AS_AWS.metrics_since_launch
    assert all(each > 0 for each in astuple(AS_AWS.seconds))


def test_where_there_is_no_capacity_another_zone_or_type_has_it() -> None:
    short = Conditions(no_capacity=(Shortage("m5zn.*", "us-east-1a"),))
    with start_sandbox(conditions=short) as sandbox:
        ec2 = root_of(sandbox).client("ec2")
        subnets = {
            subnet["AvailabilityZone"]: subnet["SubnetId"]
            for subnet in ec2.describe_subnets()["Subnets"]
        }
        metal = {"ec2": ec2, "InstanceType": "m5zn.metal"}
        answer = refused(launch, **metal, SubnetId=subnets["us-east-1a"])
        assert (answer.code, answer.status) == ("InsufficientInstanceCapacity", 500)
        assert launch(**metal, SubnetId=subnets["us-east-1b"])
        assert launch(ec2, SubnetId=subnets["us-east-1a"])


@pytest.mark.parametrize("since_launch", [True, False])
def test_metrics_reach_back_to_the_launch_only_if_told(
    since_launch: bool, time: StoppedClock
) -> None:
    conditions = Conditions(metrics_since_launch=since_launch)
    with start_sandbox(conditions=conditions, clock=time) as sandbox:
        root = root_of(sandbox)
        made = launch(root.client("ec2"), Monitoring={"Enabled": True})
        time.go_on(240)
        points = root.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/EC2",
            MetricName="CPUUtilization",
            Dimensions=[{"Name": "InstanceId", "Value": made}],
            StartTime=time() - timedelta(hours=1),
            EndTime=time(),
            Period=60,
            Statistics=["Average"],
        )["Datapoints"]
        assert len(points) in ((3, 4) if since_launch else (60, 61))


@pytest.mark.parametrize("needed", [False, True])
def test_an_instance_without_a_profile_has_no_agent_where_one_needs_a_role(
    needed: bool, time: StoppedClock
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/create-iam-roles-for-cloudwatch-agent.html"""
    assert AS_AWS.agent_needs_profile
    with start_sandbox(conditions=Conditions(agent_needs_profile=needed), clock=time) as sandbox:
        root = root_of(sandbox)
        iam = root.client("iam")
        trust = allow("sts:AssumeRole") | {"Principal": {"Service": "ec2.amazonaws.com"}}
        del trust["Resource"]
        iam.create_role(RoleName="agent", AssumeRolePolicyDocument=document(trust))
        iam.create_instance_profile(InstanceProfileName="agent")
        iam.add_role_to_instance_profile(InstanceProfileName="agent", RoleName="agent")
        ec2 = root.client("ec2")
        bare = launch(ec2)
        able = launch(ec2, IamInstanceProfile={"Name": "agent"})
        listed = root.client("cloudwatch").list_metrics(Namespace="CWAgent")["Metrics"]
        found = {
            dimension["Value"]
            for metric in listed
            for dimension in metric["Dimensions"]
            if dimension["Name"] == "InstanceId"
        }

    assert found == ({able} if needed else {able, bare})
