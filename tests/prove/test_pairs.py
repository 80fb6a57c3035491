"""The published pairs, answered as labelled, or listed in disagreements.json with the reason."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from cml_iam.policy import load_policy
from cml_iam.prove import Policies, differences, within
from tests.conftest import REPOSITORY

PAIRS = REPOSITORY.parent / "shared" / "conformance" / "proof_pairs.jsonl"
DISAGREEMENTS = json.loads(Path(__file__).with_name("disagreements.json").read_text("utf-8"))
KNOWN = {
    name: (disagreement, got)
    for disagreement in DISAGREEMENTS
    for name, got in disagreement["answers"].items()
}

pytestmark = pytest.mark.skipif(not PAIRS.exists(), reason="the pairs are not here")


@cache
def pairs():
    return [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]


def side(policy):
    document = load_policy(policy)
    if any(statement.principal or statement.not_principal for statement in document.statements):
        return Policies(resource=document)
    return Policies(identity=(document,))


def answer(policy_a, policy_b, one_way):
    """Say how *policy_b* relates to *policy_a*, in the words of the labels."""
    a, b = side(policy_a), side(policy_b)
    inside = within(b, a)
    if one_way:
        return {"holds": "b_within_a", "broken": "b_exceeds_a"}.get(inside.answer, inside.reason)
    words = {
        ("holds", "holds"): "equivalent",
        ("holds", "broken"): "b_subset_a",
        ("broken", "holds"): "a_subset_b",
        ("broken", "broken"): "incomparable",
    }
    outside = within(a, b)
    return words.get((inside.answer, outside.answer), inside.reason + outside.reason)


def answer_to(pair):
    one_way = pair["expected"] in {"b_within_a", "b_exceeds_a"}
    return answer(pair["policy_a"], pair["policy_b"], one_way)


def test_every_pair_is_answered_as_labelled_or_listed():
    found = {pair["id"]: answer_to(pair) for pair in pairs()}

    expected = {pair["id"]: KNOWN.get(pair["id"], (None, pair["expected"]))[1] for pair in pairs()}
    assert found == expected


def test_the_list_names_no_pair_that_is_answered_as_labelled():
    labels = {pair["id"]: pair["expected"] for pair in pairs()}

    assert not [name for name, (_, got) in KNOWN.items() if labels[name] == got]


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.long)])
def test_every_pair_is_compared_as_within_answers_it(every):
    wrong = []
    for pair in pairs()[::every]:
        old, new = side(pair["policy_a"]), side(pair["policy_b"])
        found = differences(old, new)
        for change, verdict in (
            ("newly allowed", within(new, old)),
            ("newly denied", within(old, new)),
        ):
            answer = found.verdicts[change].answer if found.verdicts else "holds"
            if (verdict.answer, verdict.answer == "broken") != (answer, bool(found.of(change))):
                wrong.append((pair["id"], change, verdict.answer, answer))

    assert wrong == []


@pytest.mark.parametrize("kind", ["version", "placeholder"])
def test_where_a_text_is_at_fault_mending_it_gives_the_label(kind):
    mended = {
        "version": lambda pair: pair | {"policy_b": {**pair["policy_b"], "Version": "2012-10-17"}},
        "placeholder": lambda pair: json.loads(
            json.dumps(pair).replace("<ACCOUNT ID>", "111111111111")
        ),
    }[kind]
    names = {name for name, (each, _) in KNOWN.items() if each["kind"] == kind}
    chosen = [each for each in pairs() if each["id"] in names]

    assert chosen
    assert {p["id"]: answer_to(mended(p)) for p in chosen} == {
        p["id"]: p["expected"] for p in chosen
    }
