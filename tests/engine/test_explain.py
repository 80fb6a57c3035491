"""Why each statement did or did not apply; what can never match, with its place; the command."""

from __future__ import annotations

import json

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.errors import InputError
from cml_iam.facts import never_sent

ARN = "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"
TEXT = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Mine", "Effect": "Allow", "Action": ["ec2:Start*", "ec2:Stop*"],
     "Resource": "arn:aws:ec2:eu-west-1:111122223333:instance/*",
     "Condition": {"StringEquals": {"aws:ResourceTag/Owner": ["me", "us"]}}},
    {"Effect": "Allow", "NotAction": "ec2:*", "NotResource": "arn:aws:s3:::secret"},
    {"Sid": "Net", "Effect": "Deny", "Action": "*", "Resource": "*",
     "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}
  ]
}"""
CONTEXT = {"AWS:resourcetag/owner": "me", "aws:SourceIp": "10.1.2.3"}


def decide(context=CONTEXT, **request):
    given = {"action": "ec2:StopInstances", "resource": ARN, "context": context, **request}
    return compile_policies([TEXT]).decide(Request(**given))


def test_the_deciding_statement_of_an_allowed_request():
    decision = decide()

    assert decision.allowed
    assert [statement.label for statement in decision.statements] == ["Mine"]
    assert decision.statements[0].reason == "it applies"


def test_the_deciding_statement_of_a_denied_request():
    decision = decide({**CONTEXT, "aws:SourceIp": "192.0.2.1"})

    assert decision.outcome == "explicitDeny"
    assert [statement.label for statement in decision.statements] == ["Net"]


def test_nothing_decides_an_implicit_deny():
    assert decide({"aws:SourceIp": "10.1.2.3"}).statements == ()


def test_the_reason_names_the_key_its_value_and_what_was_wanted():
    reasons = {
        reason.label: reason.reason for reason in decide({"aws:SourceIp": "10.1.2.3"}).reasons
    }

    assert reasons["Mine"] == (
        "`aws:ResourceTag/Owner` is missing; StringEquals requires `me` or `us`"
    )
    assert reasons["statement 2"] == "NotAction names `ec2:StopInstances`"
    assert (
        reasons["Net"]
        == "`aws:SourceIp` is `10.1.2.3`; NotIpAddress requires anything but `10.0.0.0/8`"
    )


def test_the_reason_says_when_a_key_has_too_many_values():
    (mine, *_) = decide({"aws:ResourceTag/Owner": ["me"]}).explanation.statements

    assert "needs ForAllValues or ForAnyValue" in mine.reason


def test_every_statement_has_its_place_and_elements():
    mine, other, net = decide().explanation.statements

    assert [str(each.place) for each in (mine, other, net)] == [
        "identity policy 1:4:5",
        "identity policy 1:7:5",
        "identity policy 1:8:5",
    ]
    assert [(element.element, element.matched) for element in other.elements] == [
        ("NotAction", False),
        ("NotResource", True),
    ]
    assert mine.conditions[0].found == ("me",)


def test_the_gates_say_which_policies_allow():
    boundary = {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}
    authorizer = compile_policies([TEXT], boundary=boundary, scps=[[boundary], [boundary]])
    explanation = authorizer.explain(Request("ec2:StopInstances", ARN, None, CONTEXT))

    assert [(gate.kind, gate.level, gate.allowed) for gate in explanation.gates] == [
        ("identity", None, True),
        ("boundary", None, False),
        ("scp", 1, False),
        ("scp", 2, False),
    ]


def test_a_resource_policy_shows_the_principal():
    policy = {
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:user/eve"},
            "Action": "*",
            "Resource": "*",
        }
    }
    bob = "arn:aws:iam::111122223333:user/bob"
    (reason,) = compile_policies(resource=policy).decide(Request("a:b", principal=bob)).reasons

    assert reason.reason == f"Principal does not name `{bob}`"


def test_a_context_value_of_another_type_is_an_error():
    with pytest.raises(InputError, match="cannot be of the type `dict`"):
        decide({**CONTEXT, "aws:SourceIp": {}})


BROKEN = """{
  "Version": "2012-10-17",
  "Statement": {
    "Effect": "Allow",
    "Action": ["ec2:*", "ec2", "*:Stop*", "ec2: "],
    "Resource": ["*", "bucket", "arn:aws:s3", "arn:aws:s3:::${"],
    "Condition": {
      "StringEqual": {"aws:a": "x"},
      "ForSomeValues:Bool": {"aws:a": "true"},
      "NumericEquals": {"aws:a": ["1", "one"]},
      "DateLessThan": {"aws:a": "tomorrow"},
      "IpAddress": {"aws:a": "10.0.0.0/33"},
      "ArnLike": {"aws:a": "arn:aws"},
      "Bool": {"aws:a": "yes"},
      "Null": {"aws:a": "maybe"},
      "StringLike": {"aws:a": "${aws:x"}
    }
  }
}"""


def test_what_can_never_match_is_reported_with_its_place():
    found = [
        (problem.place.line, problem.place.column, problem.message)
        for problem in compile_policies([BROKEN]).problems
    ]

    assert found == [
        (5, 25, "action `ec2` names no service, so it never matches"),
        (5, 32, "action `*:Stop*` has a wildcard in its service, so it never matches"),
        (5, 43, "action `ec2: ` is empty or has white space, so it never matches"),
        (6, 23, "resource `bucket` is neither an ARN nor `*`, so it never matches"),
        (6, 33, "resource `arn:aws:s3` has fewer than six fields"),
        (6, 47, "resource `arn:aws:s3:::${`: `${` does not begin a variable"),
        (
            8,
            23,
            "unknown condition operator `StringEqual`, so it never matches; "
            "did you mean `StringEquals`?",
        ),
        (9, 30, "unknown condition operator `ForSomeValues:Bool`, so it never matches"),
        (10, 25, "NumericEquals `one` is not a number"),
        (11, 24, "DateLessThan `tomorrow` is not a date"),
        (12, 21, "IpAddress `10.0.0.0/33` is not an IP address or range"),
        (13, 19, "ArnLike `arn:aws` is not an ARN"),
        (14, 16, "Bool `yes` is neither true nor false"),
        (15, 16, "Null `maybe` is neither true nor false"),
        (16, 22, "StringLike `${aws:x`: `${` does not begin a variable"),
    ]


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def policy_file(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(TEXT)
    return path


def test_the_command_shows_a_tree_with_symbols_and_words(cml_iam, policy_file):
    ran = cml_iam(
        "policy", "explain", "ec2:StopInstances", "--resource", ARN, "--policy", policy_file,
        "--context", "aws:ResourceTag/Owner=you", "--context", "aws:SourceIp=10.1.2.3",
    )  # fmt: skip

    assert (ran.code, ran.err) == (3, "")
    assert ran.out.splitlines() == [
        f"✖ implicitly denied: ec2:StopInstances on {ARN}",
        "  no statement allows it in the identity policy",
        "",
        f"identity policy: {policy_file}",
        "  • Allow Mine: does not apply",
        "      ✔ Action names `ec2:StopInstances`",
        f"      ✔ Resource names `{ARN}`",
        "      ✖ `aws:ResourceTag/Owner` is `you`; StringEquals requires `me` or `us`",
        "  • Allow statement 2: about other actions",
        "  • Deny Net: does not apply",
        "      ✔ Action names `ec2:StopInstances`",
        f"      ✔ Resource names `{ARN}`",
        "      ✖ `aws:SourceIp` is `10.1.2.3`; NotIpAddress requires anything but `10.0.0.0/8`",
    ]


def test_the_command_says_it_as_json(cml_iam, policy_file):
    ran = cml_iam(
        "policy", "explain", "ec2:StopInstances", "--policy", policy_file, "-o", "json",
        "--context", "aws:TagKeys=a", "--context", "aws:TagKeys=b", "--context", "aws:x[]=c",
    )  # fmt: skip
    said = json.loads(ran.out)

    assert said["outcome"] == "explicitDeny"
    assert said["request"]["context"] == {"aws:TagKeys": ["a", "b"], "aws:x": ["c"]}
    assert [statement["decides"] for statement in said["statements"]] == [False, False, True]
    assert said["statements"][2]["conditions"][0]["found"] is None
    assert said["statements"][0]["place"] == f"{policy_file}:4:5"


def test_the_command_reports_what_can_never_match(cml_iam, tmp_path):
    (tmp_path / "broken.json").write_text(BROKEN)
    ran = cml_iam("policy", "explain", "ec2:StopInstances", "--policy", "broken.json")

    assert "▲ broken.json:8:23: unknown condition operator `StringEqual`" in ran.out


def test_a_malformed_pair_is_wrong_usage(cml_iam, policy_file):
    ran = cml_iam(
        "policy", "explain", "ec2:StopInstances", "--policy", policy_file, "--context", "aws:x"
    )

    assert ran.code == 2
    assert "KEY=VALUE" in ran.err


REGION_POLICY = """{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": "*", "Resource": "*"},
  {"Sid": "Region", "Effect": "Deny", "Action": "ec2:*", "Resource": "*",
   "Condition": {"StringEquals": {"ec2:Region": "eu-west-1"}}},
  {"Sid": "Tag", "Effect": "Deny", "Action": "ec2:TerminateInstances", "Resource": "*",
   "Condition": {"StringEquals": {"ec2:ResourceTag/Env": "prod"}}}
]}"""
ELSEWHERE = ARN.replace("eu-west-1", "us-east-1")


def explained(cml_iam, tmp_path, *arguments):
    (tmp_path / "regions.json").write_text(REGION_POLICY)
    return cml_iam("policy", "explain", *arguments, "--policy", "regions.json")


@pytest.mark.parametrize(
    ("arguments", "denied_by"),
    [
        (("--context", "aws:RequestedRegion=eu-west-1"), "Region"),
        (("--resource", ARN), "Region"),
        (("--resource", ELSEWHERE, "--context", "aws:ResourceTag/Env=prod"), "Tag"),
        (("--resource", ELSEWHERE), None),
    ],
)
def test_the_request_has_what_ec2_sends_under_all_names(cml_iam, tmp_path, arguments, denied_by):
    ran = explained(cml_iam, tmp_path, "ec2:TerminateInstances", *arguments)

    assert ran.code == (3 if denied_by else 0)
    assert ("denies" in ran.out) == bool(denied_by)
    assert denied_by is None or f"Deny {denied_by}: denies" in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("cloudwatch:ListMetrics", "--context", "ec2:Region=us-east-1"),
            "requests for cloudwatch:ListMetrics have no condition key `ec2:Region`",
        ),
        (
            ("ec2:StopInstances", "--resource", ARN, "--context", "ec2:Region=us-east-1"),
            "`aws:RequestedRegion` is `us-east-1`; in the ARN of the resource it is `eu-west-1`",
        ),
        (("ec2:StopInstancez",), "did you mean `StopInstances`?"),
        (("ec3:StopInstances",), "AWS has no service `ec3`"),
    ],
)
def test_a_request_that_aws_never_sends_is_refused(cml_iam, tmp_path, arguments, says):
    ran = explained(cml_iam, tmp_path, *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


CONDITIONS = {
    "TagKeys": ({"ForAnyValue:StringEquals": {"aws:TagKeys": "Lab"}}, "ec2:CreateTags"),
    "InstanceID": ({"StringEquals": {"ec2:InstanceID": "i-1"}}, "ec2:StopInstances"),
    "PrincipalArn": ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/app"}},
                     "ec2:StopInstances"),
    "PrincipalAccount": ({"StringEquals": {"aws:PrincipalAccount": "111122223333"}},
                         "ec2:StopInstances"),
}  # fmt: skip
SESSION = "arn:aws:sts::111122223333:assumed-role/app/session"


@pytest.mark.parametrize("key", CONDITIONS)
def test_the_request_has_what_follows_from_the_rest_of_it(cml_iam, tmp_path, key):
    conditions, action = CONDITIONS[key]
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": conditions}
    (tmp_path / "p.json").write_text(json.dumps({"Statement": statement}))

    ran = cml_iam(
        "policy", "explain", action, "--policy", "p.json", "--resource", ARN,
        "--principal", SESSION, "--context", "aws:RequestTag/Lab=ospf",
    )  # fmt: skip

    assert ran.code == 0, ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--context", "ec2:InstanceID=i-2"), "`ec2:InstanceID` is `i-2`"),
        (("--context", "aws:PrincipalArn=arn:aws:iam::111122223333:user/x"), "of this principal"),
        (
            ("--context", "aws:RequestTag/Lab=1", "--context", "aws:TagKeys=Team"),
            "`aws:TagKeys` lacks `Lab`",
        ),
        (("--context", "aws:MultiFactorAuthAge=100"), "only if aws:MultiFactorAuthPresent is true"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused(cml_iam, tmp_path, arguments, says):
    ran = explained(
        cml_iam,
        tmp_path,
        "ec2:StopInstances",
        "--resource",
        ARN,
        "--principal",
        SESSION,
        *arguments,
    )

    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize("principal", ["*", "ec2.amazonaws.com", "bob"])
def test_only_users_and_roles_have_an_identity_policy(cml_iam, tmp_path, principal):
    ran = explained(cml_iam, tmp_path, "ec2:StopInstances", "--principal", principal)

    assert (ran.code, ran.out) == (2, "")
    assert f"`{principal}` cannot have an identity policy" in ran.err


@pytest.mark.parametrize("principal", ["*", "cloudtrail.amazonaws.com"])
def test_the_policy_of_a_resource_alone_decides_on_callers_without_one(
    cml_iam, tmp_path, principal
):
    named = principal if principal == "*" else {"Service": principal}
    about = {"Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/*"}
    statement = {"Effect": "Allow", "Principal": named, **about}
    (tmp_path / "b.json").write_text(json.dumps({"Statement": statement}))

    ran = cml_iam(
        "policy", "explain", "s3:PutObject", "--resource", "arn:aws:s3:::b/k",
        "--principal", principal, "--resource-policy", "b.json",
    )  # fmt: skip

    assert ran.code == 0, ran.err


def test_what_no_policy_can_refuse_is_explained(cml_iam, tmp_path):
    (tmp_path / "deny.json").write_text(
        '{"Statement": {"Effect": "Deny", "Action": "sts:*", "Resource": "*"}}'
    )
    ran = cml_iam("policy", "explain", "sts:GetCallerIdentity", "--policy", "deny.json")

    assert ran.code == 0
    assert "no policy can refuse sts:GetCallerIdentity, not even by a Deny" in ran.out


@pytest.mark.parametrize(
    ("action", "resource", "says"),
    [
        ("iam:CreatePolicyVersion", "arn:aws:iam::aws:policy/AdministratorAccess", "IAM refuses"),
        ("kms:DeleteAlias", "arn:aws:kms:us-east-1:111122223333:alias/aws/ebs", "KMS refuses"),
        ("kms:Decrypt", "arn:aws:kms:us-east-1:111122223333:key/1", "always has a key policy"),
        ("iam:GetPolicy", "arn:aws:iam::aws:policy/AdministratorAccess", None),
    ],
)
def test_what_a_service_decides_by_itself_is_said(action, resource, says):
    anything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    explanation = compile_policies([anything]).explain(Request(action, resource))

    assert [says in note for note in explanation.notes] == ([True] if says else [])


NOTHING = "the statement matches nothing"


@pytest.mark.parametrize(
    ("resource", "why"),
    [
        ("arn:aws:s3:::b/${aws:username}/*", "the policy variable `${aws:username}`, which has no"),
        ("bucket", "`bucket`, which names nothing"),
    ],
)
def test_what_leaves_notresource_nothing_to_match_is_the_reason(resource, why):
    statement = {"Effect": "Allow", "Action": "s3:*", "NotResource": resource}
    document = {"Version": "2012-10-17", "Statement": [statement]}

    decided = compile_policies([document]).decide(Request("s3:GetObject", "arn:aws:s3:::other/x"))

    (reason,) = decided.reasons
    assert reason.reason.startswith(f"NotResource has {why}")
    assert reason.reason.endswith(NOTHING)


INSTANCE = "arn:aws:ec2:us-east-1:111122223333:instance/i-1"
NEVER = {
    "a resource of another type": (
        ("ec2:TerminateInstances", INSTANCE.replace("instance/i", "volume/vol"), {}),
        "AWS authorizes ec2:TerminateInstances on a resource of type instance, not on",
    ),
    "a key of another action": (
        ("ec2:StopInstances", INSTANCE, {"ec2:CreateAction": "RunInstances"}),
        "only requests for ec2:CreateTags have ec2:CreateAction",
    ),
    "a key of another type": (
        ("ec2:StopInstances", INSTANCE, {"ec2:VolumeSize": "8"}),
        "requests for ec2:StopInstances have ec2:VolumeSize only where the service reference",
    ),
    "a key that does not exist": (
        ("s3:ListAllMyBuckets", "*", {"aws:usernam": "a"}),
        "AWS has no condition key aws:usernam",
    ),
    "a region without IAM": (
        (
            "iam:CreateUser",
            "arn:aws:iam::111122223333:user/a",
            {"aws:RequestedRegion": "eu-west-1"},
        ),
        "requests to iam are sent to us-east-1 or",
    ),
}


@pytest.mark.parametrize("case", NEVER.values(), ids=NEVER)
def test_why_aws_never_sends_a_request_is_said(case):
    request, why = case

    assert [each.startswith(why) for each in never_sent(*request)] == [True]


@pytest.mark.parametrize(
    "request_",
    [
        ("ec2:StopInstances", INSTANCE, {"aws:ResourceTag/a": "b", "ec2:Region": "us-east-1"}),
        ("s3:ListAllMyBuckets", "*", {}),
        ("iam:PassRole", "arn:aws:iam::111122223333:role/a", {"aws:RequestedRegion": "eu-west-1"}),
        ("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-1", {"ec2:Owner": "amazon"}),
    ],
)
def test_nothing_is_said_of_a_request_that_aws_sends(request_):
    assert not list(never_sent(*request_))
