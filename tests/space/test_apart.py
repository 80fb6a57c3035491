"""Statements that no request matches together are told by their resources, never wrongly."""

from __future__ import annotations

import pytest

from cml_iam.policy import load_policy
from cml_iam.prove import Policies
from cml_iam.space import apart, side_of

ANY = "arn:aws:ec2:*:*:instance/*"
OWN = "arn:aws:ec2:*:111122223333:instance/*"
IMAGE = "arn:aws:ec2:*::image/*"
CASES = {
    "another type": ({"Resource": OWN}, {"Resource": IMAGE}, True),
    "the same": ({"Resource": OWN}, {"Resource": ANY}, False),
    "everything": ({"Resource": "*"}, {"Resource": IMAGE}, False),
    "everything, in two stars": ({"Resource": "**"}, {"Resource": IMAGE}, False),
    "no ARN beside one": ({"Resource": [OWN, "a*"]}, {"Resource": IMAGE}, False),
    "excluded": ({"Resource": OWN}, {"NotResource": ANY}, True),
    "excluded in part": ({"Resource": ANY}, {"NotResource": OWN}, False),
    "one of two excluded": ({"Resource": [OWN, IMAGE]}, {"NotResource": ANY}, False),
    "excluded by each": ({"Resource": [OWN, IMAGE]}, {"NotResource": [ANY, IMAGE]}, True),
    "excluded by a variable": ({"Resource": OWN}, {"NotResource": "arn:${my:v}"}, False),
    "a variable excluded": (
        {"Resource": "arn:aws:ec2:*:111122223333:instance/${my:v}"},
        {"NotResource": ANY},
        True,
    ),
    "a variable that may be more": ({"Resource": "arn:aws:${my:v}"}, {"NotResource": ANY}, False),
    "a short ARN": ({"Resource": "arn:aws:ec2"}, {"NotResource": "arn:aws:ec2:*"}, True),
    "outside of both": ({"NotResource": OWN}, {"NotResource": ANY}, False),
}


def part(**resource):
    said = {"Effect": "Allow", "Action": "ec2:*"} | resource
    document = load_policy({"Version": "2012-10-17", "Statement": [said]})
    return side_of(Policies((document,))).gates[0][0]


@pytest.mark.parametrize("name", CASES)
def test_statements_are_apart_by_their_resources(name):
    one, other, answer = CASES[name]

    assert apart(part(**one), part(**other)) is answer
