"""Policies in YAML, CloudFormation templates and Terraform plans, found and read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cml_iam.errors import DocumentError, UnsupportedError
from cml_iam.policy import PolicyDocument, canonical, load_policy
from cml_iam.sources import Kept, document_of, pseudo_of, read_source
from cml_iam.sources._readings import subject_of

KNOWN = pseudo_of("111122223333", "aws")
STATEMENT = {"Effect": "Allow", "Action": "ec2:StopInstances", "Resource": "*"}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
TEXT = json.dumps(POLICY)


def policies(text: str, name: str) -> tuple[Kept, ...]:
    source = read_source(text, name)
    assert source is not None
    assert source.unread == ()
    return source.policies


def templated(resource: str, **properties: Any) -> str:
    """Return a template with one resource of a type."""
    resources = {"R": {"Type": resource, "Properties": properties}}
    return json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})


def statement(**elements: Any) -> PolicyDocument:
    """Return what a managed policy of a template says, whose one statement has these elements."""
    document = {"Version": "2012-10-17", "Statement": [STATEMENT | elements]}
    (kept,) = policies(templated("AWS::IAM::ManagedPolicy", PolicyDocument=document), "t.json")
    return document_of(kept, KNOWN)


INLINE = [{"PolicyName": "a", "PolicyDocument": POLICY}]
RESOURCES = {
    "AWS::IAM::Policy": ({"PolicyDocument": POLICY}, [("Resources.R", "identity")]),
    "AWS::IAM::ManagedPolicy": ({"PolicyDocument": POLICY}, [("Resources.R", "identity")]),
    "AWS::IAM::User": ({"Policies": INLINE}, [("Resources.R.Policies.0", "identity")]),
    "AWS::IAM::Group": ({"Policies": INLINE}, [("Resources.R.Policies.0", "identity")]),
    "AWS::IAM::Role": (
        {"AssumeRolePolicyDocument": POLICY, "Policies": INLINE},
        [
            ("Resources.R.AssumeRolePolicyDocument", "trust"),
            ("Resources.R.Policies.0", "identity"),
        ],
    ),
    "AWS::SecretsManager::ResourcePolicy": (
        {"ResourcePolicy": POLICY},
        [("Resources.R.ResourcePolicy", "resource")],
    ),
    "AWS::IoT::Policy": ({"PolicyDocument": POLICY}, [("Resources.R", "identity")]),
    "AWS::Events::EventBusPolicy": (
        {"EventBusName": "a", "StatementId": "b", "Statement": STATEMENT},
        [("Resources.R", "resource")],
    ),
    "AWS::KMS::Key": ({"KeyPolicy": TEXT}, [("Resources.R.KeyPolicy", "resource")]),
    "AWS::Organizations::Policy": (
        {"Type": "SERVICE_CONTROL_POLICY", "Content": POLICY},
        [("Resources.R.Content", "scp")],
    ),
}


@pytest.mark.parametrize("kind", RESOURCES)
def test_each_policy_of_a_template_has_a_name_and_a_purpose(kind: str) -> None:
    properties, expected = RESOURCES[kind]

    kept = policies(templated(kind, **properties), "t.json")

    assert [(each.label, each.kind) for each in kept] == expected
    assert {canonical(document_of(each, {})) for each in kept} == {canonical(load_policy(POLICY))}


RESOLVED: dict[str, tuple[Any, str]] = {
    "Ref": ({"Ref": "AWS::AccountId"}, "111122223333"),
    "Sub": (
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::b/${!aws:username}"},
        "arn:aws:s3:::b/${aws:username}",
    ),
    "Sub with values": (
        {"Fn::Sub": ["${A}/*", {"A": {"Ref": "AWS::AccountId"}}]},
        "111122223333/*",
    ),
    "Join": (
        {"Fn::Join": [":", ["arn", {"Ref": "AWS::Partition"}, "s3", "", "", "*"]]},
        "arn:aws:s3:::*",
    ),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_a_function_of_the_account_is_decided_by_the_account(name: str) -> None:
    value, text = RESOLVED[name]

    assert statement(Resource=value).statements[0].resource == (text,)
    assert statement(Resource=[value, "x"]).statements[0].resource == (text, "x")


def _grown(levels: int) -> Any:
    """Return a function of a text that is a thousand times as long at each of *levels*."""
    inner: Any = "x" * 1000
    for _ in range(levels):
        inner = {"Fn::Sub": ["${A}" * 1000, {"A": inner}]}
    return inner


LEFT_OPEN: dict[str, dict[str, Any]] = {
    "a parameter": {"Resource": {"Ref": "Bucket"}},
    "an attribute": {"Resource": {"Fn::GetAtt": ["Bucket", "Arn"]}},
    "the region": {"Resource": {"Fn::Sub": "arn:aws:ec2:${AWS::Region}:*:instance/*"}},
    "a name in Sub": {"Resource": {"Fn::Sub": "arn:aws:s3:::${Bucket}"}},
    "an import": {"Resource": {"Fn::ImportValue": "x"}},
    "a dynamic reference": {"Resource": "{{resolve:ssm:bucket}}"},
    "one of several": {"Resource": ["*", {"Ref": "Bucket"}]},
    "an action": {"Action": {"Ref": "Actions"}},
    "a condition's value": {"Condition": {"StringEquals": {"aws:SourceVpc": {"Ref": "Vpc"}}}},
    "a condition": {"Condition": {"Fn::If": ["C", {}, {"Ref": "AWS::NoValue"}]}},
    "a text without end": {"Resource": _grown(5)},
    "the effect": {"Effect": {"Fn::If": ["C", "Allow", "Deny"]}},
}


@pytest.mark.parametrize("name", LEFT_OPEN)
def test_what_a_function_leaves_open_is_said_and_never_guessed_for_a_proof(name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"t\.json:1:\d+: .*not judged"):
        statement(**LEFT_OPEN[name])


def test_without_a_site_the_account_is_left_open() -> None:
    document = POLICY | {"Statement": STATEMENT | {"Resource": {"Ref": "AWS::AccountId"}}}
    (kept,) = policies(templated("AWS::IAM::Policy", PolicyDocument=document), "t.json")

    with pytest.raises(UnsupportedError) as error:
        document_of(kept, {})

    assert "--site" in str(error.value.remedy)
    assert subject_of(kept).open == ()


def test_a_name_that_is_left_open_leaves_nothing_open() -> None:
    name = {"Fn::Sub": "${AWS::StackName}-a"}
    document = {"Version": "2012-10-17", "Id": name, "Statement": [STATEMENT | {"Sid": name}]}
    (kept,) = policies(templated("AWS::IAM::Policy", PolicyDocument=document), "t.json")

    assert canonical(document_of(kept, {})) == canonical(load_policy(POLICY))
    assert subject_of(kept).open == ()


def test_the_policy_of_an_endpoint_is_not_judged_as_that_of_a_resource() -> None:
    template = templated("AWS::EC2::VPCEndpoint", PolicyDocument=POLICY)

    for text in template, planned(resource("aws_vpc_endpoint", policy=TEXT)):
        source = read_source(text, "t.json")

        assert source is not None
        assert source.policies == ()
        assert "the policy of a VPC endpoint: not judged" in source.unread[0].message


def test_an_element_without_a_value_is_absent() -> None:
    nothing = {"Ref": "AWS::NoValue"}

    read = statement(Resource=["*", nothing], Condition=nothing).statements[0]

    assert read.resource == ("*",)
    assert read.conditions == ()


def test_the_rules_of_a_firewall_are_no_policies() -> None:
    rule = {"Name": "a", "Priority": 1, "Statement": {"GeoMatchStatement": {}}}

    assert policies(templated("AWS::WAFv2::WebACL", Rules=[rule]), "t.json") == ()


def test_a_document_that_is_a_function_is_not_read_and_said() -> None:
    source = read_source(templated("AWS::IAM::Policy", PolicyDocument={"Ref": "P"}), "t.json")

    assert source is not None
    assert source.policies == ()
    assert [each.message for each in source.unread] == [
        "`Ref` leaves `Resources.R` open, so it is not judged"
    ]


def test_resources_that_are_made_by_a_loop_are_said() -> None:
    resources = {"Fn::ForEach::Each": ["X", ["a"], {}]}
    text = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources})

    source = read_source(text, "t.json")

    assert source is not None
    assert "not expanded" in source.unread[0].message


def planned(*resources: dict[str, Any], **more: Any) -> str:
    """Return a plan with these resources."""
    values = {"root_module": {"resources": list(resources)}}
    return json.dumps({"format_version": "1.2", "planned_values": values, **more})


def resource(kind: str, **values: Any) -> dict[str, Any]:
    """Return a resource of a plan."""
    return {"address": f"{kind}.r", "type": kind, "values": values}


TRUST = TEXT.replace("ec2:StopInstances", "sts:AssumeRole")
PLANS = {
    "aws_iam_policy": ({"policy": TEXT}, [("aws_iam_policy.r", "identity")]),
    "aws_iam_role_policy": ({"policy": TEXT}, [("aws_iam_role_policy.r", "identity")]),
    "aws_iam_user_policy": ({"policy": TEXT}, [("aws_iam_user_policy.r", "identity")]),
    "aws_iam_group_policy": ({"policy": TEXT}, [("aws_iam_group_policy.r", "identity")]),
    "aws_iam_role": (
        {"assume_role_policy": TRUST, "inline_policy": [{"name": "a", "policy": TEXT}]},
        [
            ("aws_iam_role.r.assume_role_policy", "trust"),
            ("aws_iam_role.r.inline_policy.0.policy", "identity"),
        ],
    ),
    "aws_s3_bucket_policy": ({"policy": TEXT}, [("aws_s3_bucket_policy.r", "resource")]),
    "aws_organizations_policy": (
        {"type": "SERVICE_CONTROL_POLICY", "content": TEXT},
        [("aws_organizations_policy.r", "scp")],
    ),
    "aws_iam_policy_document": (
        {"json": TEXT, "minified_json": TEXT},
        [("aws_iam_policy_document.r", None)],
    ),
    "local_file": ({"content": TEXT}, []),
}


@pytest.mark.parametrize("kind", PLANS)
def test_each_policy_of_a_plan_has_the_address_of_its_resource(kind: str) -> None:
    values, expected = PLANS[kind]

    kept = policies(planned(resource(kind, **values)), "plan.json")

    assert [(each.label, each.kind) for each in kept] == expected


LOWER = {"Version": "2012-10-17", "statement": [STATEMENT]}
NO_POLICIES: dict[str, Any] = {"a statement": STATEMENT, "a list": [STATEMENT], "a typo": LOWER}


@pytest.mark.parametrize("name", NO_POLICIES)
def test_an_attribute_that_is_a_policy_by_its_name_is_judged_whatever_its_value(name: str) -> None:
    value = NO_POLICIES[name]
    text = json.dumps(value)
    texts = [
        planned(resource("aws_iam_user_policy", policy=text)),
        planned(resource("aws_iam_role", assume_role_policy=text)),
        planned(resource("aws_iam_role", inline_policy=[{"name": "a", "policy": text}])),
        planned(resource("aws_organizations_policy", content=text)),
        planned(resource("aws_iam_policy_document", json=text)),
        templated("AWS::IAM::UserPolicy", PolicyDocument=value),
        templated("AWS::IAM::Role", AssumeRolePolicyDocument=value),
        templated("AWS::IAM::User", Policies=[{"PolicyName": "a", "PolicyDocument": value}]),
        templated("AWS::KMS::Key", KeyPolicy=text),
        templated("AWS::S3::AccessPoint", Policy=value),
        templated("AWS::Organizations::Policy", Type="SERVICE_CONTROL_POLICY", Content=value),
    ]

    for each in texts:
        (kept,) = policies(each, "file.json")
        assert kept.written.value == value
        with pytest.raises(DocumentError):
            document_of(kept, KNOWN)


@pytest.mark.parametrize("text", ["{not json", "not json", "arn:aws:iam::aws:policy/ReadOnly"])
def test_text_that_cannot_be_read_where_a_policy_belongs_is_not_judged(text: str) -> None:
    role = resource("aws_iam_role", assume_role_policy=text, inline_policy=[{"policy": TEXT}])
    template = templated("AWS::IAM::UserPolicy", PolicyDocument=text)

    for each, judged in (planned(role), 1), (template, 0):
        source = read_source(each, "file.json")

        assert source is not None
        assert len(source.policies) == judged
        (problem,) = source.unread
        assert "not a policy in JSON" in problem.message


@pytest.mark.parametrize(
    "values",
    [{"policy": ""}, {"policy": None}, {"inline_policy": []}, {"inline_policy": [{"policy": ""}]}],
)
def test_an_attribute_without_a_value_is_no_policy(values: dict[str, Any]) -> None:
    assert policies(planned(resource("aws_iam_role", **values)), "plan.json") == ()


MASK = {"Name": "a", "Version": "2021-06-01", "Statement": [{"Operation": {"Audit": {}}}]}
STACK = {"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "Update:*", "Resource": "*"}]}
OTHER_POLICIES: dict[str, dict[str, Any]] = {
    "aws_cloudformation_stack": {"policy_body": json.dumps(STACK)},
    "aws_cloudwatch_log_index_policy": {"policy_document": '{"Fields": []}'},
    "aws_ecr_lifecycle_policy": {"policy": '{"rules": []}'},
    "aws_iot_policy_attachment": {"policy": "name-of-a-policy"},
    "aws_networkmanager_core_network_policy_attachment": {"policy_document": '{"segments": []}'},
    "aws_organizations_policy": {"type": "TAG_POLICY", "content": '{"tags": {}}'},
    "aws_ses_receipt_filter": {"policy": "Block"},
    "AWS::BedrockAgentCore::Policy": {"Definition": {"Policy": {"Statement": "permit();"}}},
    "AWS::CleanRooms::ConfiguredTable": {"AnalysisRules": [{"Policy": {"V1": {}}}]},
    "AWS::CloudFormation::Stack": {"StackPolicyBody": STACK},
    "AWS::Config::ConfigRule": {"Source": {"CustomPolicyDetails": {"PolicyText": "rule a"}}},
    "AWS::EC2::VerifiedAccessGroup": {"PolicyDocument": "permit(principal, action, resource);"},
    "AWS::EKS::AccessEntry": {"AccessPolicies": [{"PolicyArn": "arn:aws:eks::aws:a"}]},
    "AWS::Logs::LogGroup": {"DataProtectionPolicy": MASK},
    "AWS::NetworkManager::CoreNetwork": {"PolicyDocument": {"version": "2021.12"}},
    "AWS::OpenSearchServerless::AccessPolicy": {"Policy": '[{"Rules": []}]'},
    "AWS::SES::ReceiptFilter": {"Filter": {"IpFilter": {"Policy": "Block"}}},
    "AWS::SNS::Topic": {"DataProtectionPolicy": MASK},
}


@pytest.mark.parametrize("kind", OTHER_POLICIES)
def test_a_policy_that_is_not_of_iam_is_left_out(kind: str) -> None:
    assert policies(holding(kind, **OTHER_POLICIES[kind]), "plan.json") == ()


def test_a_policy_that_is_not_of_iam_is_not_awaited_either() -> None:
    change = {"after": {}, "after_unknown": {"policy": True}}
    changes = [{"address": "a", "type": "aws_ecr_lifecycle_policy", "change": change}]

    assert policies(planned(resource_changes=changes), "plan.json") == ()


LISTED = [
    # the resource schemas that AWS publishes: type, property, kind
    ("AWS::ApiGateway::RestApi", "Policy", "resource"),
    ("AWS::Bedrock::ResourcePolicy", "PolicyDocument", "resource"),
    ("AWS::Comprehend::EntityRecognizer", "ModelPolicy", "resource"),
    ("AWS::EKS::PodIdentityAssociation", "Policy", "identity"),
    ("AWS::Lex::ResourcePolicy", "Policy", "resource"),
    ("AWS::Logs::Destination", "DestinationPolicy", "resource"),
    ("AWS::Logs::LogGroup", "ResourcePolicyDocument", "resource"),
    ("AWS::MSK::ClusterPolicy", "Policy", "resource"),
    ("AWS::Omics::SequenceStore", "S3AccessPolicy", "resource"),
    ("AWS::Organizations::ResourcePolicy", "Content", "resource"),
    ("AWS::Redshift::Cluster", "NamespaceResourcePolicy", "resource"),
    ("AWS::RolesAnywhere::Profile", "SessionPolicy", "identity"),
    ("AWS::S3Outposts::AccessPoint", "Policy", "resource"),
    ("AWS::SageMaker::ModelPackageGroup", "ModelPackageGroupPolicy", "resource"),
    ("AWS::SSM::ResourcePolicy", "Policy", "resource"),
    ("AWS::Transfer::User", "Policy", "identity"),
    # the documentation of the Terraform provider: type, attribute, kind
    ("aws_cloudwatch_log_delivery_destination_policy", "delivery_destination_policy", "resource"),
    ("aws_cloudwatch_log_destination_policy", "access_policy", "resource"),
    ("aws_ecr_repository_creation_template", "repository_policy", "resource"),
    ("aws_eks_pod_identity_association", "policy", "identity"),
    ("aws_organizations_resource_policy", "content", "resource"),
    ("aws_rolesanywhere_profile", "session_policy", "identity"),
    ("aws_s3tables_table_policy", "resource_policy", "resource"),
    ("aws_transfer_user", "policy", "identity"),
]


def holding(kind: str, **values: Any) -> str:
    """Return a template, or else a plan, with one resource of the type *kind*."""
    return templated(kind, **values) if "::" in kind else planned(resource(kind, **values))


@pytest.mark.parametrize(("kind", "name", "purpose"), LISTED)
def test_a_policy_is_judged_where_aws_and_the_provider_document_one(
    kind: str, name: str, purpose: str
) -> None:
    for value in TEXT, json.dumps(NO_POLICIES["a typo"]):
        (kept,) = policies(holding(kind, **{name: value}), "file.json")
        assert kept.kind == purpose

    source = read_source(holding(kind, **{name: "{not json"}), "file.json")
    assert source is not None
    assert len(source.unread) == 1


BROKEN = [
    "{Statement: [",
    TEXT[:-1],
    json.dumps([STATEMENT]),
    json.dumps({"Statment": [STATEMENT]}),
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("kind", ["aws_new_thing", "AWS::New::Thing"])
def test_text_that_looks_like_a_policy_is_said_wherever_it_stands(kind: str, text: str) -> None:
    name = "Guard" if "::" in kind else "guard"
    source = read_source(holding(kind, **{name: text}), "file.json")
    whole = read_source(holding(kind, **{name: TEXT}), "file.json")

    assert source is not None
    assert whole is not None
    assert source.policies == ()
    assert len(source.unread) == len(whole.policies) == 1


def test_a_template_in_a_plan_is_not_taken_for_a_policy_and_is_said() -> None:
    body = templated("AWS::IAM::ManagedPolicy", PolicyDocument=POLICY)

    source = read_source(
        planned(resource("aws_cloudformation_stack", template_body=body)), "p.json"
    )

    assert source is not None
    assert source.policies == ()
    assert "not judged" in source.unread[0].message


def test_a_policy_in_the_form_of_sam_is_said() -> None:
    auth = {"ResourcePolicy": {"CustomStatements": [STATEMENT]}}

    source = read_source(templated("AWS::Serverless::Api", Auth=auth), "t.json")

    assert source is not None
    assert source.policies == ()
    assert "SAM: not judged" in source.unread[0].message


def test_a_module_below_another_is_read() -> None:
    module = {"child_modules": [{"resources": [resource("aws_iam_policy", policy=TEXT)]}]}
    values = {"root_module": {"child_modules": [module]}}

    kept = policies(json.dumps({"format_version": "1.0", "values": values}), "state.json")

    assert [each.label for each in kept] == ["aws_iam_policy.r"]


def test_the_document_of_a_data_source_counts_once() -> None:
    prior = {
        "values": {"root_module": {"resources": [resource("aws_iam_policy_document", json=TEXT)]}}
    }

    alone = policies(planned(prior_state=prior), "plan.json")
    used = policies(
        planned(resource("aws_iam_policy", policy=TEXT), prior_state=prior), "plan.json"
    )

    assert [each.label for each in alone] == ["aws_iam_policy_document.r"]
    assert [each.label for each in used] == ["aws_iam_policy.r"]


def test_what_is_known_only_after_apply_is_said() -> None:
    unknown = {"after": {"name": "a"}, "after_unknown": {"policy": True, "id": True}}
    change = {"address": "aws_iam_policy.r", "type": "aws_iam_policy", "change": unknown}

    source = read_source(
        planned(resource("aws_iam_policy"), resource_changes=[change]), "plan.json"
    )

    assert source is not None
    (problem,) = source.unread
    assert (
        str(problem)
        == "plan.json: aws_iam_policy.r: `policy` is known only after apply, so it is not judged"
    )


@pytest.mark.parametrize(
    "text", [TEXT, "{", "", "[1]", '{"Resources": 1}', '{"format_version": 1}']
)
def test_other_json_is_left_to_others(text: str) -> None:
    assert read_source(text, "p.json") is None


def test_yaml_that_is_something_else_has_no_policy() -> None:
    source = read_source("kind: Pod\n", "pod.yaml")

    assert source is not None
    assert (source.form, source.policies) == ("not a policy: it has no `Statement`", ())
