"""Kinds of requests written on one line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import DocumentError
from cml_iam.policy import parse_policy
from cml_iam.prove import Policies, Shape, never, parse_shape

READ = {
    "ec2:RunInstances": Shape(("ec2:RunInstances",)),
    "ec2:Start*, ec2:Stop*": Shape(("ec2:Start*", "ec2:Stop*")),
    "not ec2:Describe*": Shape(not_actions=("ec2:Describe*",)),
    "* on arn:aws:s3:::bucket/*, *": Shape(("*",), ("arn:aws:s3:::bucket/*", "*")),
    "* on not arn:aws:s3:::bucket/*": Shape(("*",), not_resources=("arn:aws:s3:::bucket/*",)),
    "* WHERE idp.example.com:aud is absent AND saml:aud is present": Shape(
        conditions={"Null": {"idp.example.com:aud": ["true"], "saml:aud": ["false"]}}
    ),
}
CONDITIONS = {
    "aws:RequestedRegion = eu-west-1, us-east-1": (
        {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}
    ),
    """aws:RequestTag/A != "x, y" and aws:RequestTag/B not like z*""": (
        {"StringNotEquals": {"aws:RequestTag/A": ["x, y"]}}
        | {"StringNotLike": {"aws:RequestTag/B": ["z*"]}}
    ),
    "aws:RequestTag/A = 'x y', \"it's\", o'clock": (
        {"StringEquals": {"aws:RequestTag/A": ["x y", "it's", "o'clock"]}}
    ),
    '''"aws:RequestTag/Cost centre" = ""''': (
        {"StringEquals": {"aws:RequestTag/Cost centre": [""]}}
    ),
    "aws:RequestTag/A = '*'": {"StringEquals": {"aws:RequestTag/A": ["*"]}},
    "aws:RequestTag/Level >= 5": {"NumericGreaterThanEquals": {"aws:RequestTag/Level": ["5"]}},
    "aws:SourceIp NotIpAddress 192.0.2.0/24": (
        {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}}
    ),
    # A sign compares by the type of the key.
    "aws:SourceIp = 192.0.2.0/24": {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}},
    "aws:SourceIp != 192.0.2.7": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.7"]}},
    "aws:CurrentTime > 2026-01-31": {"DateGreaterThan": {"aws:CurrentTime": ["2026-01-31"]}},
    "aws:MultiFactorAuthAge <= 3600": (
        {"NumericLessThanEquals": {"aws:MultiFactorAuthAge": ["3600"]}}
    ),
    "aws:MultiFactorAuthPresent = true": {"Bool": {"aws:MultiFactorAuthPresent": ["true"]}},
    "aws:MultiFactorAuthPresent != true": (
        {"BoolIfExists": {"aws:MultiFactorAuthPresent": ["false"]}}
    ),
    "aws:PrincipalArn = arn:aws:iam::111122223333:role/*": (
        {"ArnEquals": {"aws:PrincipalArn": ["arn:aws:iam::111122223333:role/*"]}}
    ),
    "aws:TagKeys = Owner and aws:TagKeys not like a*": (
        {"ForAnyValue:StringEquals": {"aws:TagKeys": ["Owner"]}}
        | {"ForAllValues:StringNotLike": {"aws:TagKeys": ["a*"]}}
    ),
    "aws:TagKeys ForAllValues:StringLike a*": {"ForAllValues:StringLike": {"aws:TagKeys": ["a*"]}},
}
WRONG = {
    "": (1, "an action, such as `ec2:TerminateInstances`, is missing at the end"),
    "ec2:TerminateInstance": (1, "did you mean `TerminateInstances`?"),
    "ec2:Terminator*": (1, "`ec2:Terminator*` matches no action of AWS"),
    "ec3:RunInstances": (1, "no service `ec3`"),
    "*:RunInstances": (1, "only `*` by itself matches all services"),
    "RunInstances": (1, "an action is `service:Name`"),
    "ec2:RunInstances on": (20, "a resource, an ARN or `*`, is missing"),
    "ec2:RunInstances on bucket": (21, "is not an ARN"),
    "ec2:RunInstances on i-1:2:3:4:5:6": (21, "is not an ARN"),
    "ec2:RunInstances a": (18, "unexpected `a`"),
    "ec2:StopInstances arn:aws:ec2:*:*:instance/*": (19, "write `on` before resources"),
    "ec2:StopInstances or ec2:StartInstances": (19, "separate actions, resources and values"),
    "ec2:StopInstances and ec2:StartInstances": (19, "separate actions and resources by commas"),
    "ec2:StopInstances if aws:SourceIp is absent": (19, "conditions come after `where`"),
    "* where": (8, "a condition key"),
    "* where RequestedRegion = x": (9, "a condition key is `aws:…`"),
    "* where aws:RequestedRegoin = x": (9, "did you mean `aws:RequestedRegion`?"),
    "* where a:b = x": (9, "no condition key `a:b`"),
    "* where ec2:Region": (19, "a test of `ec2:Region`"),
    "* where ec2:Region = ": (22, "a value is missing"),
    "* where ec2:Region = x,": (24, "a value is missing"),
    "* where ec2:Region StringEqual x": (20, "did you mean `StringEquals`?"),
    "* where ec2:Region == x": (20, "write `=`"),
    "* where ec2:Region <> x": (20, "write `!=`"),
    "* where ec2:Region in x, y": (20, "write `=`; with several values"),
    "* where ec2:Region is x": (20, "write `= x`"),
    "* where ec2:Region is null": (20, "write `is absent`"),
    "* where ec2:Region is not absent": (20, "write `is present`"),
    "* where ec2:Region is not x": (20, "write `!= x`"),
    "* where ec2:Region not equal x": (24, "write `not like`"),
    "* where ec2:Region = us-*": (22, "write `like us-*`, or quote it"),
    "* where ec2:Region != us-*": (23, "write `not like us-*`"),
    "* where ec2:Region = [a, b]": (22, "without brackets"),
    "* where ec2:Region = = b": (22, "expected a value instead of `=`"),
    "* where ec2:Region = x and ec2:region = y": (28, "with commas"),
    '* where ec2:Region = "x': (22, "--never:1:22: a quotation mark is not closed"),
    "* where ec2:Region = 'x": (22, "--never:1:22: a quotation mark is not closed"),
    "* where aws:SourceIp > 10.0.0.0": (22, "is of type IPAddress (write `=`, `!=`"),
    "* where aws:SourceIp = 10.0.0.0/33": (24, "a range `192.0.2.0/24`"),
    "* where aws:CurrentTime > yesterday": (27, "a date is written"),
    "* where aws:MultiFactorAuthAge > soon": (34, "a number is written"),
    "* where aws:MultiFactorAuthPresent = yes": (38, "write `true` or `false`"),
    "* where aws:MultiFactorAuthPresent != true, false": (36, "write `is absent`"),
    "* where aws:TagKeys > 5": (21, "is a list"),
    "* where aws:PrincipalArn = role/x": (28, "an ARN is"),
}


@pytest.mark.parametrize("text", READ)
def test_a_line_is_read_as_the_requests_it_means(text: str) -> None:
    assert parse_shape(text) == READ[text]


@pytest.mark.parametrize("text", CONDITIONS)
def test_conditions_are_those_of_a_policy(text: str) -> None:
    assert parse_shape(f"* where {text}").conditions == CONDITIONS[text]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_line_is_said_with_its_column(text: str) -> None:
    column, words = WRONG[text]
    with pytest.raises(DocumentError) as caught:
        parse_shape(text, "--never")
    (problem,) = caught.value.problems
    assert words in str(problem)
    assert problem.place is not None
    assert problem.place.column == column


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("aws:RequestedRegion", "us-east-1"),
        ("aws:SourceIp", "192.0.2.0/24"),
        ("aws:CurrentTime", "2026-01-31"),
        ("aws:MultiFactorAuthAge", "3600"),
        ("aws:MultiFactorAuthPresent", "true"),
        ("aws:PrincipalArn", "arn:aws:iam::111122223333:role/*"),
        ("aws:TagKeys", "Owner"),
    ],
)
def test_a_sign_and_its_negation_share_all_requests_out(key: str, value: str) -> None:
    """What is allowed only where one holds is never allowed where the other does."""
    for sign, other in (("=", "!="), ("!=", "=")):
        conditions = parse_shape(f"* where {key} {sign} {value}").conditions
        statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": conditions}
        document = {"Version": "2012-10-17", "Statement": statement}
        policies = Policies((parse_policy(str(document).replace("'", '"'), "policy"),))
        assert never(policies, parse_shape(f"* where {key} {other} {value}")).holds
        assert never(policies, parse_shape(f"* where {key} {sign} {value}")).answer == "broken"


@given(st.text(alphabet="ec2:*, \"'=!<>onwhereadltki[\n", max_size=40))
def test_any_line_is_read_or_refused(text: str) -> None:
    with suppress(DocumentError):
        assert isinstance(parse_shape(text), Shape)
