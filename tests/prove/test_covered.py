"""Promises and expectations say the same: what one refuses, the other covers, or is listed here."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.expectations import Expectation, derive_expectations
from cml_iam.lint import lint_text
from cml_iam.policy import VERSION_2012, PolicyDocument
from cml_iam.prove import Policies, prove_promise, site_promises
from cml_iam.prove._proof import _breaking, _with_conditions
from cml_iam.prove._question import statement_of
from cml_iam.render import render_policy
from cml_iam.restrict import Promise
from cml_iam.site import Restrictions, Site, Tag
from tests.expectations.mutants import mutants
from tests.expectations.test_expectations import EVERYTHING, SITE, TAGGED_IMAGES
from tests.prove.test_promises import document
from tests.render.random_sites import random_site

NOT_COVERED = {
    "as-intended": "what must be allowed: a promise says what must not be",
}
"""Situations of expectations that no promise covers; `docs/prove.md` has them too."""

SITES = {
    "guide": SITE,
    "everything": EVERYTHING,
    "image tag": TAGGED_IMAGES,
    **{f"random {seed}": random_site(seed) for seed in range(12)},
}


def decisive(expectation: Expectation) -> list[Request]:
    return [expectation.requests[index] for index in expectation.decisive]


def covering(promises: tuple[Promise, ...], request: Request) -> set[str]:
    """Return the promises that are broken by allowing *request*, alone or as a step."""
    found = set()
    for promise in promises:
        shapes = tuple(statement_of(shape) for shape in _breaking(promise))
        asked = PolicyDocument(shapes, VERSION_2012, name="shapes")
        if compile_policies(identity=[asked]).decide(request).allowed:
            found.add(promise.id)
    return found


@pytest.mark.parametrize("name", SITES)
def test_every_expectation_is_covered_by_a_promise_or_listed_as_not_covered(name: str) -> None:
    site = SITES[name]
    promises = site_promises(site)
    uncovered = [
        expectation.id
        for expectation in derive_expectations(site)
        if expectation.expected == "refused"
        and not all(covering(promises, request) for request in decisive(expectation))
    ]
    assert uncovered == []
    allowed = {
        e.situation.replace(" ", "-")
        for e in derive_expectations(site)
        if e.expected == "allowed" and not e.violates
    }
    assert allowed - {"other-region"} <= NOT_COVERED.keys()


def refused(expectations: Sequence[Expectation], policy: PolicyDocument) -> list[Expectation]:
    """Return the expectations that *policy* does not meet by allowing too much.

    What decides is enough, but of a launch elsewhere all that it needs has to be allowed.
    """
    decide = compile_policies(identity=[policy]).decide

    def is_done(each: Expectation) -> bool:
        if each.id.startswith("RunInstances/other-region/"):
            return all(decide(request).allowed for request in each.requests)
        return any(decide(request).allowed for request in decisive(each))

    return [
        expectation
        for expectation in expectations
        if expectation.expected == "refused" and is_done(expectation)
    ]


def breaks_one(promises: tuple[Promise, ...], near: set[str], policy: PolicyDocument) -> bool:
    """Say whether *policy* breaks a promise, asking first those whose ids are *near*."""
    ordered = sorted(promises, key=lambda each: each.id not in near)
    return any(prove_promise(each, Policies((policy,))).answer == "broken" for each in ordered)


def test_what_verify_refuses_of_some_four_hundred_mutants_breaks_a_promise() -> None:
    count = 0
    for name, site in list(SITES.items())[:7]:
        promises, expectations = site_promises(site), derive_expectations(site)
        for mutant in mutants(render_policy(site).text):
            count += 1
            wrong = refused(expectations, mutant.document)
            near = {p for each in wrong[:1] for p in covering(promises, decisive(each)[0])}
            broken = not wrong or breaks_one(promises, near, mutant.document)
            assert broken, f"{name}: {mutant.name}: {[each.id for each in wrong]}"
    assert count > 432


# Condition keys ignore case, EC2's tag keys do not:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_tags.html
CML = Site(account="111122223333", restrict=Restrictions(guard_tag=Tag("ManagedBy", "cml")))
LAUNCH = {"Effect": "Allow", "Action": "ec2:RunInstances"}
INSTANCES = {"Resource": "arn:aws:ec2:*:111122223333:instance/*"}
TAGGED = {"StringEquals": {"aws:RequestTag/ManagedBy": "cml"}}
TAGGED_LISTS = {"StringEquals": {"aws:RequestTag/ManagedBy": ["cml"]}}
ANY_CASE = {"ForAnyValue:StringEqualsIgnoreCase": {"aws:TagKeys": "ManagedBy"}}


def guard_tag_faults(policy: PolicyDocument) -> list[str]:
    found = (each.id for each in refused(derive_expectations(CML), policy))
    return [each for each in found if "/guard-tag/" in each]


@pytest.mark.parametrize("condition", [{}, TAGGED, TAGGED | ANY_CASE], ids=["none", "tag", "keys"])
def test_a_launch_with_the_guard_tag_in_another_case_breaks_the_promise(condition) -> None:
    policy = document(LAUNCH | INSTANCES | {"Condition": condition})
    assert "RunInstances/guard-tag/other-case" in guard_tag_faults(policy)
    (promise,) = (each for each in site_promises(CML) if each.id == "launch-tagged")

    proof = prove_promise(promise, Policies((policy,)))

    assert proof.answer == "broken"
    edited, edits = _with_conditions(proof, Policies((policy,)))
    assert edits
    (closed,) = edited.identity
    assert guard_tag_faults(closed) == []


def test_what_closes_a_launch_without_the_guard_tag_is_accepted_by_lint_and_verify() -> None:
    policies = Policies((document({"Sid": "Launch"} | LAUNCH | INSTANCES),))
    (promise,) = (each for each in site_promises(CML) if each.id == "launch-tagged")

    edited, edits = _with_conditions(prove_promise(promise, policies), policies)

    (closed,) = edited.identity
    added = {operator: block for edit in edits for operator, block in edit.added.items()}
    assert added == TAGGED_LISTS | {"ForAnyValue:StringEquals": {"aws:TagKeys": ["ManagedBy"]}}
    text = json.dumps(
        {"Version": "2012-10-17", "Statement": [LAUNCH | INSTANCES | {"Condition": added}]}
    )
    assert "CML504" not in {each.rule for each in lint_text(text, "closed.json")}
    assert guard_tag_faults(closed) == []
