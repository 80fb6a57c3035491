"""AWS publishes a list of the checks of its own validator; each policy here fails one of them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from cml_iam.lint import Severity, explain_rule, lint_rules, lint_text
from cml_iam.lint._rules import AWS_SEVERITIES, aws_checks, severity_differs

CHECKS: Final = Path(__file__).parents[3] / "shared" / "conformance" / "policy_checks.jsonl"
DATA: Final = Path(__file__).parents[2] / "policies" / "aws-checks.toml"
BESIDE: Final = {check.name: check.rule for check in aws_checks()}
RULE: Final = {rule.id: rule for rule in lint_rules()}

ALSO_CALLED: Final = {
    "Allow NotAction unsupported tag": "CML310",
    "Create SLR star action NotResource": "CML602",
    "Create SLR star action and resource": "CML602",
    "Create SLR star resource NotAction": "CML602",
    "Deny NotAction unsupported tag": "CML310",
    "ForAllValues single valued": "CML506",
    "Invalid federated principal syntax": "CML211",
    "Irrelevant condition key": "CML318",
    "Missing action roles anywhere": "CML214",
    "Missing condition key oidc": "CML522",
    "Missing tag key in condition/": "CML203",
    "PassRole NotAction": "CML602",
    "PassRole NotResource": "CML603",
    "PassRole role/*": "CML603",
    "PassRole star action NotResource": "CML603",
    "PassRole star resource": "CML603",
    "Policy size identity": "CML103",
    "Policy size resource": "CML103",
    "SCP principal": "CML104",
    "Specific github repo": "CML523",
    "Trust wildcard in principal": "CML521",
    "Type mismatch string (StringEquals on IP key)": "CML207",
}
"""Names that the list has for variants of AWS's checks, and the rule that is about the same."""


def rows() -> list[dict[str, Any]]:
    lines = CHECKS.read_text("utf-8").splitlines() if CHECKS.is_file() else []
    return list(map(json.loads, lines))


needs_checks = pytest.mark.skipif(not rows(), reason="AWS's checks are not here")


@needs_checks
def test_every_check_is_found_by_the_rule_beside_it_or_is_silent() -> None:
    beside = BESIDE | ALSO_CALLED

    missed = {}
    for row in rows():
        found = lint_text(row["policy"], kind=row["kind"])
        rules = {finding.rule for finding in found}
        wanted = beside[row["check"]] if row["expect"] == "found" else None
        if wanted not in rules if wanted else any(e.severity > Severity.INFO for e in found):
            missed[row["check"]] = rules

    assert missed == {}


@needs_checks
def test_the_kind_of_each_is_recognized_where_the_document_says_it() -> None:
    from cml_iam.lint import recognized_kind

    others = {"SCP principal": "rcp"}
    for row in rows():
        if row["kind"] in {"trust", "resource"}:
            kind = recognized_kind(json.loads(row["policy"]))
            assert kind == others.get(row["check"], row["kind"]), row["check"]


@needs_checks
def test_a_finding_is_as_severe_as_aws_s_or_the_list_of_differences_says_why() -> None:
    listed = tomllib.loads(DATA.read_text("utf-8"))["differs"]

    for row in rows():
        rule = (BESIDE | ALSO_CALLED).get(row["check"], "")
        if row["expect"] == "found" and RULE[rule].severity != AWS_SEVERITIES[row["severity"]]:
            assert listed[rule], row["check"]


def test_the_list_of_differences_has_every_rule_with_one_and_no_other() -> None:
    listed = tomllib.loads(DATA.read_text("utf-8"))["differs"]

    assert sorted(listed) == [rule.id for rule in lint_rules() if severity_differs(rule)]
    assert all(len(why) > 20 for why in listed.values())


