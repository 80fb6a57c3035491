"""What a plan says before it is too late: who else holds a policy, taken names, quotas, workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import Aws, connect
from cml_iam.provision import (
    Plan,
    apply_plan,
    foresee,
    plan_adoption,
    plan_bootstrap,
    plan_data,
    plan_lines,
    plan_rollback,
)
from cml_iam.secret import Secret
from cml_iam.site import Restrictions, Site, Tag
from tests.conftest import Ran
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import BASE, OTHER, POLICY, USER, World, fake_world

# a policy that others hold


@pytest.fixture
def iam() -> FakeIam:
    return FakeIam()


@pytest.fixture
def shared(tmp_path: Path, iam: FakeIam) -> World:
    """A policy of the site's name that somebody made for others."""
    world = fake_world(tmp_path, iam)
    world.aws.aws.call("iam", "create_policy", PolicyName=POLICY, PolicyDocument=OTHER, Tags=[])
    arn = world.site.policy_arn
    iam.users["alice"] = Principal("alice", "/", {}, None, attached=[arn])
    iam.users["bounded"] = Principal("bounded", "/", {}, arn)
    iam.roles["app"] = Principal("app", "/", {}, None, trust="{}", attached=[arn])
    iam.groups["operators"] = [arn]
    return world


HOLDERS = ("user alice", "role app", "group operators", "user bounded (as its boundary)")


@pytest.mark.parametrize("text", [BASE, OTHER], ids=["another meaning", "the same meaning"])
def test_a_policy_that_is_not_ours_and_that_others_hold_is_never_rewritten(
    shared: World, iam: FakeIam, text: str
) -> None:
    before = iam.snapshot()

    plan = shared.plan(text, delivery=None)
    with pytest.raises(errors.RefusedError) as refused:
        apply_plan(shared.aws, plan)

    assert all(holder in refused.value.message for holder in HOLDERS)
    assert "bootstrap adopt" in str(refused.value.remedy)
    assert iam.snapshot() == before
    assert any("apply refuses this" in line and "role app" in line for line in plan_lines(plan))
    assert "user alice" in plan_data(plan)["refused"][0]["message"]


def test_a_policy_that_is_not_ours_is_not_rewritten_though_nobody_holds_it(
    tmp_path: Path, iam: FakeIam
) -> None:
    world = fake_world(tmp_path, iam)
    world.aws.aws.call("iam", "create_policy", PolicyName=POLICY, PolicyDocument=OTHER, Tags=[])

    with pytest.raises(errors.RefusedError, match="was not made by cml-iam"):
        world.apply(BASE, delivery=None)


def test_after_adopting_apply_changes_a_policy_of_others_only_when_allowed_and_names_them(
    shared: World, iam: FakeIam
) -> None:
    adoption = plan_adoption(shared.aws, shared.plan(delivery=None))
    assert all(any(holder in line for line in adoption.warnings) for holder in HOLDERS)
    apply_plan(shared.aws, adoption)

    before = iam.snapshot()
    with pytest.raises(errors.RefusedError, match="is also attached to user alice") as refused:
        shared.apply(delivery=None)
    assert all(holder in refused.value.message for holder in HOLDERS)
    assert "name a new `policy`" in str(refused.value.remedy)
    assert iam.snapshot() == before

    plan = shared.plan(delivery=None, change_shared=True)
    assert plan.refused == ()
    assert all(any(holder in line for line in plan.warnings) for holder in HOLDERS)
    apply_plan(shared.aws, plan)

    default = iam.policies[shared.site.policy_arn].default
    assert iam.policies[shared.site.policy_arn].versions[default] == BASE
    assert shared.plan(delivery=None).warnings == ()


def test_a_rollback_names_those_it_changes(shared: World) -> None:
    apply_plan(shared.aws, plan_adoption(shared.aws, shared.plan(delivery=None)))
    shared.apply(delivery=None, change_shared=True)

    plan = plan_rollback(shared.aws, shared.site)

    assert plan.refused == ()
    assert all(any(holder in line for line in plan.warnings) for holder in HOLDERS)


