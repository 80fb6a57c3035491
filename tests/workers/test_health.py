"""Health is what was asked and answered, nothing else."""

import logging
from dataclasses import replace

import pytest

from cml_iam import errors
from cml_iam.catalogue import load_catalogue
from cml_iam.restrict import GRANTS
from cml_iam.workers import Disk, Health, Launch, Verdict, WorkerManager, health_lines, log_health
from tests.workers.fake import FakeAws, instance

LAUNCH = Launch("probe", "ami-0a1b2c3d4e5f60001", "m5zn.metal")
DRY = "DryRun"


def verdicts(health: Health) -> dict[str, str]:
    return {check.action: str(check.verdict) for check in health.checks}


def test_every_permission_is_really_tried_and_nothing_is_changed() -> None:
    aws = FakeAws(instances=[instance()])

    health = WorkerManager(aws).health()

    assert health.ok
    assert set(aws.actions) == set(load_catalogue().actions)
    really = {action for action, given in aws.calls if not given.get(DRY)}
    assert really == {
        "ec2:DescribeRegions",
        "ec2:DescribeInstances",
        "cloudwatch:GetMetricStatistics",
    }
    assert health.regions == ("us-east-1", "us-west-2")


@pytest.mark.parametrize("action", load_catalogue().actions)
def test_each_missing_permission_is_named(action: str) -> None:
    aws = FakeAws(instances=[instance()], denied={action})

    health = WorkerManager(aws).health(probe=LAUNCH)

    assert not health.ok
    refused = {each.action: each for each in health.having(Verdict.REFUSED)}
    assert set(refused) == {action}
    group = next(
        group
        for group in load_catalogue().groups
        for permission in group.permissions
        if permission.action == action
    )
    assert f"`{group.sid}`" in (refused[action].remedy or "")


WITH_ROLE = replace(LAUNCH, instance_profile="cml-worker")


@pytest.mark.parametrize("grant", GRANTS)
def test_what_the_site_grants_beyond_is_tried_and_changes_nothing(grant: str) -> None:
    aws = FakeAws(instances=[instance()])
    (granted,) = load_catalogue().granted([grant])

    health = WorkerManager(aws).health(probe=WITH_ROLE, grants=[grant])

    assert verdicts(health)[granted.action] == "allowed"
    assert health.ok
    (change,) = [call for call in aws.calls if call[0] == granted.action] or [(None, {DRY: True})]
    assert change[1].get(DRY) or granted.access == "Read"


@pytest.mark.parametrize("grant", GRANTS)
def test_a_granted_permission_that_is_missing_is_named_with_its_option(grant: str) -> None:
    (granted,) = load_catalogue().granted([grant])
    aws = FakeAws(instances=[instance()], denied={granted.action})
    if grant == "pass_role":
        refused = errors.DeniedError("no", code="UnauthorizedOperation", action=granted.action)
        aws.failing["run_instances"] = refused

    health = WorkerManager(aws).health(probe=WITH_ROLE, grants=[grant])

    assert verdicts(health)[granted.action] == "refused"
    check = next(each for each in health.checks if each.action == granted.action)
    assert f"[grant] {grant}" in (check.remedy or "")


def test_passing_a_role_is_unchecked_without_a_profile_and_where_the_launch_is_refused() -> None:
    bare = WorkerManager(FakeAws()).health(probe=LAUNCH, grants=["pass_role"])
    aws = FakeAws(denied={"ec2:RunInstances"})
    refused = WorkerManager(aws).health(probe=WITH_ROLE, grants=["pass_role"])

    assert verdicts(bare)["iam:PassRole"] == "could not check"
    assert verdicts(refused)["iam:PassRole"] == "could not check"
    assert verdicts(refused)["ec2:RunInstances"] == "refused"


@pytest.mark.parametrize(
    ("denied", "truth"),
    [(set(), True), ({"ec2:StopInstances"}, False), ({"ec2:DescribeRegions"}, False)],
    ids=["all-there", "one-missing", "no-connection"],
)
def test_health_is_true_only_where_everything_is_there(denied: set[str], truth: bool) -> None:
    aws = FakeAws(instances=[instance()], denied=denied)

    assert bool(WorkerManager(aws).health(probe=LAUNCH)) is truth


def test_without_a_worker_what_needs_one_could_not_be_checked() -> None:
    aws = FakeAws()

    health = WorkerManager(aws).health(probe=LAUNCH)

    needing = {
        permission.action for permission in load_catalogue().permissions if permission.on_worker
    }
    assert {each.action for each in health.having(Verdict.UNCHECKED)} == needing
    assert {"ec2:StartInstances", "ec2:DeleteTags"} < needing
    assert health.having(Verdict.REFUSED) == ()
    assert not health.ok
    for each in health.having(Verdict.UNCHECKED):
        assert each.detail == "no worker in this region to try it on"
        assert "create a worker in us-east-1" in (each.remedy or "")


def test_a_worker_that_could_not_be_looked_for_is_not_said_to_be_missing() -> None:
    aws = FakeAws(instances=[instance()], denied={"ec2:DescribeInstances"})

    health = WorkerManager(aws).health(probe=LAUNCH)

    stop = next(check for check in health.checks if check.action == "ec2:StopInstances")
    assert stop.verdict is Verdict.UNCHECKED
    assert "no worker carries" not in stop.detail
    assert "see ec2:DescribeInstances" in stop.detail


def test_without_a_worker_or_a_launch_launching_could_not_be_checked() -> None:
    assert verdicts(WorkerManager(FakeAws()).health())["ec2:RunInstances"] == "could not check"


