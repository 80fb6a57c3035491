"""A small run of `fuzz/engine.py`: nothing but our own errors comes out of mutated policies."""

from __future__ import annotations

import importlib.util

from tests.conftest import REPOSITORY


def test_mutated_policies_raise_our_own_errors_only():
    path = REPOSITORY / "fuzz" / "engine.py"
    spec = importlib.util.spec_from_file_location("fuzz_engine", path)
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)

    outcomes, times = fuzz.run(2_000, seed=11)

    assert outcomes["FAILED"] == 0
    assert outcomes["compiled"] > 100
    assert outcomes["with problems"] > 50
    assert len(times) == 2_000