def test_a_policy_whose_holders_may_not_be_read_is_changed_only_when_that_is_accepted(
    tmp_path: Path, iam: FakeIam
) -> None:
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    iam.denied.add("list_entities_for_policy")
    before = iam.snapshot()

    with pytest.raises(errors.RefusedError, match="could not check who else has") as refused:
        world.apply(OTHER, delivery=None)

    assert "`iam:ListEntitiesForPolicy`" in str(refused.value.remedy)
    assert "--change-shared" in str(refused.value.remedy)
    assert iam.snapshot() == before
    assert world.plan(BASE, delivery=None).refused == ()  # which changes nothing

    plan = world.plan(OTHER, delivery=None, change_shared=True)
    assert plan.refused == ()
    assert [each for each in plan.unchecked if "who else has the policy" in each]


def test_a_strangers_policy_is_not_changed_though_its_holders_may_not_be_read(
    shared: World, iam: FakeIam
) -> None:
    iam.denied.add("list_entities_for_policy")

    with pytest.raises(errors.RefusedError, match="was not made by cml-iam"):
        shared.apply(delivery=None, change_shared=True)


# quotas


@pytest.mark.parametrize(("quota", "fits"), [(10, False), (20, True)])
def test_an_eleventh_policy_is_refused_before_anything_is_made(
    tmp_path: Path, iam: FakeIam, quota: int, fits: bool
) -> None:
    world = fake_world(tmp_path, iam)
    attached = [f"arn:aws:iam::aws:policy/P{number}" for number in range(10)]
    iam.users[USER] = Principal(USER, "/", {"cml-iam:managed": "true"}, None, attached=attached)
    iam.quota = quota

    plan = world.plan(delivery=None)

    assert (plan.refused == ()) is fits
    if not fits:
        with pytest.raises(errors.RefusedError, match="11 policies attached, and AWS allows 10"):
            apply_plan(world.aws, plan)
        assert iam.writes == []


def test_where_the_quota_may_not_be_read_the_eleventh_policy_is_a_warning(
    tmp_path: Path, iam: FakeIam
) -> None:
    world = fake_world(tmp_path, iam)
    attached = [f"arn:aws:iam::aws:policy/P{number}" for number in range(10)]
    iam.users[USER] = Principal(USER, "/", {"cml-iam:managed": "true"}, None, attached=attached)
    iam.denied.add("get_account_summary")

    plan = world.plan(delivery=None)

    assert plan.refused == ()
    assert any("would have 11 policies attached" in warning for warning in plan.warnings)


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_a_51st_tag_is_refused_before_anything_is_made(
    tmp_path: Path, iam: FakeIam, there: bool
) -> None:
    world = fake_world(tmp_path, iam)
    if there:
        tags = {f"k{number}": "v" for number in range(49)} | {"cml-iam:managed": "true"}
        iam.users[USER] = Principal(USER, "/", tags, None)
    new = {f"n{number}": "v" for number in range(1 if there else 50)}

    with pytest.raises(errors.RefusedError, match="would have 51 tags, but AWS allows 50"):
        world.plan(tags=new, delivery=None)
    assert iam.writes == []


# names and workers: on moto


SITE = Site(
    account="123456789012",
    user="mgr-one",
    policy="Mgr",
    restrict=Restrictions(regions=("us-east-1",), guard_tag=Tag("ManagedBy", "cml")),
)
GUARDED = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "ec2:StopInstances",
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml"}},
            }
        ],
    }
)


@pytest.fixture
def aws() -> Iterator[Aws]:
    from moto import mock_aws

    with mock_aws():
        yield connect(
            region="us-east-1", access_key="AKIAIOSFODNN7EXAMPLE", secret_key=Secret("any" * 8)
        )


def foreseen(aws: Aws, site: Site = SITE, text: str = GUARDED) -> Plan:
    return foresee(aws, plan_bootstrap(aws, site, text))


def test_nothing_is_foreseen_of_an_empty_account(aws: Aws) -> None:
    plan = foreseen(aws)

    assert (plan.refused, plan.foreseen, plan.unforeseen) == ((), (), ())


