"""A small run of `fuzz/proof.py`: random pairs, every answer attacked."""

from __future__ import annotations

import importlib.util
from collections import Counter
from random import Random

from tests.conftest import REPOSITORY


def test_random_proofs_survive_and_random_witnesses_are_confirmed():
    spec = importlib.util.spec_from_file_location("fuzz_proof", REPOSITORY / "fuzz" / "proof.py")
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)

    judged = [fuzz.judge(Random(f"test/{number}"), 300) for number in range(120)]  # noqa: S311

    assert [fault for _, fault in judged if fault] == []
    counts = Counter(answer for answer, _ in judged)
    assert counts["holds"] > 15
    assert counts["broken"] > 15
