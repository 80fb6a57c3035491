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
    if case.of_resources:
        sides = [Policies(resource=load_policy(each)) for each in (case.candidate, case.reference)]
        mine, theirs = (compile_policies(resource=e) for e in (case.candidate, case.reference))
    else:
        boundary = None if case.boundary is None else (load_policy(case.boundary),)
        sides = [
            Policies(identity=(load_policy(case.candidate),), boundary=boundary),
            Policies(identity=(load_policy(case.reference),)),
        ]
        mine = compile_policies(identity=[case.candidate], boundary=case.boundary)
        theirs = compile_policies(identity=[case.reference])

    verdict = within(*sides)

    assert verdict.answer == case.answer, verdict
    if verdict.witness:
        request = verdict.witness.request
        assert _allowed(mine, request, of_resources=case.of_resources)
        assert not _allowed(theirs, request, of_resources=case.of_resources)
        assert verdict.witness.candidate.statements


def _allowed(authorizer, request, *, of_resources):
    """What a resource's policy says to its caller, whatever the caller's own say."""
    if not of_resources:
        return authorizer.decide(request).allowed
    return {each.statement.effect for _, each in authorizer.matched(request)} == {"Allow"}
