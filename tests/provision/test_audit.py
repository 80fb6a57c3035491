"""The trail that really logs, and the alarms, on moto behind the real connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.check.bootstrap import trail_problems
from cml_iam.provision import Hours, Watch
from cml_iam.provision._watch import watched
from cml_iam.render import audit_values, render_document
from cml_iam.site import Site, Tag
from tests.conftest import SHARED
from tests.credentials.crashes import Bomb, Killed
from tests.provision.worlds import World, moto_world

ACCOUNT = "123456789012"
WATCH = Watch(2026, Hours("Europe/Berlin"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    from moto import mock_aws

    with mock_aws():
        made = moto_world(tmp_path)
        restrict = replace(made.site.restrict, guard_tag=Tag("ManagedBy", "cml"))
        made.site = replace(made.site, restrict=restrict)
        yield made


def wanted(**options: Any) -> dict[str, Any]:
    return {"pieces": ["audit"], "watch": WATCH, "delivery": None, **options}


def test_the_trail_logs_into_a_closed_bucket(world: World) -> None:
    assert trail_problems(world.aws, world.site) == ("there is no trail",)

    world.apply(**wanted())

    assert trail_problems(world.aws, world.site) == ()
    bucket = f"cml-audit-{ACCOUNT}"
    block = world.aws.call("s3", "get_public_access_block", Bucket=bucket)
    assert set(block["PublicAccessBlockConfiguration"].values()) == {True}
    assert world.aws.call("s3", "get_bucket_versioning", Bucket=bucket)["Status"] == "Enabled"
    policy = json.loads(world.aws.call("s3", "get_bucket_policy", Bucket=bucket)["Policy"])
    assert policy == json.loads(render_document(world.site, "cloudtrail-bucket").text)
    name = audit_values(world.site)["trail_arn"]
    trail = world.aws.call("cloudtrail", "get_trail", Name=name)["Trail"]
    assert trail["IsMultiRegionTrail"]
    assert trail["LogFileValidationEnabled"]


def test_a_second_apply_makes_no_writing_call(world: World) -> None:
    world.apply(**wanted())

    assert world.again(**wanted()) == []
    assert world.again(**wanted(watch=replace(WATCH, year=2027))) == []
    assert world.again(**wanted(watch=replace(WATCH, year=2029))) == ["put_metric_alarm"]


def test_the_bucket_is_closed_before_the_trail_and_the_trail_logs_last(world: World) -> None:
    world.aws.writes.clear()
    world.apply(**wanted())

    order = [
        "create_bucket",
        "put_public_access_block",
        "put_bucket_versioning",
        "put_bucket_policy",
        "create_trail",
        "start_logging",
    ]
    assert [write for write in world.aws.writes if write in order] == order


def test_a_bucket_that_is_left_for_another_is_named_with_what_becomes_of_it(world: World) -> None:
    world.apply(**wanted())
    site = replace(world.site, audit_names=MappingProxyType({"bucket": "another-bucket"}))

    (said,) = world.plan(**wanted(site=site)).warnings

    assert f"the bucket `cml-audit-{ACCOUNT}` keeps the events recorded so far" in said
    assert "manages only `another-bucket`" in said
    world.apply(**wanted(site=site))
    assert world.plan(**wanted(site=site)).warnings == ()
    assert world.aws.call("s3", "get_bucket_policy", Bucket=f"cml-audit-{ACCOUNT}")["Policy"]


def test_in_another_region_everything_is_there(world: World) -> None:
    site = replace(world.site, audit_names=MappingProxyType({"region": "eu-central-1"}))

    world.apply(**wanted(site=site))

    assert trail_problems(world.aws, site) == ()
    bucket = world.aws.call("s3", "get_bucket_location", Bucket=site.audit.bucket)
    assert bucket["LocationConstraint"] == "eu-central-1"
    assert world.again(**wanted(site=site)) == []


def _stop(world: World) -> None:
    arn = audit_values(world.site)["trail_arn"]
    world.aws.call("cloudtrail", "stop_logging", Name=arn)


def _open_bucket(world: World) -> None:
    world.aws.call("s3", "delete_public_access_block", Bucket=world.site.audit.bucket)


def _one_region(world: World) -> None:
    name = world.site.audit.trail
    world.aws.call("cloudtrail", "update_trail", Name=name, IsMultiRegionTrail=False)


def _no_writes(world: World) -> None:
    selector = {"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}
    world.aws.call(
        "cloudtrail",
        "put_event_selectors",
        TrailName=world.site.audit.trail,
        EventSelectors=[selector],
    )


def _role(world: World) -> None:
    name = "cml-cloudtrail-to-logs"
    world.aws.call("iam", "delete_role_policy", RoleName=name, PolicyName="deliver-to-logs")


def _filter(world: World) -> None:
    group = world.site.audit.log_group
    world.aws.call(
        "logs", "delete_metric_filter", logGroupName=group, filterName="CmlGuardTagEdits"
    )


def _alarm(world: World) -> None:
    world.aws.call("cloudwatch", "delete_alarms", AlarmNames=["cml-refused-calls"])


@pytest.mark.parametrize(
    ("spoil", "repaired"),
    [
        (_stop, ["start_logging"]),
        (_open_bucket, ["put_public_access_block"]),
        (_one_region, ["update_trail"]),
        (_no_writes, ["put_event_selectors"]),
        (_role, ["put_role_policy"]),
        (_filter, ["put_metric_filter"]),
        (_alarm, ["put_metric_alarm"]),
    ],
)
def test_what_was_spoilt_is_repaired_and_nothing_else(
    world: World, spoil: Any, repaired: list[str]
) -> None:
    world.apply(**wanted())
    spoil(world)

    assert world.again(**wanted()) == repaired


def test_a_bucket_that_serves_something_else_is_refused(world: World) -> None:
    bucket = world.site.audit.bucket
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Mine", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
        ],
    }
    world.aws.call("s3", "create_bucket", Bucket=bucket)
    world.aws.call("s3", "put_bucket_policy", Bucket=bucket, Policy=json.dumps(policy))

    with pytest.raises(errors.RefusedError, match="Mine"):
        world.plan(**wanted())


def _topic_lines(world: World) -> tuple[str, ...]:
    return next(e for e in world.plan(**wanted()).steps if e.resource == "topic").lines


def test_that_nobody_is_told_is_said_until_somebody_subscribes(world: World) -> None:
    assert "the alarms notify nobody" in _topic_lines(world)[0]
    told = wanted(watch=replace(WATCH, email="operator@example.com"))

    world.apply(**told)

    assert world.again(**told) == []
    assert _topic_lines(world) == ()


def test_another_action_of_an_alarm_stays(world: World) -> None:
    world.apply(**wanted())
    alarm = world.aws.call("cloudwatch", "describe_alarms", AlarmNames=["cml-run-instances"])
    live = alarm["MetricAlarms"][0]
    names = ("AlarmName", "MetricName", "Namespace", "Statistic", "Period", "EvaluationPeriods")
    more = f"arn:aws:sns:us-east-1:{ACCOUNT}:pager"
    world.aws.call(
        "cloudwatch",
        "put_metric_alarm",
        **{name: live[name] for name in names},
        Threshold=9.0,
        ComparisonOperator=live["ComparisonOperator"],
        AlarmActions=[more],
    )

    assert world.again(**wanted()) == ["put_metric_alarm"]
    alarm = world.aws.call("cloudwatch", "describe_alarms", AlarmNames=["cml-run-instances"])
    assert alarm["MetricAlarms"][0]["AlarmActions"][0] == more
    assert alarm["MetricAlarms"][0]["Threshold"] == 5
    assert world.again(**wanted()) == []


MONITORING = SHARED / "reference" / "monitoring.json"


@pytest.mark.skipif(not MONITORING.exists(), reason="the patterns are not beside the project")
def test_the_patterns_are_those_that_were_worked_out() -> None:
    given = json.loads(MONITORING.read_text("utf-8"))["metric_filters"]
    made = {each.filter: each for each in watched(Site(account=ACCOUNT))}

    for each in given:
        assert _plain(made[each["name"]].pattern) == _plain(each["pattern"]), each["name"]
        assert made[each["name"]].value == each["metricValue"]


def _plain(pattern: str) -> str:
    return pattern.replace(" ", "").replace("(", "").replace(")", "")


def test_a_role_is_known_by_its_session() -> None:
    site = Site(account=ACCOUNT, user=None, role="cml-manager")

    patterns = [each.pattern for each in watched(site)]

    assert "sessionContext.sessionIssuer.userName" in patterns[0]
    assert not [each for each in watched(site) if each.alarm == "cml-console-login"]
    assert max(len(pattern) for pattern in patterns) <= 1024


class Recorder:
    """The port, with a list of every call and its parameters, and a bomb."""

    def __init__(self, aws: Any) -> None:
        self.aws, self.region = aws, aws.region
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.tick: Any = lambda: None

    def call(self, service: str, operation: str, **rest: Any) -> Any:
        self.calls.append((service, operation, rest))
        self.tick()
        answer = self.aws.call(service, operation, **rest)
        self.tick()
        return answer

    def pages(self, service: str, operation: str, key: str, **rest: Any) -> Any:
        self.calls.append((service, operation, rest))
        return self.aws.pages(service, operation, key, **rest)

    def identity(self) -> Any:
        return self.aws.identity()


def test_killed_at_any_call_the_next_apply_finishes(tmp_path: Path) -> None:
    from moto import mock_aws

    moment = 0
    done = False
    while not done:
        moment += 7
        with mock_aws():
            world = moto_world(tmp_path)
            recorder: Any = Recorder(world.aws.aws)
            world.aws.aws = recorder
            recorder.tick = Bomb(moment).tick
            try:
                world.apply(**wanted())
                done = True
            except Killed:
                recorder.tick = lambda: None
                world.apply(**wanted())
            recorder.tick = lambda: None
            assert world.again(**wanted()) == [], moment
            assert trail_problems(world.aws, world.site) == ()
    assert moment > 60
