"""Small runs of the attackers in `fuzz`: random questions, every answer attacked."""

from __future__ import annotations

import importlib
from collections import Counter
from random import Random
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def attacker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(REPOSITORY / "fuzz")
    return importlib.import_module(request.param)


@pytest.mark.parametrize("attacker", ["proof"], indirect=True)
def test_random_proofs_survive_and_random_witnesses_are_confirmed(attacker):
    judged = [attacker.judge(Random(f"test/{number}"), 300) for number in range(120)]  # noqa: S311

    assert [fault for _, fault in judged if fault] == []
    counts = Counter(answer for answer, _ in judged)
    assert counts["holds"] > 15
    assert counts["broken"] > 15


@pytest.mark.parametrize("attacker", ["differences"], indirect=True)
@pytest.mark.parametrize(
    "numbers",
    [
        range(120),
        *(pytest.param(range(n, n + 250), marks=pytest.mark.long) for n in range(120, 1120, 250)),
    ],
    ids=lambda numbers: str(numbers[0]),
)
def test_random_comparisons_are_what_within_says_and_survive(attacker, numbers):
    judged = [attacker.judge(Random(f"test/{number}"), 60) for number in numbers]  # noqa: S311

    assert [fault for _, fault in judged if fault] == []
    counts = Counter(answer for answers, _ in judged for answer in answers)
    assert min(counts[each] for each in ("same", "wider", "narrower", "wider and narrower")) > 10


@pytest.mark.parametrize("attacker", ["shapes"], indirect=True)
def test_random_questions_of_every_kind_survive_a_search_for_what_refutes_them(attacker):
    judged = [attacker.judge(Random(f"test/{number}"), 120) for number in range(90)]  # noqa: S311

    assert [fault for _, fault in judged if fault] == []
    counts = Counter(answer for answer, _ in judged)
    assert counts["never: holds"] > 10
    assert counts["never: broken"] > 5
    assert counts["always: broken"] > 3
    assert counts["equivalent: holds"] > 3


@pytest.mark.parametrize("attacker", ["sequences"], indirect=True)
def test_what_brute_force_reaches_is_not_said_to_be_out_of_reach(attacker):
    judged = [attacker.judge(Random(f"test/{number}")) for number in range(12)]  # noqa: S311

    assert [fault for _, fault in judged if fault] == []
    counts = Counter(answer for answers, _ in judged for answer in answers)
    assert counts["taken over: holds"] > 2
    assert counts["taken over: broken"] > 2