def test_each_of_aws_s_checks_stands_beside_one_rule_that_exists() -> None:
    checks = [check.name for check in aws_checks()]

    assert len(checks) == len(set(checks)) == 152
    assert set(BESIDE.values()) <= set(RULE)
    assert not set(checks) & set(tomllib.loads(DATA.read_text("utf-8"))["none"])
    assert explain_rule("CML525").as_json()["aws_checks"] == [
        "Role trust policy syntax error notprincipal",
        "Allow with NotPrincipal",
    ]


GET: Final = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::example/*"}
START: Final = {"Effect": "Allow", "Action": "ec2:StartInstances", "Resource": "*"}
TRUST: Final = {
    "Effect": "Allow",
    "Principal": {"AWS": "111122223333"},
    "Action": "sts:AssumeRole",
}
CONTROL: Final = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
LINK: Final = "iam:CreateServiceLinkedRole"
ROLE: Final = "arn:aws:iam::*:role/example"
OIDC: Final = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"


def oidc(**claims: str) -> dict[str, Any]:
    host = "token.actions.githubusercontent.com"
    return {
        "Effect": "Allow",
        "Principal": {"Federated": OIDC},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringLike": {f"{host}:{key}": value for key, value in claims.items()}},
    }


def when(operator: str, key: str, *values: Any, **elements: Any) -> dict[str, Any]:
    return START | {"Condition": {operator: {key: list(values)}}} | elements


FURTHER: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ARN account not allowed": (
        "identity",
        GET | {"Resource": "arn:aws:s3::111122223333:example/*"},
    ),
    "Allow with unsupported tag condition key for service": (
        "identity",
        when("StringEquals", "aws:ResourceTag/a", "b", Action="s3:ListAllMyBuckets"),
    ),
    "Create SLR with NotAction and NotResource": (
        "identity",
        {"Effect": "Allow", "NotAction": "s3:*", "NotResource": ROLE},
    ),
    "Create SLR with star in resource": ("identity", START | {"Action": LINK}),
    "Deny with unsupported tag condition key for service": (
        "identity",
        when("StringEquals", "aws:ResourceTag/a", "b", Effect="Deny", Action="s3:ListAllMyBuckets"),
    ),
    "Data type mismatch": ("identity", GET | {"Effect": 1}),
    "Empty array condition": ("identity", when("StringEquals", "aws:PrincipalTag/a")),
    "Empty array condition IfExists": (
        "identity",
        when("StringEqualsIfExists", "aws:PrincipalTag/a"),
    ),
    "Empty object condition": ("identity", GET | {"Condition": {}}),
    "Invalid ARN service case": ("identity", GET | {"Resource": "arn:aws:S3:::example/*"}),
    "Invalid date value": ("identity", when("DateLessThan", "aws:CurrentTime", "tomorrow")),
    "Invalid federated principal syntax in role trust policy": (
        "trust",
        {
            "Effect": "Allow",
            "Principal": {"Federated": "arn:aws:iam::111122223333:saml/x"},
            "Action": "sts:AssumeRoleWithSAML",
        },
    ),
    "Invalid global condition key": ("identity", when("StringEquals", "aws:Regoin", "a")),
    "Invalid principal key": ("resource", GET | {"Principal": {"aws": "111122223333"}}),
    "Invalid service": ("identity", GET | {"Action": "s33:GetObject"}),
    "Invalid user reference": (
        "trust",
        TRUST | {"Principal": {"AWS": "AIDACKCEVSQ6C2EXAMPLE"}},
    ),
    "Invalid version": ("identity", GET | {"Version": "2012-10-18"}),
    "Invalid vpc format": (
        "identity",
        when("StringEquals", "aws:SourceVpc", "vpce-0a1b2c3d4e5f60001"),
    ),
    "Mismatched action for principal": (
        "trust",
        TRUST | {"Action": "sts:AssumeRoleWithSAML"},
    ),
    "Missing ARN Region": (
        "identity",
        START | {"Resource": "arn:aws:ec2::111122223333:instance/*"},
    ),
    "Missing ARN field": ("identity", GET | {"Resource": "arn:aws:s3"}),
    "Missing action": ("identity", {"Effect": "Allow", "Resource": "*"}),
    "Missing condition key for oidc principal": ("trust", oidc(aud="sts.amazonaws.com")),
    "Missing github repo condition key": ("trust", oidc(aud="sts.amazonaws.com")),
    "Missing paired condition keys": (
        "identity",
        when("IpAddress", "aws:VpcSourceIp", "10.0.0.0/8"),
    ),
    "Missing principal": ("trust", {"Effect": "Allow", "Action": "sts:AssumeRole"}),
    "Missing qualifier": ("identity", when("StringEquals", "aws:PrincipalOrgPaths", "o-a/*")),
    "Null with qualifier": ("identity", when("ForAllValues:Null", "aws:TagKeys", "false")),
    "Pass role with NotAction and NotResource": (
        "identity",
        {"Effect": "Allow", "NotAction": "s3:*", "NotResource": ROLE},
    ),
    "Pass role with star in action and resource": ("identity", START | {"Action": "*"}),
    "Policy size exceeds RCP quota": ("rcp", CONTROL | {"Action": ["s3:GetObject"] * 600}),
    "Policy size exceeds role trust policy quota": (
        "trust",
        TRUST | {"Principal": {"AWS": [f"{n:012}" for n in range(200)]}},
    ),
    "Private IP address subset": (
        "identity",
        when("IpAddress", "aws:SourceIp", "10.0.0.0/8", "203.0.113.0/24"),
    ),
    "Private NotIpAddress subset": (
        "identity",
        when("NotIpAddress", "aws:SourceIp", "10.0.0.0/8", "203.0.113.0/24", Effect="Deny"),
    ),
    "RCP syntax error NotAction": (
        "rcp",
        {"Effect": "Deny", "Principal": "*", "NotAction": "s3:*", "Resource": "*"},
    ),
    "RCP syntax error action": ("rcp", CONTROL | {"Action": "ec2:*"}),
    "RCP syntax error allow": ("rcp", CONTROL | {"Effect": "Allow"}),
    "RCP syntax error principal": ("rcp", CONTROL | {"Principal": {"AWS": "111122223333"}}),
    "Recommended condition key for service principal": (
        "resource",
        GET | {"Principal": {"Service": "cloudtrail.amazonaws.com"}},
    ),
    "Redundant principal in role trust policy": (
        "trust",
        TRUST
        | {
            "Principal": {
                "AWS": [
                    "arn:aws:iam::111122223333:role/example",
                    "arn:aws:sts::111122223333:assumed-role/example/session",
                ]
            }
        },
    ),
    "Role trust policy syntax error notprincipal": (
        "trust",
        {"Effect": "Deny", "NotPrincipal": {"AWS": "111122223333"}, "Action": "sts:AssumeRole"},
    ),
    "Role trust policy syntax error resource": ("trust", TRUST | {"Resource": "*"}),
    "Role trust policy unsupported wildcard in principal": (
        "trust",
        TRUST | {"Principal": "*"},
    ),
    "String like operator with ARN condition keys": (
        "identity",
        when("StringLike", "aws:PrincipalArn", "arn:aws:iam::*:role/example"),
    ),
    "Type mismatch": ("identity", when("NumericEquals", "aws:username", "1")),
    "Type mismatch date": ("identity", when("DateLessThan", "aws:CurrentTime", "soon")),
    "Type mismatch number": (
        "identity",
        when("NumericLessThan", "aws:MultiFactorAuthAge", "an hour"),
    ),
    "Unsupported condition key for service principal": (
        "resource",
        GET
        | {
            "Principal": {"Service": "cloudtrail.amazonaws.com"},
            "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}},
        },
    ),
    "Unsupported element combination": ("identity", GET | {"NotAction": "s3:PutObject"}),
    "Unsupported global condition key": ("identity", when("ArnEquals", "aws:ARN", "a")),
    "Unsupported principal": ("identity", GET | {"Principal": "*"}),
    "Unsupported resource ARN in policy": (
        "resource",
        GET
        | {
            "Principal": {"AWS": "111122223333"},
            "Resource": "arn:aws:sqs:us-east-1:111122223333:q",
        },
    ),
    "Variable unsupported in element": (
        "identity",
        GET | {"Action": ["s3:GetObject", "s3:${aws:username}"]},
    ),
    "Wildcard in service name": ("identity", GET | {"Action": "s*:GetObject"}),
    "Unsupported action in policy": (
        "resource",
        GET | {"Principal": {"AWS": "111122223333"}, "Action": ["s3:GetObject", "kms:Decrypt"]},
    ),
    "Unsupported action for condition key": (
        "identity",
        when(
            "StringLike",
            "s3:prefix",
            "public/*",
            Action=["s3:ListBucket", "s3:GetObject"],
            Resource=["arn:aws:s3:::example", "arn:aws:s3:::example/*"],
        ),
    ),
    "Missing ARN account": (
        "identity",
        START | {"Resource": "arn:aws:ec2:us-east-1::instance/*"},
    ),
    "Invalid kms key value": (
        "identity",
        when(
            "StringEquals",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
            "alias/example",
            Action="s3:PutObject",
            Resource="arn:aws:s3:::example/*",
        ),
    ),
    "Variable usage too permissive": (
        "identity",
        GET | {"Condition": {"StringLike": {"aws:SourceVpc": "${aws:PrincipalTag/vpc}"}}},
    ),
    "Wildcard usage too permissive": (
        "identity",
        GET | {"Condition": {"StringLike": {"aws:ResourceOrgID": "o-*"}}},
    ),
    "Wildcard usage too permissive/userid": (
        "identity",
        GET | {"Condition": {"StringLike": {"aws:userid": "AROA*"}}},
    ),
    "Wildcard usage too permissive/paths": (
        "identity",
        GET | {"Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": "o-*/r-a/*"}}},
    ),
    "Deprecated global condition key": ("identity", when("ArnEquals", "aws:ARN", "a")),
    "RCP missing related principal condition key": (
        "rcp",
        CONTROL | {"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}}},
    ),
    "RCP missing related service principal condition key": (
        "rcp",
        CONTROL
        | {
            "Condition": {"StringNotEquals": {"aws:SourceOrgID": "o-a1b2c3d4e5"}},
        },
    ),
    "RCP missing service condition key null check": (
        "rcp",
        CONTROL
        | {
            "Condition": {
                "StringNotEqualsIfExists": {"aws:SourceOrgID": "o-a1b2c3d4e5"},
                "Bool": {"aws:PrincipalIsAWSService": "true"},
            }
        },
    ),
    "Use condition key only with supported services": (
        "identity",
        when("StringEquals", "aws:VpceAccount", "111122223333"),
    ),
    "Untrustworthy condition key": (
        "resource",
        GET
        | {
            "Principal": "*",
            "Condition": {"StringLike": {"aws:Referer": "https://www.example.com/*"}},
        },
    ),
    "DynamoDB attributes without select": (
        "identity",
        when(
            "ForAllValues:StringEquals",
            "dynamodb:Attributes",
            "name",
            Action="dynamodb:GetItem",
            Resource="arn:aws:dynamodb:us-east-1:111122223333:table/example",
        ),
    ),
    "S3 prefix in negative context": (
        "identity",
        when(
            "StringLike",
            "s3:prefix",
            "private/*",
            Effect="Deny",
            Action="s3:ListBucket",
            Resource="arn:aws:s3:::example",
        ),
    ),
    "ForAnyValue with audience claim type": (
        "trust",
        oidc(sub="repo:example/project:ref:refs/heads/main")
        | {
            "Condition": {
                "ForAnyValue:StringEquals": {
                    "token.actions.githubusercontent.com:aud": "sts.amazonaws.com"
                }
            }
        },
    ),
    "Confirm audience claim type": (
        "trust",
        {
            "Effect": "Allow",
            "Principal": {"Federated": OIDC.replace("token.actions.githubusercontent", "example")},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"ForAllValues:StringEquals": {"example.com:aud": "application"}},
        },
    ),
    "Equivalent to null false": ("identity", when("StringLike", "aws:PrincipalTag/a", "*")),
    "Equivalent to null true": ("identity", when("StringNotLike", "aws:PrincipalTag/a", "*")),
    "Redundant key due to wildcard in condition": (
        "identity",
        when("StringLikeIfExists", "aws:PrincipalTag/a", "*"),
    ),
    "Create SLR with star in resource/every role of services": (
        "identity",
        GET | {"Action": LINK, "Resource": "arn:aws:iam::*:role/aws-service-role/*"},
    ),
    "Duplicate keys with different case/same values": (
        "identity",
        START
        | {
            "Condition": {
                "StringEquals": {
                    "aws:RequestedRegion": "eu-west-1",
                    "aws:requestedregion": ["eu-west-1", "eu-west-2"],
                }
            }
        },
    ),
    "Invalid condition multiple Boolean/Null": (
        "identity",
        when("Null", "aws:TokenIssueTime", "true", "false"),
    ),
    "Invalid service principal format/two domains": (
        "trust",
        TRUST | {"Principal": {"Service": "lambda.aws.amazon.com"}},
    ),
    "Invalid variable for operator/Bool": (
        "identity",
        when("Bool", "aws:SecureTransport", "${aws:PrincipalTag/secure}"),
    ),
    "Missing ARN account/SQS": (
        "identity",
        GET | {"Action": "sqs:SendMessage", "Resource": "arn:aws:sqs:us-east-1::example"},
    ),
    "Missing ARN account/IAM": (
        "identity",
        GET | {"Action": "iam:GetRole", "Resource": "arn:aws:iam:::role/example"},
    ),
    "Redundant action/NotAction": (
        "identity",
        {"Effect": "Deny", "NotAction": ["s3:*", "s3:GetObject"], "Resource": "*"},
    ),
    "Redundant condition value num/or equal": (
        "identity",
        when("NumericLessThanEquals", "aws:MultiFactorAuthAge", 60, 3600),
    ),
    "Redundant principal in role trust policy/twice": (
        "trust",
        TRUST | {"Principal": {"AWS": ["111122223333", "111122223333"]}},
    ),
    "Wildcard without like operator/prefix": (
        "identity",
        when("StringEquals", "s3:prefix", "home/*", Action="s3:ListBucket"),
    ),
    "Redundant statement due to wildcard in condition": (
        "identity",
        when("ForAnyValue:StringNotLike", "aws:TagKeys", "*", Action="ec2:CreateTags"),
    ),
}
"""Checks of AWS that the list of checks does not have, or not under AWS's name: a policy each."""


@pytest.mark.parametrize("check", FURTHER)
def test_a_check_is_made_by_the_rule_beside_it(check: str) -> None:
    kind, given = FURTHER[check]
    statement = {key: value for key, value in given.items() if key != "Version"}
    document = {"Version": given.get("Version", "2012-10-17"), "Statement": [statement]}

    rules = {finding.rule for finding in lint_text(json.dumps(document), kind=kind)}

    assert BESIDE[check.partition("/")[0]] in rules


@needs_checks
def test_every_check_that_a_rule_makes_has_a_policy_here_or_in_the_list() -> None:
    names = {row["check"] for row in rows()} | FURTHER.keys()
    rules = {ALSO_CALLED[name] for name in names if name in ALSO_CALLED}
    without = {name for name in BESIDE if name not in names and BESIDE[name] not in rules}

    assert without == {"Missing version", "Unique Sids recommended", "Unique Sids required"}


def test_a_document_without_a_version_or_with_two_sids_of_one_name() -> None:
    twice = {"Statement": [GET | {"Sid": "A"}, START | {"Sid": "A"}]}

    rules = {finding.rule for finding in lint_text(json.dumps(twice))}

    assert rules >= {"CML105", "CML107"}
