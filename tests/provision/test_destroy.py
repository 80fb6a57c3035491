"""Destroy takes away everything of ours, in an order AWS takes, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cml_iam import errors
from cml_iam.provision import apply_plan, plan_destruction
from cml_iam.provision._apply import PAUSES
from cml_iam.site import Site
from tests.credentials.crashes import Bomb, Killed
from tests.provision.fake_iam import ACCOUNT, FakeIam, Principal
from tests.provision.worlds import BASE, OTHER, POLICY, USER, World, fake_world

ROLE = "cml-manager"
VIRTUAL = f"arn:aws:iam::{ACCOUNT}:mfa/phone"
ADMIN_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"


def destroy(world: World, site: Site | None = None) -> list[str]:
    """Destroy, and return the writing calls that took."""
    world.aws.writes.clear()
    plan = plan_destruction(world.aws, site or world.site)
    apply_plan(world.aws, plan, pause=world.pauses.append)
    return list(world.aws.writes)


def empty(iam: FakeIam) -> bool:
    return not iam.users and not iam.policies and not iam.keys


def loaded(iam: FakeIam, world: World) -> None:
    """A user with everything that stands in the way of DeleteUser."""
    world.apply([BASE, OTHER], delivery=None)
    world.apply([OTHER, BASE], delivery=None)
    world.aws.call("iam", "create_access_key", UserName=USER)
    user = iam.users[USER]
    user.inline, user.groups = {"extra": "{}"}, ["operators"]
    user.attached.append(ADMIN_ACCESS)
    user.held = {
        "password": ["x"],
        "mfa": [VIRTUAL, "GAHT12345678"],
        "certificate": ["cert"],
        "ssh": ["APKA"],
        "service": ["ACCA"],
    }


def test_a_user_with_key_policies_and_versions_is_gone(world: World) -> None:
    world.apply([BASE, OTHER])
    world.apply([OTHER, OTHER])

    written = destroy(world)

    assert written == [
        "update_access_key",
        "delete_access_key",
        "detach_user_policy",
        "detach_user_policy",
        "delete_user",
        "delete_policy",
        "delete_policy_version",
        "delete_policy",
    ]
    assert not list(world.aws.pages("iam", "list_policies", "Policies", Scope="Local"))
    with pytest.raises(errors.NotFoundError):
        world.aws.call("iam", "get_user", UserName=USER)
    assert destroy(world) == []


def test_a_role_goes_with_its_profile(world: World) -> None:
    site = replace(world.site, user=None, role=ROLE)
    world.apply(site=site)

    destroy(world, site)

    for read, name in (("get_role", "RoleName"), ("get_instance_profile", "InstanceProfileName")):
        with pytest.raises(errors.NotFoundError):
            world.aws.call("iam", read, **{name: ROLE})
    assert destroy(world, site) == []


def test_what_is_not_ours_is_not_touched(world: World) -> None:
    world.aws.call("iam", "create_user", UserName=USER, Path="/", Tags=[])

    with pytest.raises(errors.RefusedError, match="not made by cml-iam") as caught:
        plan_destruction(world.aws, world.site)

    assert "adopt" in str(caught.value.remedy)


def test_a_policy_that_is_not_ours_or_used_elsewhere_stays(world: World) -> None:
    world.apply(BASE)
    arn = world.plan(delivery=None).desired.site.policy_arn
    world.aws.call("iam", "create_user", UserName="another", Path="/", Tags=[])
    world.aws.call("iam", "attach_user_policy", UserName="another", PolicyArn=arn)

    (warning,) = plan_destruction(world.aws, world.site).warnings
    destroy(world)

    assert "is also attached to user another" in warning
    assert world.aws.call("iam", "get_policy", PolicyArn=arn)


def test_another_policy_of_that_name_stays(world: World) -> None:
    world.aws.call("iam", "create_policy", PolicyName=POLICY, PolicyDocument=BASE, Tags=[])

    plan = plan_destruction(world.aws, world.site)

    assert plan.steps == ()
    assert "was not made by cml-iam" in plan.warnings[0]


def test_guard_and_boundary_stay_until_they_are_named(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    site = replace(world.site, restrict=replace(world.site.restrict, regions=("us-east-1",)))
    world.apply(site=site, pieces=["principal", "boundary", "guard"], delivery=None)

    plan = plan_destruction(world.aws, site)
    warnings = plan.warnings
    detached = [step.name for step in plan.steps if step.resource == "attachment"]
    destroy(world, site)

    assert detached == [f"{POLICY} to {USER}", f"{site.guard} to {USER}"]
    assert [warning.rpartition("; ")[2] for warning in warnings] == [
        "--guard also deletes it",
        "--boundary also deletes it",
    ]
    assert sorted(policy.name for policy in iam.policies.values()) == [site.boundary, site.guard]
    plan = plan_destruction(world.aws, site, ["principal", "boundary", "guard"])
    apply_plan(world.aws, plan)
    assert iam.policies == {}


def test_everything_in_the_way_goes_first_and_the_keys_stop_before_it(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    loaded(iam, world)

    written = destroy(world)

    assert written[0] == "update_access_key"
    assert written.index("delete_access_key") > written.index("remove_user_from_group")
    assert written.count("deactivate_mfa_device") == 2
    assert written.count("delete_virtual_mfa_device") == 1
    assert empty(iam)


def test_killed_at_any_call_a_second_run_finishes(tmp_path: Path) -> None:
    moments = 0
    while True:
        moments += 1
        (folder := tmp_path / str(moments)).mkdir()
        iam = FakeIam()
        world = fake_world(folder, iam)
        loaded(iam, world)
        iam.tick = Bomb(moments).tick
        try:
            destroy(world)
        except Killed:
            iam.tick = lambda: None
            destroy(world)
            assert empty(iam), moments
        else:
            break
    assert moments > 80


@pytest.mark.parametrize("fault", ["lost", "unreachable", "denied"])
def test_a_fault_at_any_call_is_survived(tmp_path: Path, fault: str) -> None:
    at = 0
    while True:
        at += 1
        (folder := tmp_path / str(at)).mkdir()
        iam = FakeIam()
        world = fake_world(folder, iam)
        loaded(iam, world)
        iam.calls.clear()
        iam.faults[at] = fault
        try:
            destroy(world)
        except (errors.AwsError, errors.IncompleteError, errors.RefusedError):
            destroy(world)
        if at > len(iam.calls):
            break
        assert empty(iam), at


def test_what_may_not_be_read_is_said_before_anything_is_done(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply()
    iam.calls.clear()
    plan_destruction(world.aws, world.site)
    at = iam.calls.index("list_signing_certificates") + 1
    iam.calls.clear()
    iam.faults[at] = "denied"

    (said,) = plan_destruction(world.aws, world.site).unchecked

    assert said.startswith("could not check for any signing certificate")


def test_nobody_destroys_himself(tmp_path: Path) -> None:
    iam = FakeIam(users={"admin": Principal("admin", "/", {"cml-iam:managed": "true"}, None)})
    site = Site(account=ACCOUNT, user="admin")

    with pytest.raises(errors.RefusedError, match="itself"):
        plan_destruction(fake_world(tmp_path, iam).aws, site)


def test_a_removal_of_what_is_gone_counts_as_done_on_the_last_try_too(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(BASE, delivery=None)
    world.apply(OTHER, delivery=None)
    plan = plan_destruction(world.aws, world.site)
    refusals = len(PAUSES)

    def busy(operation: str) -> None:
        nonlocal refusals
        if operation != "delete_policy_version" or not refusals:
            return
        refusals -= 1
        if not refusals:  # somebody else removes it before the last try
            (policy,) = iam.policies.values()
            del policy.versions["v1"]
        raise errors.StateError("wait", code="EntityTemporarilyUnmodifiable")

    iam.before_call = busy

    apply_plan(world.aws, plan, pause=world.pauses.append)

    assert world.pauses == list(PAUSES)
    assert empty(iam)
