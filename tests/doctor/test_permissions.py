"""Issue: "UnauthorizedOperation" Error. Every entry of the troubleshooting is seeded, and named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cml_iam.catalogue import load_catalogue
from cml_iam.check.refusal import Deciding, why_refused
from cml_iam.engine import Request
from cml_iam.policy import load_policy
from tests.doctor.conftest import Patient

BASE = load_catalogue().actions
DECODE = {"Effect": "Allow", "Action": "sts:DecodeAuthorizationMessage", "Resource": "*"}

pytestmark = pytest.mark.usefixtures("worker")


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Sid": "Work", "Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def without(action: str) -> dict[str, Any]:
    return allow(*(each for each in BASE if each != action))


def findings(patient: Patient, *, admin: bool = True) -> dict[str, dict[str, str]]:
    found = patient.visit("permissions", admin=admin)
    return {
        action: each
        for each in found
        for action, of_one, _ in [each["subject"].partition(" in ")]
        if each["state"] == "finding" and of_one
    }


def test_with_every_permission_nothing_is_found(patient: Patient) -> None:
    assert patient.visit("permissions") == []
    assert patient.said["code"] == 0


def test_a_part_of_the_permissions_is_not_fine(patient: Patient) -> None:
    patient.allow(document(without("ec2:StopInstances")))

    whole, *_ = (each for each in patient.visit("permissions") if " in " not in each["subject"])

    assert whole["state"] == "finding"
    assert whole["said"] == f"{len(BASE) - 1} of {len(BASE)} permissions work"


# Solution 1 and 2: review the policy, and ensure that all required permissions are included


@pytest.mark.parametrize("action", BASE)
def test_a_missing_permission_is_named_with_the_statement_that_grants_it(
    patient: Patient, action: str
) -> None:
    patient.allow(document(without(action)))

    found = findings(patient)

    # A launch tags what it makes: without CreateTags it is refused too.
    launching = {"ec2:RunInstances"} if action == "ec2:CreateTags" else set()
    assert set(found) == {action} | launching
    said, remedy = found[action]["said"], found[action]["remedy"]
    assert f"`{action}`" in said
    assert "no statement allows it" in said
    sid = next(
        group.sid
        for group in load_catalogue().groups
        if any(one.action == action for one in group.permissions)
    )
    assert f"statement `{sid}` of the base policy" in remedy
    assert patient.said["code"] == 3


# Solution 3: check for explicit Deny statements in other policies


def test_an_explicit_deny_in_another_policy_is_named(patient: Patient) -> None:
    deny = {"Sid": "Freeze", "Effect": "Deny", "Action": "ec2:Stop*", "Resource": "*"}
    patient.allow(document(allow(*BASE)), document(deny))

    found = findings(patient)

    assert list(found) == ["ec2:StopInstances"]
    said = found["ec2:StopInstances"]["said"]
    assert f"statement `Freeze` of `policy-1 (inline, user {patient.name})` denies it" in said
    assert "from that Deny" in found["ec2:StopInstances"]["remedy"]


def test_a_deny_of_a_group_is_found_too(patient: Patient) -> None:
    deny = '{"Version": "2012-10-17", "Statement": {"Sid": "NoTags", "Effect": "Deny",'
    deny += ' "Action": "ec2:DeleteTags", "Resource": "*"}}'
    group = f"group-of-{patient.name}"
    iam = patient.root
    iam.call("iam", "create_group", GroupName=group)
    iam.call("iam", "put_group_policy", GroupName=group, PolicyName="g", PolicyDocument=deny)
    iam.call("iam", "add_user_to_group", GroupName=group, UserName=patient.name)

    assert f"`NoTags` of `g (inline, group {group})`" in findings(patient)["ec2:DeleteTags"]["said"]


# Solution 4: verify resource restrictions aren't blocking operations


@pytest.mark.parametrize(
    ("condition", "key"),
    [
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, "aws:RequestedRegion"),
        ({"StringEquals": {"ec2:ResourceTag/ManagedBy": "x"}}, "ec2:ResourceTag/ManagedBy"),
        ({"StringLike": {"ec2:InstanceType": "c5.*"}}, "ec2:InstanceType"),
    ],
)
def test_a_restriction_in_the_way_is_named_with_its_condition(
    patient: Patient, condition: dict[str, Any], key: str
) -> None:
    restricted = allow("ec2:StopInstances", Condition=condition) | {"Sid": "Restricted"}
    patient.allow(document(without("ec2:StopInstances"), restricted))

    said = findings(patient)["ec2:StopInstances"]["said"]

    assert "statement `Restricted`" in said
    assert f"`{key}` is" in said


def test_a_permissions_boundary_in_the_way_is_named(patient: Patient) -> None:
    limit = document(without("ec2:TerminateInstances"))
    made = patient.root.call(
        "iam",
        "create_policy",
        PolicyName=f"limit-{patient.name}",
        PolicyDocument=json.dumps(limit),
    )
    patient.root.call(
        "iam",
        "put_user_permissions_boundary",
        UserName=patient.name,
        PermissionsBoundary=made["Policy"]["Arn"],
    )

    said = findings(patient)["ec2:TerminateInstances"]["said"]

    assert "the permissions boundary does not allow it" in said


# How it is known


def test_the_message_is_decoded_where_that_is_permitted(patient: Patient) -> None:
    restricted = allow("ec2:StopInstances", Condition={"Bool": {"aws:SecureTransport": "false"}})
    restricted["Sid"] = "Insecure"
    patient.allow(document(without("ec2:StopInstances"), restricted, DECODE))

    found = findings(patient)

    assert "[decoded, with the policies attached now]" in found["ec2:StopInstances"]["said"]


def test_an_administrator_decodes_it_for_a_manager_who_may_not(patient: Patient) -> None:
    patient.allow(document(without("ec2:StopInstances")))

    assert "[decoded" in findings(patient)["ec2:StopInstances"]["said"]


def test_without_an_administrator_the_site_files_policy_is_asked(patient: Patient) -> None:
    """The launch that is tried is one that the site allows: a type of its families."""
    site = patient.folder / "cml-iam.toml"
    site.write_text(site.read_text() + 'instance_types = ["c5.*"]\n')
    patient.allow(document(without("ec2:RunInstances")))

    said = findings(patient, admin=False)["ec2:RunInstances"]["said"]

    assert "the site file's policy allows it, so the attached policy differs from it" in said
    assert (
        "[policies of the site file; these credentials may not read the attached policies]" in said
    )


def test_a_site_files_policy_that_is_attached_in_parts_is_asked_too(patient: Patient) -> None:
    groups = ", ".join(f'"sg-{number:017x}"' for number in range(120))
    site = patient.folder / "cml-iam.toml"
    site.write_text(site.read_text() + f"security_groups = [{groups}]\n")
    patient.allow(document(without("ec2:StopInstances")))

    said = findings(patient, admin=False)["ec2:StopInstances"]["said"]

    assert "the site file's policy allows it" in said


def test_what_may_not_be_read_is_said_and_the_site_files_policy_is_asked(
    patient: Patient,
) -> None:
    """Not all of the policies are no ground for a judgement: the one unread may be what denies."""
    patient.allow(document(without("ec2:StopInstances")))
    reader = f"reader-of-{patient.name}"
    iam = patient.root
    iam.call("iam", "create_user", UserName=reader)
    may = document(
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "iam:ListGroupsForUser", "Resource": "*"},
    )
    inline = {"PolicyName": "p", "PolicyDocument": json.dumps(may)}
    iam.call("iam", "put_user_policy", UserName=reader, **inline)
    key = iam.call("iam", "create_access_key", UserName=reader)["AccessKey"]
    (patient.folder / "no-aws-credentials").write_text(
        f"[admin]\naws_access_key_id = {key['AccessKeyId']}\n"
        f"aws_secret_access_key = {key['SecretAccessKey'].reveal()}\n"
    )

    said = findings(patient)["ec2:StopInstances"]["said"]

    assert "the groups of the user (iam:ListGroupsForUser is denied)" in said
    assert "of the site file; could not read" in said
    assert "attached now" not in said


def test_what_the_policies_allow_is_refused_beyond_them(patient: Patient) -> None:
    patient.allow(document(without("ec2:StopInstances")))

    found = findings(patient, admin=False)["ec2:StopInstances"]

    assert "the attached policy differs from it" in found["said"]
    assert "cml-iam bootstrap plan" in found["remedy"]


def test_what_the_attached_policies_allow_too_is_refused_beyond_them() -> None:
    stop = document(allow("ec2:StopInstances"))
    request = Request("ec2:StopInstances", "*", "arn:aws:iam::111122223333:user/u")

    (why,) = why_refused([request], Deciding((load_policy(stop, "p"),)))

    assert "a service control policy" in why.said
    assert not why.sure


def test_without_a_worker_what_needs_one_is_unchecked(patient: Patient) -> None:
    found = patient.visit("permissions", "--region", "us-west-2")

    assert {each["state"] for each in found} == {"could not check"}
    assert "ec2:StopInstances" in "".join(each["said"] for each in found)
    assert patient.said["code"] == 8
