"""The fleet again and again: changes, gaps in what can be asked, metrics no oftener than of use."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cml_iam import errors
from cml_iam.cli.worker_show import short_names
from cml_iam.workers import Listing, Utilization, Worker, watch
from tests.workers.fake import NOW

ONE = Worker("i-00000000000000001", "us-east-1", "pending", "c5.large", "ami-1", name="one")
TWO = Worker("i-00000000000000002", "us-west-2", "running", "c5.large", "ami-1", name="two")


class Scene:
    def __init__(self, *listings: Listing) -> None:
        self.listings = list(listings)
        self.now = NOW - timedelta(seconds=10)
        self.measured: list[list[str]] = []
        self.watch = watch(lambda: self.listings.pop(0), self.measure, self.tick)

    def tick(self) -> datetime:
        self.now += timedelta(seconds=10)
        return self.now

    def measure(self, workers: Sequence[Worker]) -> dict[str, Utilization]:
        self.measured.append([worker.name for worker in workers])
        return {worker.id: Utilization(worker.id, worker.region, NOW, NOW) for worker in workers}


def listed(*workers: Worker) -> Listing:
    return Listing(workers, {})


def test_a_change_of_state_is_told_once() -> None:
    running = replace(ONE, state="running")
    watch = Scene(listed(ONE), listed(running), listed(running)).watch

    assert [dict(next(watch).before) for _ in range(3)] == [{}, {ONE.id: "pending"}, {}]


def test_a_worker_that_is_gone_is_told() -> None:
    watch = Scene(listed(ONE, TWO), listed(TWO)).watch
    next(watch)

    assert next(watch).gone == (ONE,)


def test_a_region_that_cannot_be_asked_keeps_what_it_had() -> None:
    failed = Listing((ONE,), {"us-west-2": errors.UnreachableError("dead")})
    watch = Scene(listed(ONE, TWO), failed).watch
    next(watch)

    frame = next(watch)

    assert frame.listing.workers == (ONE, TWO)
    assert set(frame.listing.failures) == {"us-west-2"}
    assert frame.gone == ()


def test_metrics_are_asked_for_once_a_minute() -> None:
    scene = Scene(*[listed(TWO)] * 14)
    frames = [next(scene.watch) for _ in range(14)]

    assert len(scene.measured) == 3
    assert [frame.measured_at for frame in frames[:7]] == [NOW] * 6 + [frames[6].at]


def test_a_worker_that_starts_is_measured_at_once_and_one_that_stops_is_not() -> None:
    running, stopped = replace(ONE, state="running"), replace(TWO, state="stopped")
    scene = Scene(listed(ONE, TWO), listed(running, TWO), listed(running, stopped))
    frames = [next(scene.watch) for _ in range(3)]

    assert scene.measured == [["two"], ["one", "two"]]
    assert list(frames[2].used) == [ONE.id]


def test_workers_of_one_name_are_told_apart_by_their_ids() -> None:
    twin, nameless = replace(TWO, id="i-00000000000000003"), replace(ONE, id="i-4", name="")

    assert short_names([ONE, TWO, twin, nameless]) == {
        ONE.id: "one",
        TWO.id: f"two ({TWO.id})",
        twin.id: f"two ({twin.id})",
        "i-4": "i-4",
    }
