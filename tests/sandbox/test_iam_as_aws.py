"""IAM's names, ids, pages and reports are as AWS's pages have them."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, Make, refused
from tests.sandbox.documents import ACCOUNT, allow, document

POLICY = document(allow("ec2:DescribeTags"))
TRUST = document(
    {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"},
    }
)
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
MAKERS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    "user": ("create_user", "UserName", "AIDA", {}),
    "group": ("create_group", "GroupName", "AGPA", {}),
    "role": ("create_role", "RoleName", "AROA", {"AssumeRolePolicyDocument": TRUST}),
    "policy": ("create_policy", "PolicyName", "ANPA", {"PolicyDocument": POLICY}),
    "profile": ("create_instance_profile", "InstanceProfileName", "AIPA", {}),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_name_is_taken_in_every_case_and_at_every_path(kind: str, iam: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
    operation, name, _, more = MAKERS[kind]
    call = getattr(iam, operation)
    call(**{name: "Pp", "Path": "/service/", **more})

    for other in ({name: "Pp"}, {name: "PP", "Path": "/"}):
        said = refused(call, **other, **more)
        assert (said.code, said.status) == ("EntityAlreadyExists", 409)


def test_a_user_is_renamed_to_its_own_name_only_in_another_case(iam: Any) -> None:
    for name in ("before", "taken"):
        iam.create_user(UserName=name)

    assert refused(iam.update_user, UserName="before", NewUserName="TAKEN").code == (
        "EntityAlreadyExists"
    )
    iam.update_user(UserName="before", NewUserName="Before")


@pytest.mark.parametrize("path", ["my/path", "nopath", "/x", "x/", "/a b/", "/ü/"])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_path_begins_and_ends_with_a_slash(kind: str, path: str, iam: Any) -> None:
    operation, name, _, more = MAKERS[kind]
    said = refused(getattr(iam, operation), **{name: "bad", "Path": path, **more})

    assert (said.code, "path" in said.message) == ("ValidationError", True)


@pytest.mark.parametrize("kind", MAKERS)
def test_an_id_tells_its_kind_and_a_date_has_whole_seconds(kind: str, iam: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    operation, name, prefix, more = MAKERS[kind]
    answer = getattr(iam, operation)(**{name: f"id-{kind}", **more})
    made = next(each for key, each in answer.items() if key != "ResponseMetadata")
    given = made[name.removesuffix("Name") + "Id"]

    assert re.fullmatch(f"{prefix}[A-Z2-7]{{17}}", given)
    assert made["CreateDate"].microsecond == 0
    if kind != "profile":
        assert given in str(iam.get_account_authorization_details(MaxItems=1000))


def test_a_user_is_known_by_its_id(user: Make, root: Identity) -> None:
    someone = user()
    known = someone.client("sts").get_caller_identity()["UserId"]

    assert known.startswith("AIDA")
    assert root.client("iam").get_user(UserName=someone.name)["User"]["UserId"] == known


def test_policies_of_aws_have_ids_of_policies(iam: Any) -> None:
    listed = iam.list_policies(Scope="AWS", MaxItems=3)["Policies"]

    assert [each["PolicyId"][:4] for each in listed] == ["ANPA"] * 3
    said = iam.get_policy(PolicyArn=listed[0]["Arn"])["Policy"]
    assert said["PolicyId"] == listed[0]["PolicyId"]


@pytest.mark.parametrize("key", ["aws:x", "AWS:x"])
def test_tags_of_aws_are_not_set(key: str, iam: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html"""
    tags = [{"Key": key, "Value": "v"}]
    name = f"tags-of-aws-{len(iam.list_users()['Users'])}"
    iam.create_user(UserName=name)

    assert refused(iam.create_user, UserName="marked", Tags=tags).code == "InvalidInput"
    assert refused(iam.tag_user, UserName=name, Tags=tags).code == "InvalidInput"


