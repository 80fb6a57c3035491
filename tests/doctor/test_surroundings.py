"""The regions, the data, and what the doctor's answer looks like."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from cml_iam.check.answer import State
from cml_iam.check.checks import check_named
from cml_iam.check.doctor import _data_age, _region
from cml_iam.cli._main import run
from cml_iam.facts import updated
from tests.doctor.conftest import Patient


def test_a_region_that_does_not_exist_is_named(patient: Patient) -> None:
    site = patient.folder / "cml-iam.toml"
    site.write_text(site.read_text().replace('"us-east-1"', '"us-east-1", "us-east-7"'))

    (found,) = patient.visit("regions")

    assert (found["subject"], found["said"]) == ("us-east-7", "EC2 has no such region")
    assert patient.said["code"] == 3


@pytest.mark.parametrize(
    ("status", "state"),
    [("not-opted-in", State.FINDING), ("opted-in", State.OK), ("opt-in-not-required", State.OK)],
)
def test_a_region_that_is_not_enabled_is_named(status: str, state: State) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Region.html"""
    found = _region(check_named("regions"), "af-south-1", status)

    assert found.state is state
    assert ("enable-region" in (found.remedy or "")) is (state is State.FINDING)


@pytest.mark.parametrize(("days", "state"), [(30, State.OK), (200, State.ADVICE)])
def test_old_data_is_pointed_out(days: int, state: State) -> None:
    made = date.fromisoformat(updated())
    reference = _data_age(check_named("data"), made, made + timedelta(days=days))

    assert reference.state is state


def test_each_fix_is_named_once(patient: Patient, cml_iam: Any) -> None:
    ran = cml_iam("doctor", "permissions", "--region", "eu-west-1")

    assert ran.code == 8
    fixes = [line for line in ran.out.splitlines() if line.startswith("    fix: ")]
    assert fixes
    assert len(fixes) == len(set(fixes))


def test_a_word_that_is_no_area_is_usage() -> None:
    assert run(["doctor", "health"]) == 2
