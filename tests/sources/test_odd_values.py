"""Whatever stands in place of a value, a template or plan is read or refused, never a fault."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from cml_iam.errors import DocumentError, UnsupportedError
from cml_iam.policy import parse_json
from cml_iam.sources import document_of, pseudo_of, read_source
from cml_iam.sources._readings import subject_of

ODD: tuple[Any, ...] = (
    None,
    1,
    True,
    "",
    "{",
    "{{resolve:ssm:x}}",
    [],
    [None],
    {},
    {"Ref": 1},
    {"Ref": ["a"]},
    {"Ref": "AWS::NoValue"},
    {"!Ref": "X"},
    {"Fn::Sub": None},
    {"Fn::Sub": []},
    {"Fn::Sub": [1, 2]},
    {"Fn::Sub": ["${a}${", {"a": {"Fn::Join": [1]}}]},
    {"Fn::Join": ["", 1]},
    {"Fn::Join": ["", [{"Fn::If": []}, {}]]},
    {"Fn::If": ["C", {"Statement": []}, {"Ref": "AWS::NoValue"}]},
    {"Statement": {"Statement": 1}},
)
STATEMENT = {
    "Sid": "A",
    "Effect": "Allow",
    "Principal": {"AWS": ["*"]},
    "Action": ["s3:GetObject"],
    "Resource": "*",
    "Condition": {"StringEquals": {"aws:SourceVpc": ["vpc-1"]}},
}
POLICY = {"Version": "2012-10-17", "Statement": [STATEMENT]}
ROLE = {"AssumeRolePolicyDocument": POLICY, "Policies": [{"PolicyDocument": POLICY}]}
TEMPLATE = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Resources": {"R": {"Type": "AWS::IAM::Role", "Properties": ROLE}},
}
TEXT = json.dumps(POLICY)
CHANGE = {"after": {"policy": TEXT}, "after_unknown": {"policy": True, "inline_policy": [{}]}}
PLAN = {
    "format_version": "1.2",
    "planned_values": {
        "root_module": {
            "resources": [{"address": "a.b", "type": "aws_iam_policy", "values": {"policy": TEXT}}],
            "child_modules": [{"resources": []}],
        }
    },
    "prior_state": {"values": {"root_module": {"resources": []}}},
    "resource_changes": [{"address": "a.c", "type": "aws_iam_policy", "change": CHANGE}],
}


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value below *value*."""
    members: Any = value.items() if isinstance(value, dict) else ()
    members = enumerate(value) if isinstance(value, list) else members
    for step, member in members:
        yield (*at, step)
        yield from paths(member, (*at, step))


def changed(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    """Return *value* with *odd* at *path*."""
    whole = copy.deepcopy(value)
    within = whole
    for step in path[:-1]:
        within = within[step]
    within[path[-1]] = odd
    return whole


@pytest.mark.parametrize("form", ["t.json", "t.yaml", "plan.json"])
def test_an_odd_value_anywhere_is_read_or_refused(form: str) -> None:
    whole = PLAN if form == "plan.json" else TEMPLATE
    read = 0
    for path in paths(whole):
        for odd in ODD:
            source = read_source(json.dumps(changed(whole, path, odd)), form)
            for kept in source.policies if source else ():
                read += 1
                for reading in subject_of(kept).readings:
                    parse_json(reading.text)
                try:
                    document_of(kept, pseudo_of("111122223333", "aws-us-gov"))
                except (DocumentError, UnsupportedError) as error:
                    assert kept.file in str(error)  # noqa: PT017 - most are read
    assert read > 100