def test_there_are_at_most_50_tags(iam: Any) -> None:
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
    iam.create_user(UserName="tagged", Tags=tags[:30])
    iam.tag_user(UserName="tagged", Tags=tags[:50])

    assert refused(iam.tag_user, UserName="tagged", Tags=tags[50:]).code == "LimitExceeded"
    iam.tag_user(UserName="tagged", Tags=[{"Key": "k1", "Value": "other"}])
    assert len(iam.list_user_tags(UserName="tagged")["Tags"]) == 50


def test_lists_come_in_pages(iam: Any) -> None:
    for name in ("a", "b", "c"):
        iam.create_user(UserName=f"page-{name}", Path="/paged/")
    first = iam.list_users(PathPrefix="/paged/", MaxItems=2)
    rest = iam.list_users(PathPrefix="/paged/", MaxItems=2, Marker=first["Marker"])

    assert (first["IsTruncated"], len(first["Users"])) == (True, 2)
    assert (rest["IsTruncated"], [user["UserName"] for user in rest["Users"]]) == (
        False,
        ["page-c"],
    )
    assert "Marker" not in rest
    said = refused(iam.list_users, PathPrefix="/", Marker=first["Marker"])
    assert said.code == "ValidationError"
    for _ in range(2):
        iam.create_access_key(UserName="page-a")
    keys = iam.get_paginator("list_access_keys").paginate(
        UserName="page-a", PaginationConfig={"PageSize": 1}
    )
    pages = list(keys)
    assert [len(page["AccessKeyMetadata"]) for page in pages] == [1, 1]


def test_the_whole_account_comes_in_pages_with_names_and_ids_of_policies(iam: Any) -> None:
    made = iam.create_policy(PolicyName="details", PolicyDocument=POLICY)["Policy"]
    iam.create_user(UserName="details", Tags=[{"Key": "a", "Value": "b"}])
    iam.attach_user_policy(UserName="details", PolicyArn=made["Arn"])
    iam.put_user_policy(UserName="details", PolicyName="in", PolicyDocument=POLICY)
    pages = list(
        iam.get_paginator("get_account_authorization_details").paginate(
            Filter=["User", "LocalManagedPolicy"], PaginationConfig={"PageSize": 3}
        )
    )
    users = [user for page in pages for user in page["UserDetailList"]]
    policies = [policy for page in pages for policy in page["Policies"]]
    sizes = [len(page["UserDetailList"]) + len(page["Policies"]) for page in pages]

    assert set(sizes[:-1]) == {3}
    (policy,) = (each for each in policies if each["PolicyName"] == "details")
    assert policy["PolicyId"] == made["PolicyId"]
    assert policy["PolicyVersionList"][0]["Document"] == json.loads(POLICY)
    (found,) = (each for each in users if each["UserName"] == "details")
    assert found["AttachedManagedPolicies"] == [{"PolicyName": "details", "PolicyArn": made["Arn"]}]
    assert found["UserPolicyList"][0]["PolicyDocument"] == json.loads(POLICY)
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]


