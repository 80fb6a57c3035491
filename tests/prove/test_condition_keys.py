"""What proofs take on trust: the data claims no more than AWS's pages say."""

from __future__ import annotations

import re
import tomllib

import pytest

from cml_iam.facts import key_type, known_keys, same_key, service
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, never
from tests.conftest import REPOSITORY

DATA = tomllib.loads((REPOSITORY / "policies" / "condition-keys.toml").read_text("utf-8"))
CLAIMS = {"always", "signed", "whole", "filled", "least"}

# Which requests have the global keys, by their "Availability":
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
IN_ALL = {
    "aws:CurrentTime",
    "aws:EpochTime",
    "aws:PrincipalAccount",
    "aws:PrincipalType",
    "aws:RequestedRegion",
    "aws:SecureTransport",
    "aws:UserAgent",
    "aws:userid",
    "aws:ViaAWSService",
}
IN_SIGNED = {"aws:PrincipalArn", "aws:PrincipalIsAWSService"}

# Another page of AWS, or an earlier state of that one, has them in fewer requests:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
# What aws:PrincipalAccount is follows from the caller.
DOUBTED = {"aws:PrincipalAccount", "aws:UserAgent", "aws:userid", "aws:ViaAWSService"}


def claiming(claim):
    return {each["name"] for each in DATA["key"] if claim in each and "type" not in each}


def attached(*statements):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return Policies(identity=(load_policy(document),))


def allowed(action, resource="*", **condition):
    made = {"Effect": "Allow", "Action": action, "Resource": resource}
    return attached(made | ({"Condition": condition} if condition else {}))


def test_the_file_has_nothing_that_is_not_read():
    by_type = {"any-request", "some-requests"}
    assert DATA.keys() == {"page", "key", "only", "with", "id", "global", "region"} | by_type
    assert all(isinstance(names, list) for table in by_type for names in DATA[table].values())
    for each in DATA["key"]:
        assert each.keys() <= CLAIMS | {"name", "type", "anchor", "page"}
        assert len(each.keys() & CLAIMS) == 1, f"{each['name']} claims one thing"
        assert all(each[claim] is True for claim in each.keys() & CLAIMS - {"least"})
        assert ("anchor" in each) != ("page" in each)
    for each in DATA["only"]:
        assert each.keys() == {"name", "actions", "page"}
        assert each["actions"]
    for each in DATA["with"]:
        assert each.keys() == {"name", "other", "value", "page"}
    for each in DATA["id"]:
        assert each.keys() == {"name", "type", "page"}
    for each in (*DATA["global"], *DATA["region"]):
        assert each.keys() == {"service", "except", "page"}


def test_a_key_stands_once_under_any_of_its_names():
    names = [same_key(each["name"]) for each in (*DATA["key"], *DATA["only"])]

    assert len(names) == len(set(names))
    assert len({each["service"] for each in DATA["region"]}) == len(DATA["region"])


def test_keys_are_spelt_as_aws_spells_them():
    for each in (*DATA["key"], *DATA["only"], *DATA["with"], *DATA["id"]):
        assert each["name"] in known_keys(each["name"].partition(":")[0])


def test_pages_are_of_the_documentation_of_aws():
    pages = [
        each["page"]
        for kind in ("key", "only", "with", "id", "global", "region")
        for each in DATA[kind]
        if "page" in each
    ]

    for page in (DATA["page"], *pages):
        assert re.fullmatch(r"https://docs\.aws\.amazon\.com/[\w./-]+\.html(#[\w-]+)?", page)
    for each in DATA["key"]:
        if "anchor" in each:
            assert each["anchor"] == f"condition-keys-{each['name'].partition(':')[2].lower()}"


def test_what_is_always_or_in_signed_requests_there_is_so_by_the_page():
    known = set(known_keys("aws"))

    assert known >= IN_ALL | IN_SIGNED | DOUBTED
    assert claiming("always") <= IN_ALL - DOUBTED
    assert claiming("signed") <= IN_ALL | IN_SIGNED


def test_numbers_and_lists_are_said_to_be_such_by_the_reference():
    assert {key_type(each) for each in claiming("whole") | claiming("least")} == {"Numeric"}
    assert {key_type(each) for each in claiming("filled")} == {"ArrayOfString"}


@pytest.mark.parametrize("entry", DATA["only"], ids=lambda each: each["name"])
def test_the_reference_knows_a_key_of_some_actions_for_these_alone(entry):
    owner = service(entry["name"].partition(":")[0])

    having = {
        action.full
        for name in owner.action_names
        if (action := owner.action(name)).has_key(entry["name"])
    }

    assert having == set(entry["actions"])


