"""No two commands answer one question differently: a small run of `fuzz/contradictions.py`."""

from __future__ import annotations

import importlib
import json
from collections import Counter

import pytest

from cml_iam.policy import load_policy
from tests.conftest import REPOSITORY

PARTS = 16
PAIRS = REPOSITORY.parent / "shared" / "conformance" / "proof_pairs.jsonl"


@pytest.fixture
def commands(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "fuzz")
    return importlib.import_module("contradictions")


def test_commands_agree_on_mutants_of_a_sites_policy(commands):
    asked = Counter()

    assert list(commands.of_sites(1, asked, most=25)) == []
    assert asked["expectations that fail"] > 20
    assert asked["differences"] > 10


def test_commands_agree_on_random_pairs(commands):
    asked = Counter()

    assert list(commands.of_pairs(60, 7, asked)) == []
    assert asked["differences"] > 20
    assert asked["findings"] > 100


@pytest.mark.long
@pytest.mark.skipif(not PAIRS.exists(), reason="the published pairs are not here")
@pytest.mark.parametrize("part", range(PARTS))
def test_commands_agree_on_the_published_pairs(commands, part):
    asked, contradictions = Counter(), []
    for line in PAIRS.read_text("utf-8").splitlines()[part::PARTS]:
        row = json.loads(line)
        pair = [load_policy(row[side], side) for side in ("policy_a", "policy_b")]
        if any(
            statement.principal or statement.not_principal
            for side in pair
            for statement in side.statements
        ):
            continue
        found = commands.of_pair(*pair, asked)
        contradictions += [f"{row['id']}: {text}" for text in found]

    assert contradictions == []
    assert asked["comparisons"] > 10
