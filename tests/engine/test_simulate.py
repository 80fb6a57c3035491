"""The Simulate* API: its two shapes, as botocore checks them, its limits and its errors.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html
https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import pytest

from cml_iam.engine import (
    AttachedPolicy,
    PrincipalPolicies,
    SimulationError,
    context_keys,
    simulate_custom,
    simulate_principal,
)

ACCOUNT, OTHER = "111122223333", "444455556666"
USER = f"arn:aws:iam::{ACCOUNT}:user/bob"
MINE = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
THEIRS = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-2"


def policy(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(action: str = "*", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: str = "*", resource: str = "*", **more: Any) -> dict[str, Any]:
    return {**allow(action, resource, **more), "Effect": "Deny"}


ALL = policy(allow())
TAGGED = policy(
    allow("ec2:*", MINE, Condition={"StringEquals": {"aws:ResourceTag/Owner": "me"}}),
    allow("s3:GetObject", Condition={"Bool": {"aws:SecureTransport": "true"}}),
)


def custom(shape="new", **request):
    return simulate_custom(
        {"PolicyInputList": [ALL], "ActionNames": ["ec2:StopInstances"], **request}, shape=shape
    )


def principal(shape="new", attached=None, **request):
    attached = attached or PrincipalPolicies(USER, (AttachedPolicy("admin", ALL),))
    given = {"PolicySourceArn": attached.arn, "ActionNames": ["ec2:StopInstances"], **request}
    return simulate_principal(given, attached, shape=shape)


@cache
def iam_model():
    from botocore.session import Session

    return Session().get_service_model("iam")


def members(shape, value):
    """Raise unless *value* fits botocore's *shape*, members and required ones included."""
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), set(value) - set(shape.members)
        assert set(shape.required_members) <= set(value)
        for name, each in value.items():
            members(shape.members[name], each)
    elif shape.type_name == "list":
        for each in value:
            members(shape.member, each)
    elif shape.type_name == "map":
        for key, each in value.items():
            members(shape.key, key)
            members(shape.value, each)
    else:
        kind = {"string": str, "boolean": bool, "integer": int}[shape.type_name]
        assert type(value) is kind
        # What the API really answers as SourcePolicyType is not in the enum of its own model.
        if getattr(shape, "enum", None) and shape.name != "PolicySourceType":
            assert value in shape.enum


def xml(shape, value, name):
    if shape.type_name == "structure":
        inner = "".join(xml(shape.members[key], each, key) for key, each in value.items())
    elif shape.type_name == "list":
        inner = "".join(xml(shape.member, each, "member") for each in value)
    elif shape.type_name == "map":
        inner = "".join(
            f"<entry>{xml(shape.key, k, 'key')}{xml(shape.value, v, 'value')}</entry>"
            for k, v in value.items()
        )
    else:
        inner = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{name}>{inner}</{name}>"


def as_botocore_reads_it(operation, answer):
    from botocore.parsers import QueryParser

    shape = iam_model().operation_model(operation).output_shape
    body = xml(shape, answer, f"{operation}Result")
    text = (
        f"<{operation}Response>{body}<ResponseMetadata><RequestId>1</RequestId>"
        f"</ResponseMetadata></{operation}Response>"
    )
    response = {"status_code": 200, "headers": {}, "body": text.encode()}
    parsed = QueryParser().parse(response, shape)
    parsed.pop("ResponseMetadata")
    return parsed


ORGANIZATION = [{"ServiceControlPolicyInputList": [ALL]}]
RESOURCE_POLICY = policy({**allow("ec2:*"), "Principal": {"AWS": USER}})
REQUESTS = {
    "everything": {},
    "resources": {"ResourceArns": [MINE, THEIRS], "PolicyInputList": [TAGGED]},
    "boundary": {"PermissionsBoundaryPolicyInputList": [policy(deny())], "ResourceArns": [MINE]},
    "across accounts": {
        "ResourcePolicy": RESOURCE_POLICY,
        "CallerArn": USER,
        "ResourceOwner": f"arn:aws:iam::{OTHER}:root",
        "ResourceArns": ["arn:aws:s3:::bucket"],
        "PermissionsBoundaryPolicyInputList": [ALL],
    },
    "a page": {"ActionNames": ["a:b", "a:c", "a:d"], "MaxItems": 2},
}


@pytest.mark.parametrize("shape", ["old", "new"])
@pytest.mark.parametrize("name", REQUESTS)
def test_botocore_reads_the_answer_as_it_is(name, shape):
    answer = custom(shape, **REQUESTS[name])

    members(iam_model().operation_model("SimulateCustomPolicy").output_shape, answer)
    assert as_botocore_reads_it("SimulateCustomPolicy", answer) == answer


