"""Properties: equal to the independent evaluator, monotone, linear, safe between threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cml_iam.engine import Request, compile_policies
from cml_iam.engine._request import Keys
from cml_iam.engine._text import patterns, tokens
from tests.engine import random_cases, reference
from tests.engine.differential import mismatches

ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
LEISURELY = settings(deadline=None, max_examples=150)
PATTERNS = st.text("ab*?:", max_size=12)
TEXTS = st.text("ab:", max_size=12)


def asked(made):
    return Request(
        made["action"], made["resource"], made["principal"], made["context"], made["account"]
    )


def test_the_engine_decides_as_the_reference_does():
    wrong = [mismatch for mismatch in mismatches(20_000, seed=3) if mismatch[2] != mismatch[3]]

    assert wrong == []


@LEISURELY
@given(PATTERNS, TEXTS)
def test_a_pattern_matches_what_the_slow_matcher_says(pattern, text):
    parts = tokens(pattern, variables=True, wildcards=True, keys=Keys())
    slow = reference.glob(reference.read(pattern, {}, variables=True, wildcards=True), text)

    assert patterns([parts]).matches(text) is slow
    assert patterns([parts]).test()(text) is slow


@LEISURELY
@given(st.lists(PATTERNS, max_size=4), TEXTS)
def test_of_several_patterns_one_must_match(several, text):
    parts = [tokens(each, variables=True, wildcards=True, keys=Keys()) for each in several]
    alone = [patterns([part]).matches(text) for part in parts]

    assert patterns(parts).test()(text) is any(alone)


@LEISURELY
@given(st.text(max_size=30))
def test_any_text_can_be_a_value_of_a_condition(text):
    operators = ["StringLike", "NumericEquals", "DateEquals", "IpAddress", "ArnLike", "Bool"]
    condition = {operator: {"a:b": text} for operator in operators}
    authorizer = compile_policies([{"Statement": {**ALL, "Condition": condition}}])

    assert authorizer.decide(Request("a:b", context={"a:b": text})).outcome in {
        "allowed",
        "implicitDeny",
    }


@LEISURELY
@given(st.integers(0, 2**32))
def test_one_more_deny_never_allows_and_one_more_allow_never_denies(seed):
    random = Random(seed)  # noqa: S311 - repeatable
    policies, request = random_cases.policies(random), asked(random_cases.request(random))
    statement = random_cases.statement(random, principal=False)
    before = compile_policies(**policies).decide(request).outcome

    for effect in ("Deny", "Allow"):
        more = {"Version": "2012-10-17", "Statement": {**statement, "Effect": effect}}
        changed = {**policies, "identity": [*policies["identity"], more]}
        after = compile_policies(**changed).decide(request).outcome
        if effect == "Deny":
            assert after == "explicitDeny" or after == before
        else:
            assert after == "allowed" or after == before


@LEISURELY
@given(st.integers(0, 2**32))
def test_the_explanation_agrees_with_the_decision(seed):
    random = Random(seed)  # noqa: S311 - repeatable
    policies, request = random_cases.policies(random), asked(random_cases.request(random))
    authorizer = compile_policies(**policies)
    decision = authorizer.decide(request)
    explanation = decision.explanation
    by_action = {id(each.statement) for _, each in authorizer.matched(request)}

    assert explanation.outcome == decision.outcome
    assert len(explanation.statements) == sum(len(gate.statements) for gate in authorizer.gates)
    applied = {id(statement.statement) for statement in explanation.statements if statement.matched}
    assert applied == by_action
    if decision.outcome == "explicitDeny":
        assert decision.statements
        assert all(statement.effect == "Deny" for statement in decision.statements)
    if decision.outcome == "implicitDeny":
        assert decision.statements == ()
    assert all(reason.reason for reason in decision.reasons)


@LEISURELY
@given(st.integers(0, 2**32))
def test_a_decision_does_not_depend_on_what_was_asked_before(seed):
    """Compiled policies learn spellings and actions on the way; that must not show."""
    random = Random(seed)  # noqa: S311 - repeatable
    policies = random_cases.policies(random)
    requests = [asked(random_cases.request(random)) for _ in range(6)]
    used = compile_policies(**policies)
    first = [used.decide(request).outcome for request in requests]

    assert [compile_policies(**policies).decide(request).outcome for request in requests] == first
    assert [used.decide(request).outcome for request in reversed(requests)] == first[::-1]


def test_threads_share_an_authorizer():
    random = Random(5)  # noqa: S311 - repeatable
    policies = random_cases.policies(random)
    requests = [asked(random_cases.request(random)) for _ in range(400)]
    expected = [compile_policies(**policies).decide(request).outcome for request in requests]
    shared = compile_policies(**policies)

    with ThreadPoolExecutor(8) as pool:
        runs = pool.map(
            lambda _: [shared.decide(request).outcome for request in requests], range(16)
        )
    assert all(run == expected for run in runs)


def test_patterns_with_many_stars_take_linear_time():
    stars = "*".join(["a"] * 60) + "*b"
    document = {
        "Version": "2012-10-17",
        "Statement": {
            **ALL,
            "Resource": [f"arn:aws:s3:::{stars}", f"arn:{stars.replace('b', '')}:s3:::x"],
            "Condition": {
                "StringLike": {"a:b": [stars, "${a:c}" + stars]},
                "ArnLike": {"a:b": f"arn:aws:iam::*:{stars}"},
            },
        },
    }
    authorizer = compile_policies([document])
    context = {"a:b": "arn:" + "a" * 3000, "a:c": "a"}

    started = time.process_time()
    for resource in ("arn:aws:s3:::" + "a" * 3000, "arn:" + "a" * 3000 + ":s3:::x"):
        assert not authorizer.decide(Request("a:b", resource, None, context)).allowed
    assert time.process_time() - started < 1


def test_only_statements_about_the_action_are_asked():
    """So that one among 1,000 about others costs what it costs alone."""
    others = [{**ALL, "Action": f"service{n % 50}:Action{n}"} for n in range(999)]
    wild = [{**ALL, "Action": f"ec2:Other{n}*"} for n in range(999)]
    wanted = {**ALL, "Action": "ec2:StopInstances"}
    for statements in (others, wild):
        authorizer = compile_policies([{"Statement": [*statements, wanted]}])
        authorizer.decide(Request("ec2:StopInstances"))

        (bucket,) = authorizer._buckets.values()
        assert [len(rules) for rules in bucket.gates] == [1]


def test_ever_new_actions_and_keys_do_not_fill_the_memory():
    condition = {"StringEquals": {"aws:a": "x"}}
    authorizer = compile_policies([{"Statement": {**ALL, "Condition": condition}}])
    for number in range(6000):
        context = {f"aws:ResourceTag/{number}": "x", "AWS:A": "x"}
        assert authorizer.decide(Request(f"a:b{number}", context=context)).allowed

    assert len(authorizer._buckets) <= 4096