@pytest.mark.parametrize("entry", DATA["region"], ids=lambda each: each["service"])
def test_actions_that_reach_into_other_regions_are_left_out(entry):
    owner = service(entry["service"])
    apart = set(entry["except"])

    assert apart <= {f"{entry['service']}:{name}" for name in owner.action_names}
    assert list(entry["except"]) == sorted(apart)
    # By their names: whatever copies or joins what can be in two regions.
    reaching = re.compile(r"Copy(?!right)|Peering|CrossRegion|Replicat|EnclaveCertificate")
    told = {name for name in owner.action_names if reaching.search(name)}
    local = {name for name in told if owner.action(name).takes_no_resource}
    assert {f"{entry['service']}:{name}" for name in told - local} <= apart


@pytest.mark.parametrize("entry", DATA["region"], ids=lambda each: each["service"])
def test_arns_of_such_services_name_a_region_or_leave_it_empty(entry):
    owner = service(entry["service"])

    regions = {
        arn[3]
        for name in owner.action_names
        for target in owner.action(name).targets
        for arn in target.arns
    }

    assert regions == {"*", ""}


@pytest.mark.parametrize("key", sorted(claiming("always") | claiming("signed")))
def test_a_key_that_users_always_send_is_never_absent(key):
    verdict = never(allowed("s3:GetObject", Null={key: "true"}), Shape(["s3:GetObject"]))

    assert verdict.holds
    assert {assumption.kind for assumption in verdict.assumptions} <= {"always", "signed"}
    assert all(
        assumption.page.endswith(key.partition(":")[2].lower())
        for assumption in verdict.assumptions
    )


@pytest.mark.parametrize(
    "key",
    [
        "aws:FederatedProvider",
        "aws:MultiFactorAuthAge",
        "aws:MultiFactorAuthPresent",
        "aws:PrincipalOrgID",
        "aws:PrincipalTag/team",
        "aws:referer",
        "aws:ResourceAccount",
        "aws:ResourceTag/team",
        "aws:SourceIp",
        "aws:SourceVpc",
        "aws:TagKeys",
        "aws:TokenIssueTime",
        "aws:UserAgent",
        "aws:username",
        "aws:ViaAWSService",
    ],
)
@pytest.mark.parametrize("absent", ["true", "false"])
def test_a_key_of_some_requests_may_be_there_or_not(key, absent):
    verdict = never(allowed("ec2:CreateTags", Null={key: absent}), Shape(["ec2:CreateTags"]))

    assert verdict.answer == "broken"
    assert not verdict.assumptions


def test_an_empty_list_of_tag_keys_passes_no_test_for_one():
    # Null says that there are none, as it does for an absent key.
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    wiping = Shape(
        ["ec2:DeleteTags"], conditions={"ForAllValues:StringEquals": {"aws:TagKeys": []}}
    )
    open_ = {"ForAllValues:StringNotEquals": {"aws:TagKeys": "ManagedBy"}}

    closed = never(allowed("ec2:DeleteTags", Null={"aws:TagKeys": "false"}, **open_), wiping)

    assert closed.holds
    assert [assumption.kind for assumption in closed.assumptions] == ["filled"]
    assert never(allowed("ec2:DeleteTags", **open_), wiping).answer == "broken"


@pytest.mark.parametrize("action", DATA["region"][0]["except"])
def test_nothing_is_taken_for_granted_of_regions_where_there_may_be_two(action):
    elsewhere = Shape(
        [action], conditions={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}
    )

    verdict = never(allowed(action, "arn:aws:*:eu-west-1:*:*"), elsewhere)

    assert verdict.answer == "broken"


@pytest.mark.parametrize(
    ("action", "resource", "answer"),
    [
        ("ec2:RunInstances", "arn:aws:ec2:eu-west-1::image/*", "holds"),
        ("ec2:TerminateInstances", "arn:aws:ec2:eu-west-1:*:instance/*", "holds"),
        # An ARN without region tells nothing of the request's.
        ("ec2:DeleteIpam", "arn:aws:ec2::*:ipam/*", "broken"),
        ("ec2:DescribeRegions", "*", "broken"),
        # Other services are asked nothing of.
        ("s3:GetObject", "arn:aws:s3:eu-west-1:*:accesspoint/*", "broken"),
        ("kms:ReplicateKey", "arn:aws:kms:eu-west-1:*:key/*", "broken"),
    ],
)
def test_the_region_of_an_arn_is_the_requests_where_a_resource_is_used_in_its_own(
    action, resource, answer
):
    elsewhere = Shape(
        [action], conditions={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}
    )

    assert never(allowed(action, resource), elsewhere).answer == answer
