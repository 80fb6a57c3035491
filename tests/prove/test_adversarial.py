"""Every adversarial pair gets the answer that follows from how it was built."""

from __future__ import annotations

import pytest

from cml_iam.engine import compile_policies
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, within
from tests.prove.adversarial import cases

CASES = cases()


def test_there_are_more_than_two_hundred_with_names_of_their_own():
    assert len({each.name for each in CASES}) == len(CASES) > 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_the_one_it_was_built_for(case):
    boundary = None if case.boundary is None else (load_policy(case.boundary),)
    candidate = Policies(identity=(load_policy(case.candidate),), boundary=boundary)

    verdict = within(candidate, Policies(identity=(load_policy(case.reference),)))

    assert verdict.answer == case.answer, verdict
    if verdict.witness:
        request = verdict.witness.request
        mine = compile_policies(identity=[case.candidate], boundary=case.boundary)
        assert mine.decide(request).allowed
        assert not compile_policies(identity=[case.reference]).decide(request).allowed
        assert verdict.witness.candidate.statements