@pytest.mark.parametrize(
    ("operation", "parameters", "site"),
    [
        ("create_user", {"UserName": "Mgr-One"}, SITE),
        (
            "create_role",
            {"RoleName": "MGR", "AssumeRolePolicyDocument": "{}", "Path": "/x/"},
            replace(SITE, user=None, role="mgr"),
        ),
        ("create_policy", {"PolicyName": "MGR", "PolicyDocument": BASE}, SITE),
        ("create_policy", {"PolicyName": "Mgr", "PolicyDocument": BASE, "Path": "/x/"}, SITE),
        (
            "create_instance_profile",
            {"InstanceProfileName": "Role"},
            replace(SITE, user=None, role="role"),
        ),
    ],
    ids=["user", "role", "policy by case", "policy by path", "instance profile"],
)
def test_a_name_that_only_case_or_path_make_another_is_taken(
    aws: Aws, operation: str, parameters: dict[str, Any], site: Site
) -> None:
    aws.call("iam", operation, **parameters)

    plan = foreseen(aws, site)

    (problem,) = plan.refused
    assert "IAM allows a name once, regardless of case and path" in problem.message
    assert next(iter(parameters.values())) in problem.message
    with pytest.raises(errors.RefusedError):
        apply_plan(aws, plan)


def launch(aws: Aws, number: int, **tags: str) -> list[str]:
    image = next(iter(aws.pages("ec2", "describe_images", "Images")))["ImageId"]
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = aws.call(
        "ec2",
        "run_instances",
        ImageId=image,
        InstanceType="m5.large",
        MinCount=number,
        MaxCount=number,
        TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
    )
    return [instance["InstanceId"] for instance in made["Instances"]]


def test_workers_without_the_guard_tag_would_be_out_of_reach(aws: Aws) -> None:
    lost = launch(aws, 3, Name="cml-worker-01")
    launch(aws, 1, Name="cml-worker-02", ManagedBy="cml")
    launch(aws, 1, Name="database")

    (said,) = foreseen(aws).foreseen

    assert said.startswith("3 instances look like workers but lack the tag `ManagedBy=cml`")
    assert all(each in said for each in lost)
    assert "cml-iam worker adopt" in said
    assert any(said in line for line in plan_lines(foreseen(aws)))


def test_a_policy_that_asks_for_no_guard_tag_puts_nothing_out_of_reach(aws: Aws) -> None:
    launch(aws, 1, Name="cml-worker-01")

    assert foreseen(aws, text=BASE).foreseen == ()
    assert foreseen(aws, replace(SITE, restrict=Restrictions())).foreseen == ()


class Blind:
    """The port for somebody who may list nothing and see no instance."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.region = aws.region
        self.identity = aws.identity

    def call(self, service: str, operation: str, **rest: Any) -> dict[str, Any]:
        return self._aws.call(service, operation, **rest)

    def pages(self, service: str, operation: str, key: str, **rest: Any) -> Iterator[Any]:
        if service == "ec2" or operation in ("list_users", "list_policies"):
            raise errors.DeniedError("no", code="AccessDenied", action=f"{service}:{operation}")
        return self._aws.pages(service, operation, key, **rest)


def test_what_may_not_be_looked_at_is_said(aws: Aws) -> None:
    plan = foreseen(Blind(aws))  # type: ignore[arg-type] # as much of a port as is used

    assert plan.refused == ()
    assert [each.partition(":")[2] for each in plan.unforeseen] == [
        " iam:list_users is denied",
        " iam:list_policies is denied",
        " ec2:describe_instances is denied",
    ]


# the commands


@pytest.fixture
def run(
    cml_iam: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws
) -> Callable[..., Ran]:
    text = '[account]\nid = "123456789012"\n[principal]\npolicy = "Shared"\n'
    (tmp_path / "cml-iam.toml").write_text(text)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    return cml_iam


def test_the_commands_refuse_a_policy_of_others_and_say_how_to_go_on(
    run: Callable[..., Ran], aws: Aws
) -> None:
    made = aws.call("iam", "create_policy", PolicyName="Shared", PolicyDocument=BASE)["Policy"]
    aws.call("iam", "create_user", UserName="alice")
    aws.call("iam", "attach_user_policy", UserName="alice", PolicyArn=made["Arn"])

    planned = run("bootstrap", "plan", "--no-key")
    refused = run("bootstrap", "apply", "--yes", "--no-key")
    adopted = run("bootstrap", "adopt", "--yes")
    shared = run("bootstrap", "apply", "--yes", "--no-key")
    applied = run("bootstrap", "apply", "--yes", "--no-key", "--change-shared")

    assert "✖ apply refuses this: the policy" in planned.out
    assert (refused.code, adopted.code, shared.code, applied.code) == (2, 0, 2, 0)
    assert "is also attached to user alice" in refused.err
    assert "bootstrap adopt" in refused.err
    assert "is also attached to user alice" in shared.err
    assert "is also attached to user alice" in applied.err
