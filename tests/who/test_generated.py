"""The hand-made principals of the generated account, each with the answer that is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cml_iam.who import Asker, Holder, Paths, Question, account_of, holders, with_scps
from tests.conftest import SHARED
from tests.who.brute import NOW

GENERATOR = SHARED / "benchmark" / "account" / "gen_account.py"

pytestmark = pytest.mark.skipif(not GENERATOR.exists(), reason="needs the shared generator")


def generated(folder: Path, *options: str) -> dict[str, Any]:
    """Return what the generator writes."""
    subprocess.run([sys.executable, GENERATOR, *options, folder], check=True, capture_output=True)
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in WRITTEN}


WRITTEN = ("gaad", "org", "expected")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Holder]]:
    made = generated(tmp_path_factory.mktemp("account"), "100", "--tricky-only")
    account = with_scps(account_of(made["gaad"]), made["org"])
    question = Question(made["expected"]["action"], made["expected"]["resource"])
    asker = Asker(account, NOW)
    answers = holders(question, asker, Paths(asker))
    return made["expected"], {answer.member.arn: answer for answer in answers}


def test_every_hand_made_principal_has_the_right_answer(
    answered: tuple[dict[str, Any], dict[str, Holder]],
) -> None:
    expected, holder = answered
    wrong = {
        principal["arn"]: holder[principal["arn"]].cell.answer
        for principal in expected["principals"]
        if holder[principal["arn"]].cell.answer != principal["answer"]
    }
    assert wrong == {}


def test_every_path_is_found_through_the_roles_that_it_takes(
    answered: tuple[dict[str, Any], dict[str, Holder]],
) -> None:
    expected, holder = answered
    chains = {
        principal["arn"]: principal["via"].split(">")
        for principal in expected["principals"]
        if ">" in (principal["via"] or "")
    }
    assert chains
    for arn, roles in chains.items():
        path = holder[arn].path
        assert path is not None
        assert [step.on.rpartition("t10-")[2] for step in path.steps] == roles


def test_who_may_give_itself_permissions_is_found(
    answered: tuple[dict[str, Any], dict[str, Holder]],
) -> None:
    expected, holder = answered
    granting = [e["arn"] for e in expected["principals"] if "self-grant" in (e["via"] or "")]
    assert len(granting) == 2
    for arn in granting:
        path = holder[arn].path
        assert path is not None
        assert path.actor.arn == arn
        assert [step.on for step in path.steps] == [arn]
