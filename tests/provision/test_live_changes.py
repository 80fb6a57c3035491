"""Drift, adoption, rollback and saved plans."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.aws import Identity
from cml_iam.check.answer import State
from cml_iam.check.bootstrap import BootstrapScene, Drift
from cml_iam.check.checks import ask, check_named
from cml_iam.provision import (
    apply_plan,
    check_fresh,
    load_plan,
    plan_adoption,
    plan_rollback,
    save_plan,
)
from cml_iam.site import Site
from tests.provision.fake_iam import FakeIam, Principal
from tests.provision.worlds import BASE, OTHER, POLICY, USER, World, document, fake_world

FOREIGN = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def default(world: World) -> str:
    arn = world.plan(delivery=None).desired.site.policy_arn
    found: str = world.aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return found


def roll_back(world: World, version: str | None = None) -> None:
    plan = plan_rollback(world.aws, world.site, None, version)
    apply_plan(world.aws, plan, pause=world.pauses.append)


# drift


def drift_of(world: World, documents: str, site: Site | None = None) -> Drift:
    scene = BootstrapScene(world.aws, site or world.site, documents)
    (drift,) = ask(check_named("differences"), scene).details
    return drift


def test_there_is_no_drift_after_apply_whatever_the_layout(world: World) -> None:
    world.apply()
    other = json.dumps(json.loads(BASE), indent=3).replace("ec2:Stop", "EC2:stop")

    found = drift_of(world, other)

    assert not found.differs
    assert found.as_json()["steps"] == []


def test_each_step_of_the_plan_is_an_answer_of_the_check(world: World) -> None:
    world.apply()

    alike = ask(check_named("differences"), BootstrapScene(world.aws, world.site, BASE))
    other = ask(check_named("differences"), BootstrapScene(world.aws, world.site, OTHER))

    assert {diagnose.state for diagnose in alike.diagnoses} == {State.OK}
    wrong = [diagnose.subject for diagnose in other.diagnoses if diagnose.state is State.FINDING]
    assert wrong == [f"policy {world.site.policy_arn.rpartition('/')[2]}"]


def test_another_meaning_is_drift(world: World) -> None:
    world.apply()

    found = drift_of(world, OTHER)

    assert found.differs
    assert [step.resource for step in found.plan.changes] == ["policy"]


def test_a_foreign_policy_group_and_inline_policy_are_drift(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    user = iam.users[USER]
    user.attached.append(FOREIGN)
    user.inline, user.groups, user.boundary = {"extra": "{}"}, ["operators"], FOREIGN

    found = drift_of(world, BASE)

    assert found.plan.changes == ()
    assert found.differs
    words = ("ReadOnly", "extra", "operators", "boundary")
    assert all(any(word in line for line in found.also) for word in words)
    assert len(found.also) == 4


def test_boundary_and_guard_are_compared_where_they_are_on(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    site = replace(world.site, restrict=replace(world.site.restrict, regions=("us-east-1",)))
    world.apply(site=site, pieces=["principal", "boundary", "guard"], delivery=None)
    assert not drift_of(world, BASE, site).differs
    for policy in iam.policies.values():
        if policy.name != POLICY:
            policy.versions[policy.default] = BASE

    changed = drift_of(world, BASE, site).plan.changes

    assert {step.name for step in changed} == {site.boundary, site.guard}


# adoption


def test_adopting_tags_what_is_there_and_shows_the_rest(world: World) -> None:
    world.aws.call("iam", "create_user", UserName=USER, Path="/", Tags=[])
    world.aws.call("iam", "create_policy", PolicyName=POLICY, PolicyDocument=OTHER, Tags=[])
    plan = plan_adoption(world.aws, world.plan())
    world.aws.writes.clear()

    apply_plan(world.aws, plan)

    assert world.aws.writes == ["tag_user", "tag_policy"]
    assert [(step.mark, step.resource) for step in plan.later] == [
        ("change", "policy"),
        ("create", "attachment"),
    ]
    assert plan_adoption(world.aws, world.plan()).changes == ()


def test_there_must_be_something_to_adopt(world: World) -> None:
    with pytest.raises(errors.RefusedError, match="nothing to adopt"):
        plan_adoption(world.aws, world.plan())


# rollback


def test_rolling_back_puts_the_former_version_in_force_in_one_call(world: World) -> None:
    world.apply(BASE, delivery=None)
    world.apply(OTHER, delivery=None)
    world.aws.writes.clear()

    roll_back(world)

    assert world.aws.writes == ["set_default_policy_version"]
    assert default(world) == "v1"
    assert world.plan(BASE, delivery=None).changes == ()


def test_what_was_rolled_back_from_goes_and_the_good_one_stays_to_go_back_to(world: World) -> None:
    world.apply(BASE, delivery=None)
    world.apply(OTHER, delivery=None)
    roll_back(world)

    world.apply(document("ec2:RunInstances"), delivery=None)
    roll_back(world)

    assert default(world) == "v1"
    assert world.plan(BASE, delivery=None).changes == ()


@pytest.mark.parametrize("applied", [2, 5, 8])
def test_pruning_keeps_the_version_to_go_back_to(world: World, applied: int) -> None:
    for index in range(applied):
        world.apply(document(f"ec2:Action{index}"), delivery=None)

    roll_back(world)

    assert default(world) == f"v{applied - 1}"


def test_a_second_rollback_must_say_where_to(world: World) -> None:
    for index in range(3):
        world.apply(document(f"ec2:Action{index}"), delivery=None)
    roll_back(world)

    with pytest.raises(errors.RefusedError) as caught:
        roll_back(world)
    assert "--to v1" in str(caught.value.remedy)
    roll_back(world, "v1")
    assert default(world) == "v1"
    with pytest.raises(errors.InputError, match="no version"):
        roll_back(world, "v9")


def test_without_a_former_version_or_a_policy_there_is_no_rollback(world: World) -> None:
    with pytest.raises(errors.RefusedError, match="there is no policy"):
        roll_back(world)
    world.apply(delivery=None)
    with pytest.raises(errors.RefusedError, match="no version before v1"):
        roll_back(world)


def test_of_several_parts_one_must_be_named(world: World) -> None:
    world.apply([BASE, OTHER], delivery=None)
    world.apply([OTHER, OTHER], delivery=None)

    with pytest.raises(errors.RefusedError, match="several parts"):
        roll_back(world)
    apply_plan(world.aws, plan_rollback(world.aws, world.site, POLICY))
    assert default(world) == "v1"
    with pytest.raises(errors.InputError, match="not one of the site"):
        plan_rollback(world.aws, world.site, "Another")


def test_a_lost_answer_does_not_roll_back_twice(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    for index in range(3):
        world.apply(document(f"ec2:Action{index}"), delivery=None)
    plan = plan_rollback(world.aws, world.site)

    def lose(operation: str) -> None:
        if operation == "set_default_policy_version":
            iam.faults[len(iam.calls) + 1] = "lost"

    iam.before_call = lose
    apply_plan(world.aws, plan)

    assert default(world) == "v2"


# saved plans


def test_a_saved_plan_is_private_and_fresh_until_something_changes(
    world: World, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    plan = world.plan()
    save_plan(plan, {"path": None}, path)

    saved = load_plan(path)
    check_fresh(saved, world.plan())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert saved.options == {"path": None}
    apply_plan(world.aws, plan)
    with pytest.raises(errors.RefusedError, match="the account has changed; the access keys"):
        check_fresh(saved, world.plan())


def test_a_saved_plan_is_stale_for_another_site_account_or_person(tmp_path: Path) -> None:
    world = fake_world(tmp_path, FakeIam())
    plan = world.plan(delivery=None)
    save_plan(plan, {}, tmp_path / "plan.json")
    saved = load_plan(tmp_path / "plan.json")
    site = replace(world.site, guard="Another")
    me = plan.identity
    cases = {
        "the site has changed": replace(plan, desired=replace(plan.desired, site=site)),
        "another account": replace(plan, identity=replace(me, account="999999999999")),
        "another identity is acting": replace(plan, identity=replace(me, arn=me.arn + "2")),
        "the principal.s other permissions": replace(plan, warnings=("the user also has",)),
    }

    for words, other in cases.items():
        with pytest.raises(errors.RefusedError, match=words):
            check_fresh(saved, other)


def test_a_new_session_of_the_same_role_is_the_same_person(tmp_path: Path) -> None:
    plan = fake_world(tmp_path, FakeIam()).plan(delivery=None)
    arn = "arn:aws:sts::111122223333:assumed-role/operator/"
    one, other = (
        replace(plan, identity=Identity("111122223333", arn + name, "AROA")) for name in "ab"
    )
    save_plan(one, {}, tmp_path / "plan.json")

    check_fresh(load_plan(tmp_path / "plan.json"), other)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "other"}', "nonsense"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)

    with pytest.raises(errors.InputError):
        load_plan(tmp_path / "plan.json")


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    plan = fake_world(tmp_path, FakeIam()).plan(delivery=None)
    (tmp_path / "folder").mkdir()

    with pytest.raises(errors.InputError, match="cannot write"):
        save_plan(plan, {}, tmp_path / "folder")
    with pytest.raises(errors.InputError, match="cannot write"):
        save_plan(plan, {}, tmp_path / "missing" / "plan.json")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_somebody_elses_user_is_said_to_be_taken_over_in_its_tags(tmp_path: Path) -> None:
    iam = FakeIam(users={USER: Principal(USER, "/apps/", {"team": "net"}, None)})
    world = fake_world(tmp_path, iam)

    apply_plan(world.aws, plan_adoption(world.aws, world.plan(delivery=None)))

    assert iam.users[USER].tags == {"team": "net", "cml-iam:managed": "true"}
