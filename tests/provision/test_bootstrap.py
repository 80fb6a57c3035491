"""What a plan says is what apply does, in memory and with moto behind the real connection."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.credentials import EnvFile, list_keys
from cml_iam.provision import apply_plan, plan_data, plan_lines
from cml_iam.render import render_policy
from cml_iam.site import Site
from tests.provision.fake_iam import ACCOUNT, FakeIam, Principal
from tests.provision.worlds import BASE, OTHER, POLICY, USER, World, document, fake_world


def steps(plan: Any) -> list[tuple[str, str]]:
    return [(step.mark, step.resource) for step in plan.all_steps]


def stored_id(world: World) -> str:
    key = EnvFile(world.env).look().key
    assert key is not None
    return key.id


def test_planning_writes_nothing_in_aws_and_nothing_on_the_disk(world: World) -> None:
    plan = world.plan()

    assert world.aws.writes == []
    assert list(world.folder.iterdir()) == []
    assert steps(plan) == [
        ("create", "user"),
        ("create", "policy"),
        ("create", "attachment"),
        ("create", "access key"),
    ]


def test_apply_makes_exactly_the_calls_of_the_plan(world: World) -> None:
    plan = world.plan()

    world.apply()

    planned = [call.operation for step in plan.steps for call in step.calls]
    assert world.aws.writes == [*planned, "create_access_key"]
    assert planned == ["create_user", "create_policy", "attach_user_policy"]


def test_a_second_apply_makes_no_writing_call_and_leaves_the_file(world: World) -> None:
    world.apply()
    before = world.env.read_bytes(), world.env.stat().st_mtime_ns

    assert world.again() == []
    assert (world.env.read_bytes(), world.env.stat().st_mtime_ns) == before
    assert world.plan().changes == ()


def test_the_delivered_key_is_the_users_own(world: World) -> None:
    key_id = world.apply()

    assert [key.id for key in list_keys(world.aws, USER)] == [key_id] == [stored_id(world)]
    assert [each.name for each in world.folder.iterdir()] == [".env"]


def test_the_attached_policy_is_the_document(world: World) -> None:
    world.apply()

    attached = list(
        world.aws.pages("iam", "list_attached_user_policies", "AttachedPolicies", UserName=USER)
    )
    arn = attached[0]["PolicyArn"]
    version = world.aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId="v1")
    assert version["PolicyVersion"]["Document"] == json.loads(BASE)


def test_the_order_of_lists_and_the_layout_are_no_difference(world: World) -> None:
    world.apply()
    reordered = json.loads(BASE)
    reordered["Statement"] = reordered["Statement"][0]
    reordered["Statement"]["Action"].reverse()

    assert world.again(json.dumps(reordered, indent=4)) == []


def test_another_meaning_becomes_a_new_default_version(world: World) -> None:
    world.apply()

    plan = world.plan(OTHER)
    assert ("change", "policy") in steps(plan)
    assert "    + Action ec2:StartInstances" in plan.steps[1].lines
    assert "    - Action ec2:StopInstances" in plan.steps[1].lines
    assert world.again(OTHER) == ["create_policy_version"]
    assert world.again(OTHER) == []


def test_at_five_versions_the_oldest_goes_and_the_former_default_stays(world: World) -> None:
    for index in range(5):
        world.apply(document(f"ec2:Action{index}"))
    arn = world.plan().desired.site.policy_arn

    plan = world.plan(BASE)
    assert [call.operation for call in plan.steps[1].calls] == [
        "delete_policy_version",
        "create_policy_version",
    ]
    world.apply(BASE)

    versions = {
        page["VersionId"]: page["IsDefaultVersion"]
        for page in world.aws.pages("iam", "list_policy_versions", "Versions", PolicyArn=arn)
    }
    assert versions == {"v2": False, "v3": False, "v4": False, "v5": False, "v6": True}


def test_the_oldest_version_is_told_by_number_not_by_text(world: World) -> None:
    for index in range(11):
        world.apply(document(f"ec2:Action{index}"))

    deleted = world.plan(BASE).steps[1].calls[0].parameters["VersionId"]

    assert deleted == "v7"


def test_what_cml_iam_did_not_make_and_means_the_same_is_taken_over_and_said_so(
    world: World,
) -> None:
    world.aws.aws.call("iam", "create_user", UserName=USER, Path="/", Tags=[])
    world.aws.aws.call("iam", "create_policy", PolicyName=POLICY, PolicyDocument=BASE, Tags=[])

    plan = world.plan()

    text = "\n".join(plan_lines(plan))
    assert steps(plan) == [
        ("keep", "user"),
        ("keep", "policy"),
        ("create", "attachment"),
        ("change", "user tags"),
        ("change", "policy tags"),
        ("create", "access key"),
    ]
    assert text.count("~ not created by cml-iam: adopted") == 2
    world.apply()
    assert world.again() == []


def test_tags_are_added_and_changed_and_others_stay(world: World) -> None:
    world.apply(tags={"team": "net", "stage": "test"})

    assert world.again(tags={"stage": "live"}) == ["tag_user", "tag_policy"]

    shown = world.aws.call("iam", "get_user", UserName=USER)["User"]["Tags"]
    tags = {each["Key"]: each["Value"] for each in shown}
    assert tags == {"cml-iam:managed": "true", "team": "net", "stage": "live"}


def test_a_user_at_another_path_is_not_moved(world: World) -> None:
    world.apply(path="/apps/")

    with pytest.raises(errors.RefusedError, match="`/apps/`"):
        world.plan(path="/other/")
    assert world.again() == []
    assert world.plan().principal.endswith(f"user/apps/{USER}")


def test_a_role_has_trust_and_a_profile_and_no_key(world: World) -> None:
    site = replace(world.site, user=None, role="cml-manager")

    plan = world.plan(site=site)
    world.apply(site=site)

    assert steps(plan) == [
        ("create", "role"),
        ("create", "policy"),
        ("create", "attachment"),
        ("create", "instance profile"),
    ]
    role = world.aws.call("iam", "get_role", RoleName="cml-manager")["Role"]
    trust = role["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert world.aws.writes == [
        "create_role",
        "create_policy",
        "attach_role_policy",
        "create_instance_profile",
        "add_role_to_instance_profile",
    ]
    assert world.again(site=site) == []
    assert not world.env.exists()


def test_a_changed_trust_is_put_right(world: World) -> None:
    site = replace(world.site, user=None, role="cml-manager")
    world.apply(site=site)
    open_trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},'
        '"Action":"sts:AssumeRole"}]}'
    )
    world.aws.call(
        "iam", "update_assume_role_policy", RoleName="cml-manager", PolicyDocument=open_trust
    )

    step = world.plan(site=site).steps[0]

    assert step.mark == "change"
    assert any("ec2.amazonaws.com" in line for line in step.lines)
    assert world.again(site=site) == ["update_assume_role_policy"]


def test_without_delivery_no_key_is_made(world: World) -> None:
    world.apply(delivery=None)

    assert list_keys(world.aws, USER) == ()
    assert world.plan(delivery=None).key is None


def test_credentials_of_another_account_are_refused_before_anything_else(world: World) -> None:
    with pytest.raises(errors.RefusedError, match="belong to account `") as caught:
        world.plan(site=Site(account="999999999999"))

    assert "account.id" in str(caught.value.remedy)


def test_a_document_over_the_quota_is_refused(world: World) -> None:
    with pytest.raises(errors.QuotaError, match="6144"):
        world.plan(document(*(f"ec2:Describe{index:04d}" for index in range(400))))


def test_a_plan_the_account_has_outgrown_is_refused(world: World) -> None:
    plan = world.plan()
    world.apply(delivery=None)
    world.aws.writes.clear()

    with pytest.raises(errors.RefusedError, match="changed since"):
        apply_plan(world.aws, plan)
    assert world.aws.writes == []


def test_two_keys_leave_no_room_and_the_evidence_is_given(world: World) -> None:
    world.apply(delivery=None)
    for _ in range(2):
        world.aws.aws.call("iam", "create_access_key", UserName=USER)
    ids = [key.id for key in list_keys(world.aws, USER)]

    with pytest.raises(errors.RefusedError) as caught:
        world.plan()

    assert all(f"`{key}` Active" in caught.value.message for key in ids)
    assert caught.value.message.count("never used") == 2


def test_a_stale_key_in_the_file_is_replaced_and_named(world: World) -> None:
    world.env.write_text("A=1\nAWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\nB=2\n")
    world.env.chmod(0o600)

    plan = world.plan()
    world.apply()

    assert plan.key is not None
    assert plan.key.replaces == "AKIAIOSFODNN7EXAMPLE"
    assert any("stale" in word for word in plan.key.words)
    lines = world.env.read_text().splitlines()
    assert lines[0] == "A=1"
    assert lines[-1] == "B=2"
    assert world.again() == []


def test_a_key_beside_the_stored_one_is_left_alone_and_named(world: World) -> None:
    first = world.apply()
    world.env.unlink()

    plan = world.plan()
    second = world.apply()

    assert plan.key is not None
    assert any(f"left alone: `{first}`" in word for word in plan.key.words)
    assert {key.id for key in list_keys(world.aws, USER)} == {first, second}


def test_a_plan_as_data_names_every_call_and_is_json(world: World) -> None:
    data = json.loads(json.dumps(plan_data(world.plan())))

    assert data["changes"] == 4
    assert data["steps"][0]["calls"][0]["operation"] == "create_user"


# What moto does not do, in memory only.


def test_a_document_that_is_boundary_and_policy_is_shown_once(tmp_path: Path) -> None:
    world = fake_world(tmp_path)
    hardened = render_policy(world.site, "hardened").text
    plan = world.plan(
        hardened, boundary=world.site.boundary_arn, pieces=frozenset(("principal", "boundary"))
    )

    lines = [line.strip() for line in plan_lines(plan)]

    assert [line.partition(":")[0] for line in lines].count("+ ReadInventory") == 1
    policy = lines.index(f"+ create      policy            {world.site.policy}")
    assert lines[policy + 1] == f"the same as policy {world.site.boundary} above"


def test_the_boundary_is_put_on_and_stays_when_none_is_given(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    boundary = "arn:aws:iam::aws:policy/PowerUserAccess"
    world.apply(boundary=boundary)

    assert iam.users[USER].boundary == boundary
    assert world.again() == []
    other = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    assert world.again(boundary=other) == ["put_user_permissions_boundary"]
    assert iam.users[USER].boundary == other


def test_what_else_grants_permissions_is_warned_of(tmp_path: Path) -> None:
    admin_access = "arn:aws:iam::aws:policy/AdministratorAccess"
    iam = FakeIam(
        users={
            USER: Principal(
                USER, "/", {}, None, None, [admin_access], {"extra": "{}"}, ["operators"]
            )
        }
    )

    warnings = fake_world(tmp_path, iam).plan().warnings

    assert [w.split("has the ")[1].split(",")[0] for w in warnings[1:]] == [
        "inline policy `extra`",
        "group `operators`",
    ]
    assert admin_access in warnings[0]


def test_what_may_not_be_read_is_said_to_be_unchecked(tmp_path: Path) -> None:
    world = fake_world(tmp_path, iam := FakeIam())
    world.apply()
    at = 1 + len(iam.calls) + ["list_user_policies"].index("list_user_policies")
    iam.calls.clear()
    plain = world.plan()
    at = iam.calls.index("list_user_policies") + 1
    iam.calls.clear()
    iam.faults[at] = "denied"

    assert plain.unchecked == ()
    assert world.plan().unchecked == (
        "could not check for any inline policy: iam:list_user_policies is denied",
    )


def test_an_instance_profile_of_another_role_is_not_touched(tmp_path: Path) -> None:
    iam = FakeIam(profiles={"cml-manager": ["somebody"]})
    site = Site(account=ACCOUNT, user=None, role="cml-manager")

    with pytest.raises(errors.RefusedError, match="somebody"):
        fake_world(tmp_path, iam).plan(site=site)


def test_an_inactive_stored_key_is_replaced_where_there_is_room(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    old = world.apply()
    assert old is not None
    iam.keys[old].status = "Inactive"

    new = world.apply()

    assert new != old
    assert stored_id(world) == new


def test_a_stored_key_with_a_wrong_secret_is_replaced(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    old = world.apply()
    world.env.write_text(world.env.read_text()[:-8] + "AAAAAAA\n")

    assert world.apply() != old


def test_a_new_key_is_waited_for_until_aws_knows_it(tmp_path: Path) -> None:
    iam = FakeIam(delay=4)
    world = fake_world(tmp_path, iam)

    world.apply()

    assert world.pauses == [0.5, 1, 1, 2]


def test_a_stored_key_aws_does_not_know_everywhere_yet_is_kept(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    key = world.apply()
    assert key is not None
    iam.keys[key].unknown_for = 100

    assert world.again() == []


def test_a_key_that_never_comes_to_work_stays_staged_and_is_taken_up_again(
    tmp_path: Path,
) -> None:
    iam = FakeIam(delay=1000)
    world = fake_world(tmp_path, iam)

    with pytest.raises(errors.IncompleteError, match="cannot be used yet"):
        world.apply()

    assert not world.env.exists()
    (only,) = iam.keys.values()
    only.unknown_for = 0
    assert world.apply() == only.id == stored_id(world)
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_a_lost_answer_of_the_key_leaves_no_key_and_is_sent_once(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    probe = fake_world(tmp_path / "x", iam)
    (tmp_path / "x").mkdir()
    probe.plan()
    iam.calls.clear()
    plan = world.plan()
    at = 2 * len(iam.calls) + 2  # the plan again, the list, then the key
    iam.faults[at] = "lost"

    with pytest.raises(errors.IncompleteError, match="no answer"):
        apply_plan(world.aws, plan)

    assert iam.calls.count("create_access_key") == 1
    assert iam.calls[at - 1] == "create_access_key"
    assert iam.keys == {}
    assert world.apply() == stored_id(world)


def test_a_full_quota_met_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)

    def fill(operation: str) -> None:
        if operation == "create_access_key" and len(iam.keys) < 2:
            iam.before_call = lambda name: None
            for _ in range(2):
                iam.admin().call("iam", "create_access_key", UserName=USER)

    iam.before_call = fill
    with pytest.raises(errors.LimitError):
        world.apply()

    assert list(tmp_path.iterdir()) == []
    assert len(iam.keys) == 2


def test_with_a_full_disk_no_key_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    iam = FakeIam()
    world = fake_world(tmp_path, iam)
    world.apply(delivery=None)
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 300:  # the journal is smaller, the coming file larger
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(errors.InputError, match="no space left"):
        world.apply()

    assert "create_access_key" not in iam.calls
    monkeypatch.undo()
    assert world.apply() == stored_id(world)