@pytest.mark.parametrize(
    "failure",
    [
        errors.NotFoundError("gone", code="InvalidInstanceID.NotFound"),
        errors.ThrottledError("slow", code="RequestLimitExceeded"),
        errors.StateError("busy", code="IncorrectInstanceState"),
    ],
)
def test_an_answer_that_is_neither_yes_nor_no_is_no_yes(failure: errors.AwsError) -> None:
    aws = FakeAws(instances=[instance()], failing={"stop_instances": failure})

    health = WorkerManager(aws).health()

    assert verdicts(health)["ec2:StopInstances"] == "could not check"
    assert not health.ok


def test_bad_credentials_are_the_documented_warning() -> None:
    refused = errors.CredentialsError(
        "An error occurred (AuthFailure) when calling the DescribeRegions operation: AWS was not "
        "able to validate the provided access credentials",
        code="AuthFailure",
    )
    health = WorkerManager(FakeAws(failing={"describe_regions": refused})).health()

    assert not health.connected
    assert health.failure is refused
    assert {verdict for _, verdict in verdicts(health).items()} == {"could not check"}
    (level, first), second = health_lines(health)
    assert logging.getLevelName(level) == "WARNING"
    assert first.startswith(
        "⚠️ AWS EC2 health check failed: Error while verifying access to EC2: "
        "An error occurred (AuthFailure)"
    )
    assert second == (logging.WARNING, "⚠️ AWS operations may fail at runtime")


def test_refused_regions_are_refused_and_the_rest_was_not_asked() -> None:
    aws = FakeAws(denied={"ec2:DescribeRegions"})

    health = WorkerManager(aws).health()

    assert verdicts(health)["ec2:DescribeRegions"] == "refused"
    assert aws.actions == ["ec2:DescribeRegions"]


def test_a_good_connection_is_the_documented_line() -> None:
    health = WorkerManager(FakeAws(instances=[instance()])).health()

    assert health_lines(health) == ((logging.INFO, "✅ AWS EC2 connection successful"),)


def test_a_good_connection_with_a_permission_missing_warns() -> None:
    aws = FakeAws(instances=[instance()], denied={"ec2:StopInstances", "ec2:DeleteTags"})

    lines = [line for _, line in health_lines(WorkerManager(aws).health())]

    assert lines == [
        "✅ AWS EC2 connection successful",
        "⚠️ AWS permissions refused: ec2:StopInstances, ec2:DeleteTags",
        "⚠️ AWS operations may fail at runtime",
    ]


def test_the_lines_go_to_a_log(caplog: pytest.LogCaptureFixture) -> None:
    health = WorkerManager(FakeAws(instances=[instance()])).health()

    with caplog.at_level(logging.INFO):
        log_health(health, logging.getLogger("app"))

    assert caplog.record_tuples == [("app", logging.INFO, "✅ AWS EC2 connection successful")]


def test_launching_is_tried_as_the_worker_that_is_there_was_launched() -> None:
    aws = FakeAws(instances=[instance(ImageId="ami-77777777", InstanceType="c5.metal")])

    WorkerManager(aws).health()

    tried = next(given for action, given in aws.calls if action == "ec2:RunInstances")
    assert (tried["ImageId"], tried["InstanceType"], tried["SubnetId"]) == (
        "ami-77777777",
        "c5.metal",
        "subnet-1",
    )


def test_a_launch_that_cannot_be_is_unchecked_not_a_crash() -> None:
    health = WorkerManager(FakeAws()).health(probe=replace(LAUNCH, image_id="nonsense"))

    assert verdicts(health)["ec2:RunInstances"] == "could not check"


def test_what_the_probe_leaves_open_is_as_the_worker_has_it() -> None:
    aws = FakeAws(instances=[instance()])
    probe = Launch("probe", "", "c5.metal", disk=Disk())

    WorkerManager(aws).health(probe=probe)

    tried = next(given for action, given in aws.calls if action == "ec2:RunInstances")
    assert (tried["ImageId"], tried["InstanceType"]) == ("ami-0a1b2c3d4e5f60001", "c5.metal")
    (disk,) = tried["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"] is True
    assert "VolumeSize" not in disk["Ebs"]


def test_the_connection_alone_is_one_call() -> None:
    aws = FakeAws()

    health = WorkerManager(aws).health(permissions=False)

    assert (health.ok, aws.actions) == (True, ["ec2:DescribeRegions"])


def test_what_to_launch_is_found_out_only_where_ec2_answers_and_permissions_are_asked_for() -> None:
    asked: list[str] = []

    def find() -> Launch:
        asked.append("found")
        return LAUNCH

    refused = errors.CredentialsError("no", code="AuthFailure")
    WorkerManager(FakeAws(failing={"describe_regions": refused})).health(probe=find)
    WorkerManager(FakeAws()).health(probe=find, permissions=False)
    assert asked == []

    assert verdicts(WorkerManager(FakeAws()).health(probe=find))["ec2:RunInstances"] == "allowed"
    assert asked == ["found"]


def test_a_region_where_one_permission_was_not_tried_is_not_well() -> None:
    """With a worker in one of two regions, what is asked of a worker is untried in the other."""
    from cml_iam.cli.health import health_code as _code

    tried = WorkerManager(FakeAws(instances=[instance()])).health(probe=LAUNCH)
    untried = WorkerManager(FakeAws()).health(probe=LAUNCH)

    assert _code([tried]) == 0
    assert _code([tried, untried]) == 8
