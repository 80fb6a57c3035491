"""A difference is shown exactly where there is one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.policy import difference, load_policy, same_meaning

actions = st.sampled_from(["ec2:Run", "EC2:run", "ec2:Stop", "*"])
resources = st.sampled_from(["*", "arn:aws:ec2:*:*:instance/*"])


def one_or_many(values: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=3)


conditions = st.dictionaries(
    st.sampled_from(["StringEquals", "stringequals", "StringLike"]),
    st.dictionaries(
        st.sampled_from(["aws:a", "AWS:a", "aws:b"]), one_or_many(resources), min_size=1
    ),
    max_size=1,
)


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Deny"]))}
    made[draw(st.sampled_from(["Action", "NotAction"]))] = draw(one_or_many(actions))
    made[draw(st.sampled_from(["Resource", "NotResource"]))] = draw(one_or_many(resources))
    condition = draw(conditions)
    if condition:
        made["Condition"] = condition
    return made


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    listed = draw(st.lists(statements(), min_size=1, max_size=3))
    for index, statement in enumerate(listed):
        if draw(st.booleans()):
            statement["Sid"] = f"S{index}"
    return {"Version": "2012-10-17", "Statement": draw(st.permutations(listed))}


@settings(deadline=None, max_examples=300)
@given(documents(), documents())
def test_there_is_a_difference_exactly_where_the_meaning_differs(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    old, new = load_policy(one), load_policy(other)

    assert (difference(old, new) == ()) == same_meaning(old, new)
    assert difference(old, old) == ()


def test_a_changed_statement_is_shown_element_by_element() -> None:
    old = {"Sid": "A", "Effect": "Allow", "Action": ["ec2:X", "ec2:Y"], "Resource": "*"}
    new = {**old, "Action": "ec2:y", "Condition": {"StringEquals": {"aws:k": ["b", "a"]}}}

    lines = difference(_document(old), _document(new))

    assert lines == ("~ A", "    - Action ec2:X", "    + Condition StringEquals aws:k a, b")


def test_a_statement_that_comes_or_goes_is_shown_whole() -> None:
    old = {"Effect": "Allow", "NotAction": "iam:*", "NotResource": "arn:aws:s3:::x"}
    new = {"Effect": "Allow", "Principal": {"AWS": "1"}, "Action": "sts:AssumeRole"}

    assert difference(_document(old), _document(new)) == (
        "- statement 1: Allow not iam:*",
        "    on not arn:aws:s3:::x",
        "+ statement 1: Allow sts:AssumeRole",
        "    by AWS 1",
    )


def test_a_statement_said_twice_is_one_more() -> None:
    once = {"Effect": "Allow", "Action": "ec2:X", "Resource": "*"}
    twice = load_policy({"Version": "2012-10-17", "Statement": [once, once]})

    assert difference(_document(once), twice) == ("+ statement 2: Allow ec2:X", "    on *")


def _document(statement: dict[str, Any]) -> Any:
    return load_policy({"Version": "2012-10-17", "Statement": [statement]})