def test_botocore_reads_the_answer_about_a_principal():
    attached = PrincipalPolicies(
        USER, (AttachedPolicy("p", TAGGED),), AttachedPolicy("b", ALL), ((ALL,),)
    )
    answer = principal(attached=attached, ResourceArns=[MINE])

    members(iam_model().operation_model("SimulatePrincipalPolicy").output_shape, answer)
    assert as_botocore_reads_it("SimulatePrincipalPolicy", answer) == answer


def test_before_there_is_one_result_for_each_action_and_resource():
    results = custom("old", ResourceArns=[MINE, THEIRS], PolicyInputList=[policy(allow("*", MINE))])

    found = [(r["EvalResourceName"], r["EvalDecision"]) for r in results["EvaluationResults"]]
    assert found == [(MINE, "allowed"), (THEIRS, "implicitDeny")]


def test_since_there_is_one_result_for_each_action_with_the_most_restrictive_decision():
    (result,) = custom(ResourceArns=[MINE, THEIRS], PolicyInputList=[policy(allow("*", MINE))])[
        "EvaluationResults"
    ]

    assert result["EvalDecision"] == "implicitDeny"
    assert result["MatchedStatements"] == []
    specific = result["ResourceSpecificResults"]
    found = [(r["EvalResourceName"], r["EvalResourceDecision"]) for r in specific]
    assert found == [(MINE, "allowed"), (THEIRS, "implicitDeny")]
    assert len(specific[0]["MatchedStatements"]) == 1


def test_since_the_resource_name_is_the_template_of_its_type():
    (stop,) = custom(ResourceArns=[MINE])["EvaluationResults"]
    (describe,) = custom(ActionNames=["ec2:DescribeInstances"])["EvaluationResults"]
    (unknown,) = custom(ActionNames=["sqs:CreateUser"])["EvaluationResults"]

    assert (
        stop["EvalResourceName"]
        == "arn:${Partition}:ec2:${Region}:${Account}:instance/${InstanceId}"
    )
    assert describe["EvalResourceName"] == "*"
    assert unknown["EvalResourceName"] == "*"


def test_since_matched_statements_are_the_union_over_resources_each_once():
    both = policy(allow("*", MINE), allow("*", THEIRS), allow("ec2:*"))
    (result,) = custom(ResourceArns=[MINE, THEIRS], PolicyInputList=[both])["EvaluationResults"]

    assert len(result["MatchedStatements"]) == 3
    assert [len(r["MatchedStatements"]) for r in result["ResourceSpecificResults"]] == [2, 2]


@pytest.mark.parametrize(("shape", "top"), [("old", False), ("new", True)])
def test_missing_keys_of_all_policies_stand_with_the_resources(shape, top):
    keys = ["aws:ResourceTag/Owner", "aws:SecureTransport"]
    (named,) = custom(shape, PolicyInputList=[TAGGED], ResourceArns=[MINE])["EvaluationResults"]
    (everything,) = custom(shape, PolicyInputList=[TAGGED])["EvaluationResults"]

    assert everything["MissingContextValues"] == keys
    assert named["MissingContextValues"] == (keys if top else [])
    assert named["ResourceSpecificResults"][0]["MissingContextValues"] == keys


def test_a_key_that_is_given_in_another_case_is_not_missing():
    entry = {
        "ContextKeyName": "AWS:resourcetag/owner",
        "ContextKeyValues": ["me"],
        "ContextKeyType": "string",
    }
    (result,) = custom(PolicyInputList=[TAGGED], ResourceArns=[MINE], ContextEntries=[entry])[
        "EvaluationResults"
    ]

    assert result["EvalDecision"] == "allowed"
    assert result["MissingContextValues"] == ["aws:SecureTransport"]


@pytest.mark.parametrize(
    ("kind", "values", "outcome"),
    [
        ("string", ["a"], "implicitDeny"),
        ("stringList", ["a"], "allowed"),
        ("stringList", ["a", "b"], "implicitDeny"),
    ],
)
def test_the_type_of_a_key_says_whether_it_has_several_values(kind, values, outcome):
    """A single-valued operator never matches a key of a List type, and this one denies."""
    document = policy(allow(), deny(Condition={"StringEquals": {"aws:key": "a"}}), deny(
        Condition={"ForAnyValue:StringEquals": {"aws:key": "b"}}))  # fmt: skip
    entry = {"ContextKeyName": "aws:key", "ContextKeyValues": values, "ContextKeyType": kind}
    (result,) = custom(PolicyInputList=[document], ContextEntries=[entry])["EvaluationResults"]

    assert result["EvalDecision"] == outcome.replace("implicit", "explicit")


