"""Kinds of requests written on one line."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import DocumentError
from cml_iam.prove import Shape, parse_shape

READ = {
    "ec2:RunInstances": Shape(("ec2:RunInstances",)),
    "ec2:Start*, ec2:Stop*": Shape(("ec2:Start*", "ec2:Stop*")),
    "not ec2:Describe*": Shape(not_actions=("ec2:Describe*",)),
    "* on arn:aws:s3:::bucket/*, *": Shape(("*",), ("arn:aws:s3:::bucket/*", "*")),
    "* on not arn:aws:s3:::bucket/*": Shape(("*",), not_resources=("arn:aws:s3:::bucket/*",)),
    "* where aws:RequestedRegion = eu-west-1, us-east-1": Shape(
        conditions={"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}
    ),
    '* where a:b != "x, y" and a:c not like z*': Shape(
        conditions={"StringNotEquals": {"a:b": ["x, y"]}, "StringNotLike": {"a:c": ["z*"]}}
    ),
    "* WHERE a:b is absent AND a:c is present": Shape(
        conditions={"Null": {"a:b": ["true"], "a:c": ["false"]}}
    ),
    "* where a:n >= 5 and aws:SourceIp NotIpAddress 192.0.2.0/24": Shape(
        conditions={
            "NumericGreaterThanEquals": {"a:n": ["5"]},
            "NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]},
        }
    ),
    '* where a:b = ""': Shape(conditions={"StringEquals": {"a:b": [""]}}),
    "* where aws:TagKeys ForAnyValue:StringLike a*": Shape(
        conditions={"ForAnyValue:StringLike": {"aws:TagKeys": ["a*"]}}
    ),
}
WRONG = {
    "": (1, "an action"),
    "ec2:TerminateInstance": (1, "did you mean `TerminateInstances`?"),
    "ec3:RunInstances": (1, "no service `ec3`"),
    "RunInstances": (1, "an action is `service:Name`"),
    "ec2:RunInstances on": (20, "a resource"),
    "ec2:RunInstances on bucket": (21, "is no ARN"),
    "ec2:RunInstances a": (18, "cannot go on with `a`"),
    "* where": (8, "a condition key"),
    "* where a:b": (12, "what `a:b` must be"),
    "* where a:b = ": (15, "a value"),
    "* where a:b StringEqual x": (13, "did you mean `StringEquals`?"),
    "* where a:b is missing": (16, "neither `absent` nor `present`"),
    "* where a:b not equal x": (17, "write `not like`"),
    "* where a:b = x and a:b = y": (21, "with commas"),
    '* where a:b = "x': (15, "not closed"),
}


@pytest.mark.parametrize("text", READ)
def test_a_line_is_read_as_the_requests_it_means(text: str) -> None:
    assert parse_shape(text) == READ[text]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_line_is_said_with_its_column(text: str) -> None:
    column, words = WRONG[text]
    with pytest.raises(DocumentError) as caught:
        parse_shape(text, "--never")
    (problem,) = caught.value.problems
    assert words in str(problem)
    assert problem.place is not None
    assert problem.place.column == column


@given(st.text(alphabet='ec2:*, "=!<>onwhereadltki\n', max_size=40))
def test_any_line_is_read_or_refused(text: str) -> None:
    with suppress(DocumentError):
        assert isinstance(parse_shape(text), Shape)