def test_the_credential_report_has_the_root_and_last_use(user: Make, root: Identity) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_getting-report.html"""
    someone = user(document(allow("ec2:DescribeTags")))
    someone.client("ec2").describe_tags()
    iam = root.client("iam")
    iam.generate_credential_report()
    rows = list(csv.DictReader(io.StringIO(iam.get_credential_report()["Content"].decode())))
    first, own = rows[0], next(row for row in rows if row["user"] == someone.name)

    assert (first["user"], first["arn"]) == ("<root_account>", f"arn:aws:iam::{ACCOUNT}:root")
    assert (first["access_key_1_active"], first["access_key_1_last_used_service"]) == (
        "true",
        "iam",
    )
    assert own["access_key_1_last_used_region"] == "us-east-1"
    assert own["access_key_1_last_used_service"] == "ec2"
    assert own["access_key_2_active"] == "false"
    assert not any(None in row or None in row.values() for row in rows)


@pytest.mark.parametrize(
    ("usage", "users", "roles"),
    [
        ("PermissionsPolicy", ["attached"], []),
        ("PermissionsBoundary", ["bounded"], ["bounded"]),
        (None, ["attached", "bounded"], ["bounded"]),
    ],
)
def test_the_holders_of_a_policy_are_named_by_how_they_use_it(
    usage: str | None, users: list[str], roles: list[str], root: Identity
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html"""
    iam = root.client("iam")
    name = f"usage-{usage}"
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("ec2:*")))["Policy"][
        "Arn"
    ]
    iam.create_user(UserName=f"{name}-attached")
    iam.attach_user_policy(UserName=f"{name}-attached", PolicyArn=arn)
    iam.create_user(UserName=f"{name}-bounded", PermissionsBoundary=arn)
    bounded = {"RoleName": f"{name}-bounded", "PermissionsBoundary": arn}
    iam.create_role(AssumeRolePolicyDocument=TRUST, **bounded)

    asked = {"PolicyUsageFilter": usage} if usage else {}
    answer = iam.list_entities_for_policy(PolicyArn=arn, **asked)

    assert [user["UserName"] for user in answer["PolicyUsers"]] == [f"{name}-{u}" for u in users]
    assert [role["RoleName"] for role in answer["PolicyRoles"]] == [f"{name}-{r}" for r in roles]
    only = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Role", **asked)
    assert (only["PolicyUsers"], only["PolicyRoles"]) == ([], answer["PolicyRoles"])


@pytest.mark.parametrize(
    ("name", "rule"),
    [(each, "alphanumeric") for each in ("a/b", "a b", "a:b", "é")] + [("x" * 129, "length")],
)
@pytest.mark.parametrize("kind", MAKERS)
def test_a_name_has_only_the_letters_its_page_allows(
    kind: str, name: str, rule: str, root: Identity
) -> None:
    operation, parameter, _, more = MAKERS[kind]

    said = refused(getattr(root.client("iam"), operation), **{parameter: name}, **more)

    assert (said.code, rule in said.message) == ("ValidationError", True)


@pytest.mark.parametrize(
    ("service", "operation", "given", "rule"),
    [
        ("iam", "list_users", {"MaxItems": 0}, "value greater than or equal to 1"),
        ("iam", "list_users", {"MaxItems": 1001}, "value less than or equal to 1000"),
        ("iam", "list_policies", {"Scope": "local"}, "enum value set: [All, AWS, Local]"),
        ("iam", "tag_user", {"Tags": [{"Key": "k" * 129, "Value": ""}]}, "length less than"),
        ("iam", "tag_user", {"Tags": [{"Key": "k*", "Value": ""}]}, "regular expression"),
        ("sts", "assume_role", {"RoleSessionName": "a b"}, "regular expression"),
        ("sts", "assume_role", {"RoleSessionName": "a"}, "length greater than or equal to 2"),
        ("sts", "assume_role", {"DurationSeconds": 60}, "value greater than or equal to 900"),
        ("sts", "get_session_token", {"TokenCode": "12345x"}, "regular expression"),
    ],
)
def test_values_keep_to_the_bounds_of_their_model(
    service: str, operation: str, given: dict[str, Any], rule: str, root: Identity
) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
    required = {
        "tag_user": {"UserName": "u"},
        "assume_role": {"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/r", "RoleSessionName": "name"},
    }
    call = getattr(root.client(service), operation)
    said = refused(call, **required.get(operation, {}) | given)

    assert (said.code, rule in said.message) == ("ValidationError", True)


def test_a_tag_in_any_alphabet_is_kept(root: Identity, user: Make) -> None:
    name = user().name
    tags = [{"Key": "Größe / 大きさ", "Value": ""}]
    root.client("iam").tag_user(UserName=name, Tags=tags)

    assert root.client("iam").list_user_tags(UserName=name)["Tags"] == tags


def test_a_password_is_not_repeated_in_an_error(root: Identity, user: Make) -> None:
    call = root.client("iam").create_login_profile
    said = refused(call, UserName=user().name, Password="s3cret" * 30)

    assert (said.code, "s3cret" in said.message) == ("ValidationError", False)
