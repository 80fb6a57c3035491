"""A policy too large for one managed policy is in several, and parts come and go with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cml_iam import errors
from tests.credentials.crashes import Bomb, Killed
from tests.provision.fake_iam import ACCOUNT, FakeIam
from tests.provision.worlds import BASE, OTHER, POLICY, USER, World, document, fake_world

THIRD = document("ec2:RunInstances")
ARN = f"arn:aws:iam::{ACCOUNT}:policy/{POLICY}"


def attached(world: World) -> list[str]:
    pages = world.aws.pages("iam", "list_attached_user_policies", "AttachedPolicies", UserName=USER)
    return sorted(page["PolicyArn"].rpartition("/")[2] for page in pages)


def names(world: World) -> list[str]:
    listed = world.aws.pages("iam", "list_policies", "Policies", Scope="Local")
    return sorted(each["PolicyName"] for each in listed)


def test_every_part_is_made_and_attached_under_a_name_of_its_own(world: World) -> None:
    world.apply([BASE, OTHER, THIRD], delivery=None)

    assert attached(world) == names(world) == [POLICY, f"{POLICY}-2", f"{POLICY}-3"]
    assert world.again([BASE, OTHER, THIRD], delivery=None) == []
    assert world.plan([BASE, OTHER, THIRD], delivery=None).warnings == ()


def test_a_part_that_is_new_is_in_force_before_the_first_one_shrinks(world: World) -> None:
    world.apply(BASE, delivery=None)

    written = world.again([THIRD, OTHER], delivery=None)

    assert written == ["create_policy", "attach_user_policy", "create_policy_version"]


def test_a_part_no_longer_needed_goes_after_the_others_say_what_it_said(world: World) -> None:
    world.apply([BASE, OTHER, THIRD], delivery=None)
    world.apply([BASE, THIRD, THIRD], delivery=None)

    plan = world.plan(OTHER, delivery=None)

    assert [(step.mark, step.name) for step in plan.changes] == [
        ("change", POLICY),
        ("delete", f"{POLICY}-3 to {USER}"),
        ("delete", f"{POLICY}-3"),
        ("delete", f"{POLICY}-2 to {USER}"),
        ("delete", f"{POLICY}-2"),
    ]
    assert world.again(OTHER, delivery=None) == [
        "create_policy_version",
        "detach_user_policy",
        "delete_policy",
        "detach_user_policy",
        "delete_policy_version",
        "delete_policy",
    ]
    assert attached(world) == names(world) == [POLICY]
    assert world.again(OTHER, delivery=None) == []


def test_a_part_that_is_not_ours_is_left(world: World) -> None:
    world.apply(BASE, delivery=None)
    made = world.aws.call(
        "iam", "create_policy", PolicyName=f"{POLICY}-2", PolicyDocument=BASE, Tags=[]
    )
    arn = world.plan(delivery=None).desired.site.policy_arn + "-2"
    world.aws.call("iam", "attach_user_policy", UserName=USER, PolicyArn=arn)

    assert made is not None
    (warning,) = world.plan(delivery=None).warnings
    assert "it has the name of a part, but was not made by cml-iam" in warning
    assert world.again(delivery=None) == []


def test_a_part_that_somebody_else_uses_is_taken_off_and_left(world: World) -> None:
    world.apply([BASE, OTHER], delivery=None)
    arn = world.plan(delivery=None).desired.site.policy_arn + "-2"
    world.aws.call("iam", "create_user", UserName="another", Path="/", Tags=[])
    world.aws.call("iam", "attach_user_policy", UserName="another", PolicyArn=arn)

    (warning,) = world.plan(BASE, delivery=None).warnings

    assert "user another also has it" in warning
    assert world.again(BASE, delivery=None) == ["detach_user_policy"]
    assert world.again(BASE, delivery=None) == []


def test_a_part_that_may_not_be_read_is_said_to_be_unchecked(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    iam.calls.clear()
    world.plan(delivery=None)
    at = [n for n, name in enumerate(iam.calls, start=1) if name == "get_policy"][-1]
    iam.calls.clear()
    iam.faults[at] = "denied"

    (said,) = world.plan(delivery=None).unchecked

    assert said.startswith("could not check whether a part")


@pytest.mark.parametrize("texts", [[BASE, OTHER, THIRD], [THIRD]])
def test_killed_at_any_call_the_next_apply_finishes(tmp_path: Path, texts: list[str]) -> None:
    def start() -> tuple[FakeIam, World]:
        iam = FakeIam()
        world = fake_world(tmp_path, iam)
        world.apply([OTHER, BASE], delivery=None)
        return iam, world

    iam, world = start()
    world.apply(texts, delivery=None)
    wanted = iam.snapshot()
    moments = 0
    while True:
        moments += 1
        iam, world = start()
        iam.tick = Bomb(moments).tick
        try:
            world.apply(texts, delivery=None)
        except Killed:
            iam.tick = lambda: None
            world.apply(texts, delivery=None)
            assert iam.snapshot() == wanted, moments
            assert world.again(texts, delivery=None) == []
        else:
            break
    assert moments > 30


def test_too_many_characters_in_any_part_are_refused(world: World) -> None:
    with pytest.raises(errors.QuotaError):
        world.plan([BASE, document(*(f"ec2:Describe{n:04d}" for n in range(400)))])
