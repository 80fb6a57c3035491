"""What the hours of workers ask of them: started and stopped, held, or said to be unreadable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cml_iam.errors import InputError
from cml_iam.workers import Planned, Step, parse_schedule, plan_schedule
from cml_iam.workers._model import Worker, worker_from
from tests.workers.fake import instance

TAG, HOLD = "cml-iam:schedule", "cml-iam:hold"
WEEK = "Mon-Fri 08:00-18:00 Europe/Berlin"
OPEN = datetime(2026, 3, 27, 12, tzinfo=UTC)  # a Friday
CLOSED = datetime(2026, 3, 28, 12, tzinfo=UTC)


def worker(state: str, text: str | None = WEEK, **more: str) -> Worker:
    given = {"Name": "lab", **({TAG: text} if text is not None else {}), **more}
    tags = [{"Key": key, "Value": value} for key, value in given.items()]
    return worker_from(instance(State={"Name": state}, Tags=tags), "us-east-1")


def planned(one: Worker, now: datetime) -> Planned:
    (found,) = plan_schedule([one], TAG, HOLD, now)
    return found


@pytest.mark.parametrize(
    ("state", "now", "step"),
    [
        ("stopped", OPEN, Step.START),
        ("running", OPEN, Step.NOTHING),
        ("pending", OPEN, Step.NOTHING),
        ("stopping", OPEN, Step.LATER),
        ("running", CLOSED, Step.STOP),
        ("stopped", CLOSED, Step.NOTHING),
        ("stopping", CLOSED, Step.NOTHING),
        ("pending", CLOSED, Step.LATER),
        ("unknown", OPEN, Step.LATER),
        ("unknown", CLOSED, Step.LATER),
    ],
)
def test_the_step_is_what_the_hours_and_the_state_ask(
    state: str, now: datetime, step: Step
) -> None:
    assert planned(worker(state), now).step is step


def test_the_next_step_comes_when_the_clock_of_the_zone_says_so() -> None:
    found = planned(worker("running"), CLOSED)

    # On Monday it is summer time: 08:00 is 06:00 UTC, which on Friday was 07:00.
    assert (found.next_step, found.next_at) == (Step.START, datetime(2026, 3, 30, 6, tzinfo=UTC))
    again = planned(worker("running"), OPEN)
    assert (again.next_step, again.next_at) == (Step.STOP, datetime(2026, 3, 27, 17, tzinfo=UTC))


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("now", [OPEN, CLOSED])
def test_a_worker_that_is_held_is_let_be(state: str, now: datetime) -> None:
    found = planned(worker(state, **{HOLD: "exam"}), now)

    assert (found.step, found.why) == (Step.HELD, "`cml-iam:hold=exam`")
    assert found.next_at is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no schedule: ``"),
        ("sometimes", "no schedule: `sometimes`"),
        ("Mon-Fri 08:00-18:00", "no schedule"),
        ("Mon-Fri 8-18 Europe/Berlin", "no schedule"),
        ("Mon-Fri 18:00-08:00 UTC", "no schedule"),
        ("Mon-Fri 08:00-18:00 Europe/Berlim", "no time zone `Europe/Berlim`"),
        ("Mon-Fri 08:00-18:00 ../UTC", "no time zone"),
        ("x\x1b[2J", r"`x\x1b[2J`"),
    ],
)
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_hours_that_cannot_be_read_are_said_and_never_acted_on(
    text: str, words: str, state: str
) -> None:
    for now in (OPEN, CLOSED):
        found = planned(worker(state, text), now)

        assert found.step is Step.INVALID
        assert words in found.why
        assert WEEK in found.why  # an example of how to write them
        assert (found.hours, found.next_at) == (None, None)


def test_workers_without_hours_and_those_that_are_gone_have_no_plan() -> None:
    gone = [worker("terminated"), worker("shutting-down"), worker("running", None)]

    assert plan_schedule(gone, TAG, HOLD, OPEN) == ()


def test_work_that_never_ends_has_no_next_step() -> None:
    found = planned(worker("stopped", "mon-sun 00:00-24:00 UTC"), CLOSED)

    assert (found.step, found.next_step, found.next_at) == (Step.START, None, None)


@pytest.mark.parametrize(
    "text", [WEEK, f"  {WEEK}  ", WEEK.upper().replace("EUROPE/BERLIN", "UTC")]
)
def test_case_and_spaces_do_not_matter(text: str) -> None:
    assert parse_schedule(text).days == (0, 1, 2, 3, 4)


@given(st.text(max_size=40), st.sampled_from(["running", "stopped", "pending"]))
def test_a_tag_that_is_no_schedule_starts_and_stops_nothing(text: str, state: Any) -> None:
    try:
        parse_schedule(text)
    except InputError:
        assert planned(worker(state, text), OPEN).step is Step.INVALID
