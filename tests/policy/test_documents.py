"""Documents: grammar with places, meaning without order, size without white space."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import DocumentError, InputError
from cml_iam.policy import (
    Arn,
    canonical,
    did_you_mean,
    load_policy,
    parse_policy,
    policy_size,
    same_meaning,
    scalar_text,
)

TEXTS = st.sampled_from(["ec2:RunInstances", "ec2:Describe*", "s3:GetObject", "iam:GetUser"])
ONE_OR_MANY = st.one_of(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
CONDITIONS = st.dictionaries(
    st.sampled_from(["StringEquals", "StringLike", "Bool"]),
    st.dictionaries(st.sampled_from(["aws:TagKeys", "ec2:Region"]), ONE_OR_MANY, max_size=2),
    max_size=2,
)
STATEMENTS = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Action": ONE_OR_MANY, "Resource": ONE_OR_MANY},
    optional={"Sid": st.sampled_from(["A", "B"]), "Condition": CONDITIONS},
)
DOCUMENTS = st.lists(STATEMENTS, min_size=1, max_size=4).map(
    lambda statements: {"Version": "2012-10-17", "Statement": statements}
)


def shuffled(value: object, chance: random.Random) -> object:
    """Return *value* in another order and spelling of the same meaning."""
    if isinstance(value, dict):
        names = chance.sample(list(value), len(value))
        return {_respelled(name, chance): shuffled(value[name], chance) for name in names}
    if isinstance(value, list):
        mixed = chance.sample(value, len(value))
        elements = [shuffled(each, chance) if isinstance(each, dict) else each for each in mixed]
        return elements[0] if len(elements) == 1 and chance.random() < 0.5 else elements
    return [value] if chance.random() < 0.3 and ":" in str(value) else value


def _respelled(name: str, chance: random.Random) -> str:
    other = name.startswith(("String", "Bool", "aws:", "ec2:")) and chance.random() < 0.5
    return name.lower() if other else name


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_order_and_spelling_change_nothing(document: dict, chance: random.Random) -> None:
    one, other = load_policy(document), load_policy(shuffled(document, chance))  # type: ignore[arg-type]

    assert same_meaning(one, other)
    assert canonical(one) == canonical(other)


@given(DOCUMENTS)
def test_a_changed_value_changes_the_meaning(document: dict) -> None:
    changed = json.loads(json.dumps(document))
    first = changed["Statement"][0]
    first["Effect"] = "Deny" if first["Effect"] == "Allow" else "Allow"
    more = json.loads(json.dumps(document))
    more["Statement"][0]["Resource"] = ["*"]

    count = sum(1 for each in document["Statement"] if each == document["Statement"][0])
    if count == 1 and first not in document["Statement"]:
        assert not same_meaning(load_policy(document), load_policy(changed))
    assert not same_meaning(load_policy(document), load_policy(more))


def test_the_case_of_resources_and_of_sids_does_count() -> None:
    def policy(sid: str, resource: str) -> str:
        statement = {"Sid": sid, "Effect": "Allow", "Action": "s3:*", "Resource": resource}
        return json.dumps({"Statement": statement})

    one = load_policy(policy("A", "arn:aws:s3:::a"))

    assert same_meaning(one, load_policy(policy("A", "arn:aws:s3:::a")))
    assert not same_meaning(one, load_policy(policy("a", "arn:aws:s3:::a")))
    assert not same_meaning(one, load_policy(policy("A", "arn:aws:s3:::A")))


@given(DOCUMENTS)
def test_a_text_and_its_parsed_json_are_one_document(document: dict) -> None:
    parsed = parse_policy(json.dumps(document), "p")

    assert parsed == load_policy(document, "p")
    for index, statement in enumerate(parsed.statements):
        assert statement.effect == document["Statement"][index]["Effect"]
        assert statement.index == index
        assert parsed.place(statement) is not None


def test_places_of_statements_and_of_their_elements() -> None:
    text = '{"Statement": {\n "Effect": "Allow",\n "Action": ["a:b",\n  "c:d"], "Resource": "*"}}'
    document = parse_policy(text, "p")
    [statement] = document.statements

    assert str(document.place(statement)) == "p:1:15"
    assert str(document.place(statement, "Action")) == "p:3:2"
    assert str(document.place(statement, "Action", 1)) == "p:4:3"
    assert load_policy(json.loads(text)).place(statement) is None


def test_every_breach_of_the_grammar_is_reported_with_its_place() -> None:
    text = '{"Version": "2012",\n"Statement": [{"Effect": "Allow", "Resource": 1},\n{"Sid": []}]}'

    with pytest.raises(DocumentError) as raised:
        parse_policy(text, "p")

    assert [str(problem) for problem in raised.value.problems] == [
        'p:1:13: `Version` cannot be `"2012"` (one of: 2012-10-17, 2008-10-17)',
        "p:2:15: a statement needs exactly one of `Action` and `NotAction`",
        "p:2:47: `Statement[0].Resource` must be a string or a list, not `1`",
        "p:3:1: `Statement[1]` has no `Effect`",
        "p:3:1: a statement needs exactly one of `Action` and `NotAction`",
        "p:3:9: `Statement[1].Sid` must be a string, not a list",
    ]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Statement", "Effect", "Action", "Principal", "Condition", "x"]), inner
        )
    ),
    max_leaves=10,
)


@given(JUNK)
def test_what_is_no_policy_is_refused_and_nothing_else_is_raised(value: object) -> None:
    try:
        parse_policy(json.dumps(value), "p")
    except DocumentError as error:
        problems = error.problems
    else:
        problems = ()

    assert all(problem.place is not None and problem.place.file == "p" for problem in problems)


@given(st.text(), st.lists(st.sampled_from(" \t\r\n\u00a0\u2003"), max_size=5))
def test_white_space_does_not_count_towards_the_size(text: str, white: list[str]) -> None:
    plain = "".join(text.split())

    assert policy_size(plain + "".join(white)) == len(plain)


@pytest.mark.parametrize(
    ("value", "text"), [(True, "true"), (False, "false"), (10, "10"), (1.5, "1.5"), ("x", "x")]
)
def test_scalars_are_read_as_iam_reads_them(value: object, text: str) -> None:
    assert scalar_text(value) == text


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("Actoin", ["Action", "NotAction"], "did you mean `Action`?"),
        ("ec2:runinstnaces", ["ec2:RunInstances"], "did you mean `ec2:RunInstances`?"),
        ("x", ["Action"], None),
        ("", [], None),
    ],
)
def test_the_closest_known_word_is_offered(word: str, known: list[str], expected: str) -> None:
    assert did_you_mean(word, known) == expected


FIELD = st.text(st.characters(exclude_characters=":"), max_size=5)


@given(FIELD, FIELD, FIELD, FIELD, st.text(max_size=9))
def test_an_arn_is_its_six_fields_and_back(
    partition: str, service: str, region: str, account: str, resource: str
) -> None:
    text = f"arn:{partition}:{service}:{region}:{account}:{resource}"
    arn = Arn.parse(text)

    assert str(arn) == text
    assert (arn.partition, arn.service, arn.region) == (partition, service, region)
    assert (arn.account, arn.resource) == (account, resource)


@pytest.mark.parametrize("text", ["", "*", "arn", "arn:aws:ec2:us-east-1:1", "ARN:a:b:c:d:e"])
def test_what_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not an ARN"):
        Arn.parse(text)


@pytest.mark.parametrize(
    ("resource", "kind"), [("instance/i-1", "instance"), ("user/a/b", "user"), ("topic", "")]
)
def test_the_type_of_an_arn_stands_before_the_slash(resource: str, kind: str) -> None:
    assert Arn.parse(f"arn:aws:x:::{resource}").type == kind


def test_a_statement_alone_is_called_one_and_to_be_wrapped() -> None:
    """The setup guide prints such blocks."""
    with pytest.raises(DocumentError) as caught:
        parse_policy('{"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"}', "b.json")

    (problem,) = caught.value.problems
    assert str(problem) == (
        "b.json:1:1: this is a statement, not a policy"
        ' (wrap it: {"Version": "2012-10-17", "Statement": [ … ]})'
    )