def test_a_boundarys_deny_is_listed_with_the_identity_policys_allow():
    (result,) = custom(PermissionsBoundaryPolicyInputList=[policy(deny())])["EvaluationResults"]

    kinds = [statement["SourcePolicyType"] for statement in result["MatchedStatements"]]
    assert result["EvalDecision"] == "explicitDeny"
    assert kinds == ["IAM Policy", "Permissions Boundary Policy"]
    assert result["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}


def test_a_deny_of_an_identity_policy_stands_alone():
    (result,) = custom(PolicyInputList=[ALL, policy(deny())])["EvaluationResults"]

    assert [statement["SourcePolicyId"] for statement in result["MatchedStatements"]] == [
        "PolicyInputList.2"
    ]


def test_an_scp_that_does_not_allow_ends_the_simulation():
    level = {"ServiceControlPolicyInputList": [policy(allow("s3:*"))]}
    (result,) = custom(
        OrderedOrganizationPolicyInputList=[*ORGANIZATION, level], ResourceArns=[MINE]
    )["EvaluationResults"]

    assert result["EvalDecision"] == "implicitDeny"
    assert result["MatchedStatements"] == []
    assert result["OrganizationsDecisionDetail"] == {"AllowedByOrganizations": False}
    assert "EvalDecisionDetails" not in result


def test_scps_with_conditions_count_only_since_the_change():
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_testing-policies.html"""
    scp = policy(allow(), deny(Condition={"Null": {"aws:TokenIssueTime": "true"}}))
    attached = PrincipalPolicies(USER, (AttachedPolicy("p", ALL),), organization=((scp,),))

    found = {
        shape: principal(shape, attached)["EvaluationResults"][0]["EvalDecision"]
        for shape in ("old", "new")
    }
    assert found == {"old": "allowed", "new": "explicitDeny"}


def test_across_accounts_the_decision_of_each_type_of_policy_is_told():
    (result,) = custom(**REQUESTS["across accounts"])["EvaluationResults"]

    assert result["EvalDecision"] == "allowed"
    assert result["EvalDecisionDetails"] == {
        "IAM Policy": "allowed",
        "Permissions Boundary Policy": "allowed",
        "Resource Policy": "allowed",
    }


def test_a_trust_policy_is_ignored():
    trust = policy({"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"})
    role = f"arn:aws:iam::{ACCOUNT}:role/worker"
    (result,) = custom(
        ActionNames=["sts:AssumeRole"], ResourceArns=[role], ResourcePolicy=trust, CallerArn=USER
    )["EvaluationResults"]

    assert result["EvalDecision"] == "allowed"


@pytest.mark.parametrize("shape", ["old", "new"])
def test_pages_put_together_are_the_whole(shape):
    request = {"ActionNames": [f"ec2:A{n}" for n in range(7)], "ResourceArns": [MINE, THEIRS]}
    whole = custom(shape, **request)
    pages, marker = [], {}
    while True:
        page = custom(shape, **request, MaxItems=3, **marker)
        pages.append(page["EvaluationResults"])
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}

    assert [result for page in pages for result in page] == whole["EvaluationResults"]
    assert [len(page) for page in pages[:-1]] == [3] * (len(pages) - 1)


def test_a_page_has_100_results_unless_told_otherwise():
    answer = custom(ActionNames=[f"ec2:A{n}" for n in range(101)])

    assert len(answer["EvaluationResults"]) == 100
    assert answer["IsTruncated"]


def test_a_marker_of_another_request_is_refused():
    page = custom(ActionNames=["a:b", "a:c"], MaxItems=1)

    with pytest.raises(SimulationError, match="marker"):
        custom(ActionNames=["a:b", "a:d"], MaxItems=1, Marker=page["Marker"])


ENTRY = {"ContextKeyName": "aws:key", "ContextKeyType": "string", "ContextKeyValues": ["x"]}
REFUSED = {
    "no such parameter": {"PolicyInput": [ALL]},
    "no actions": {"ActionNames": []},
    "an action without a service": {"ActionNames": ["StopInstances"]},
    "an action with a wildcard": {"ActionNames": ["ec2:Stop*"]},
    "an action that is too long": {"ActionNames": ["ec2:" + "a" * 125]},
    "a document that is no JSON": {"PolicyInputList": ["{"]},
    "an empty document": {"PolicyInputList": [""]},
    "a document with an odd character": {"PolicyInputList": [ALL.replace("*", "☃")]},
    "a document that is too long": {"PolicyInputList": [ALL + " " * 131_072]},
    "an unknown operator": {
        "PolicyInputList": [policy(allow(Condition={"StringEqual": {"a:b": "c"}}))]
    },
    "a text where a list belongs": {"PolicyInputList": ALL},
    "two boundaries": {"PermissionsBoundaryPolicyInputList": [ALL, ALL]},
    "a resource that is not an ARN": {"ResourceArns": ["i-1"]},
    "a short ARN": {"ResourceArns": ["arn:aws:ec2"]},
    "a context key without a service": {
        "ContextEntries": [{**ENTRY, "ContextKeyName": "username"}]
    },
    "a context key that is too short": {"ContextEntries": [{**ENTRY, "ContextKeyName": "a:b"}]},
    "an unknown type": {"ContextEntries": [{**ENTRY, "ContextKeyType": "text"}]},
    "a number that is none": {"ContextEntries": [{**ENTRY, "ContextKeyType": "numeric"}]},
    "a resource policy without a caller": {"ResourcePolicy": RESOURCE_POLICY},
    "a session as caller": {"CallerArn": f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b"},
    "a bare account as owner": {"ResourceOwner": ACCOUNT},
    "no items": {"MaxItems": 0},
    "too many items": {"MaxItems": 1001},
    "a marker of ours it is not": {"Marker": "x"},
    "an unknown scenario": {"ResourceHandlingOption": "EC2-Classic"},
    "a scenario without its resources": {
        "ResourceHandlingOption": "EC2-VPC-EBS",
        "ResourceArns": [MINE],
    },
    "eight levels": {"OrderedOrganizationPolicyInputList": ORGANIZATION * 8},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_as_invalid_input(name):
    with pytest.raises(SimulationError) as refused:
        custom(**REFUSED[name])

    assert (refused.value.code, refused.value.status) == ("InvalidInput", 400)


def test_a_scenario_with_its_resources_is_taken():
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html"""
    kinds = ["instance/i-1", "security-group/sg-1", "network-interface/eni-1", "subnet/subnet-1"]
    arns = [f"arn:aws:ec2:eu-west-1:{ACCOUNT}:{kind}" for kind in kinds]
    arns.append("arn:aws:ec2:eu-west-1::image/ami-1")
    (result,) = custom(
        ActionNames=["ec2:RunInstances"],
        ResourceArns=arns,
        ResourceHandlingOption="EC2-VPC-InstanceStore-Subnet",
    )["EvaluationResults"]

    assert result["EvalDecision"] == "allowed"
    assert len(result["ResourceSpecificResults"]) == 5


def test_what_the_old_api_did_not_know_is_refused():
    role = f"arn:aws:iam::{ACCOUNT}:role/worker"

    assert custom(CallerArn=role)
    for request in ({"CallerArn": role}, {"OrderedOrganizationPolicyInputList": ORGANIZATION}):
        with pytest.raises(SimulationError, match=r"invalid|unknown"):
            custom("old", **request)


def test_a_service_principal_is_refused_in_the_apis_words():
    trust = policy({**allow(), "Principal": {"Service": "ec2.amazonaws.com"}})

    with pytest.raises(SimulationError, match=r"^Principal of type Service is not supported$"):
        custom(ResourcePolicy=trust, CallerArn=USER)


def test_a_session_as_source_is_refused_in_the_apis_words():
    source = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"

    with pytest.raises(SimulationError, match="Invalid Entity Arn"):
        simulate_principal({"PolicySourceArn": source, "ActionNames": ["a:b"]}, None)


def test_an_unknown_source_does_not_exist():
    with pytest.raises(SimulationError) as refused:
        simulate_principal({"PolicySourceArn": USER, "ActionNames": ["a:b"]}, None)

    assert (refused.value.code, refused.value.status) == ("NoSuchEntity", 404)


def test_an_attached_policy_that_cannot_be_read_is_an_evaluation_error():
    attached = PrincipalPolicies(USER, (AttachedPolicy("broken", "{"),))

    with pytest.raises(SimulationError) as refused:
        principal(attached=attached)

    assert (refused.value.code, refused.value.status) == ("PolicyEvaluation", 500)


def test_a_given_boundary_replaces_the_attached_one():
    attached = PrincipalPolicies(
        USER, (AttachedPolicy("p", ALL),), AttachedPolicy("b", policy(deny()))
    )

    (own,) = principal(attached=attached)["EvaluationResults"]
    (given,) = principal(attached=attached, PermissionsBoundaryPolicyInputList=[ALL])[
        "EvaluationResults"
    ]
    assert (own["EvalDecision"], given["EvalDecision"]) == ("explicitDeny", "allowed")


GROUP = f"arn:aws:iam::{ACCOUNT}:group/admins"
MANAGED = f"arn:aws:iam::{ACCOUNT}:policy/team/Managed"
ATTACHED = PrincipalPolicies(
    USER,
    (
        AttachedPolicy("inline", policy(allow("a:inline")), "inline", owner=GROUP),
        AttachedPolicy("Managed", policy(allow("a:managed")), arn=MANAGED, owner=USER),
        AttachedPolicy("Aws", policy(allow("a:aws")), "aws-managed", "arn:aws:iam::aws:policy/Aws"),
    ),
    AttachedPolicy("boundary", policy(allow("a:*")), arn=f"arn:aws:iam::{ACCOUNT}:policy/B"),
    ((policy(deny("a:aws"), allow()),),),
)
ACTIONS = ["a:inline", "a:managed", "a:aws", "b:other"]


def inline(kind="group", name="admins", policy="inline"):
    return {
        "InlinePolicyIdentifier": {
            "PolicyName": policy,
            "AttachmentType": kind,
            "AttachmentName": name,
        }
    }


@pytest.mark.parametrize(
    ("exclusion", "allowed"),
    [
        (None, {"a:inline", "a:managed"}),
        ({"PolicyType": "inline"}, {"a:managed"}),
        ({"PolicyType": "user-managed"}, {"a:inline"}),
        ({"PolicyType": "scp"}, {"a:inline", "a:managed", "a:aws"}),
        ({"PolicyType": "rcp"}, {"a:inline", "a:managed"}),
        ({"PolicyArn": MANAGED}, {"a:inline"}),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/*ged"}, {"a:inline"}),
        ({"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/nothing"}, {"a:inline", "a:managed"}),
        (inline(), {"a:managed"}),
        (inline(name="adm*"), {"a:managed"}),
        (inline(kind="user"), {"a:inline", "a:managed"}),
        (inline(policy="another"), {"a:inline", "a:managed"}),
    ],
)
def test_excluded_policies_do_not_count(exclusion, allowed):
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_PolicyIdentifier.html"""
    exclusions = {"PolicyExclusionList": [exclusion]} if exclusion else {}
    answer = principal(attached=ATTACHED, ActionNames=ACTIONS, **exclusions)

    results = answer["EvaluationResults"]
    assert {r["EvalActionName"] for r in results if r["EvalDecision"] == "allowed"} == allowed


def test_an_excluded_boundary_does_not_limit():
    answer = principal(
        attached=ATTACHED, PolicyExclusionList=[{"PolicyType": "permission-boundary"}]
    )

    assert "PermissionsBoundaryDecisionDetail" not in answer["EvaluationResults"][0]


@pytest.mark.parametrize(
    "exclusion",
    [
        {},
        {"PolicyType": "managed"},
        {"PolicyType": "scp", "PolicyArn": MANAGED},
        {"PolicyArn": "arn:aws:iam::*:policy/Managed"},
        {"PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/*a*"},
        inline(name="*a*"),
        inline(kind="team"),
        {"InlinePolicyIdentifier": {"PolicyName": "inline"}},
    ],
)
def test_a_malformed_exclusion_is_refused(exclusion):
    with pytest.raises(SimulationError) as refused:
        principal(attached=ATTACHED, PolicyExclusionList=[exclusion])

    assert refused.value.code == "InvalidInput"


def test_context_keys_are_those_of_conditions_and_variables_each_once():
    document = policy(
        allow("s3:*", "arn:aws:s3:::b/${aws:username}/${*}", Condition={
            "StringLike": {"s3:prefix": ["${aws:PrincipalTag/team, 'x'}/*"], "AWS:UserName": "x"}
        })
    )  # fmt: skip
    old = policy(allow("*", "arn:aws:s3:::${aws:userid}"), version="2008-10-17")

    assert context_keys([document, old]) == ["aws:username", "s3:prefix", "aws:PrincipalTag/team"]


def test_positions_count_lines_of_a_document_with_several_statements():
    text = '{\n "Statement": [\n  {"Effect": "Allow", "Action": "*", "Resource": "*"},\n' \
        '  {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}\n ]\n}'  # fmt: skip
    (result,) = custom(PolicyInputList=[text])["EvaluationResults"]

    found = [(s["StartPosition"], s["EndPosition"]) for s in result["MatchedStatements"]]
    assert found == [
        ({"Line": 2, "Column": 16}, {"Line": 3, "Column": 54}),
        ({"Line": 3, "Column": 54}, {"Line": 4, "Column": 58}),
    ]
