"""Many workers: by name, in batches, over regions, each with its own outcome."""

from typing import Any

import pytest

from cml_iam import errors
from cml_iam.tag import DEFAULT_TAG
from cml_iam.workers import (
    Worker,
    WorkerManager,
    act,
    find_workers,
    list_fleet,
    start_change,
    statuses,
    stop_change,
    tag_change,
    terminate_change,
)
from tests.workers.fake import GUARD_TAG, NOW, FakeAws, instance

HERE = ["us-east-1"]


def fleet(size: int) -> tuple[FakeAws, WorkerManager, tuple[Worker, ...]]:
    aws = FakeAws(instances=[instance(number) for number in range(1, size + 1)])
    manager = WorkerManager(aws)
    workers = manager.get_all_instances()
    aws.calls.clear()
    return aws, manager, workers


def test_sixty_workers_are_started_in_one_call() -> None:
    aws, manager, workers = fleet(60)

    outcomes = act(manager, workers, start_change)

    assert [outcome.worker for outcome in outcomes] == list(workers)
    assert all(outcome.change and outcome.error is None for outcome in outcomes)
    assert [len(given["InstanceIds"]) for _, given in aws.calls] == [60]


def test_one_that_is_refused_leaves_the_others_done() -> None:
    aws, manager, workers = fleet(20)
    del aws.instances[7]

    outcomes = act(manager, workers, stop_change)

    failed = [outcome for outcome in outcomes if outcome.error]
    assert [outcome.worker.id for outcome in failed] == ["i-00000000000000008"]
    assert isinstance(failed[0].error, errors.NotFoundError)
    assert sum(outcome.change is not None for outcome in outcomes) == 19
    assert {each["State"]["Name"] for each in aws.instances} == {"stopped"}
    assert len(aws.calls) < 12


@pytest.mark.parametrize("kind", [errors.CredentialsError, errors.ThrottledError])
def test_a_failure_that_is_not_of_one_worker_is_not_asked_again(kind: Any) -> None:
    aws, manager, workers = fleet(20)
    aws.failing["stop_instances"] = kind("no")

    outcomes = act(manager, workers, stop_change)

    assert all(isinstance(outcome.error, kind) for outcome in outcomes)
    assert len(aws.calls) == 1


def test_a_dry_run_asks_and_changes_nothing() -> None:
    aws, manager, workers = fleet(3)

    outcomes = act(manager, workers, terminate_change, dry_run=True)

    assert [(outcome.change, outcome.error) for outcome in outcomes] == [(None, None)] * 3
    assert {each["State"]["Name"] for each in aws.instances} == {"running"}


def test_a_dry_run_says_for_whom_it_is_refused() -> None:
    aws, manager, workers = fleet(3)
    aws.denied.add("ec2:TerminateInstances")

    outcomes = act(manager, workers, terminate_change, dry_run=True)

    assert all(isinstance(outcome.error, errors.DeniedError) for outcome in outcomes)


def test_tags_are_set_on_many_at_once() -> None:
    aws, manager, workers = fleet(60)

    act(manager, workers, lambda ids: tag_change(ids, {"team": "core"}, DEFAULT_TAG))

    assert [len(given["Resources"]) for _, given in aws.calls] == [60]


def test_statuses_of_many_are_asked_a_hundred_at_a_time() -> None:
    aws, manager, workers = fleet(150)

    assert set(statuses(manager, workers)) == {worker.id for worker in workers}
    assert [len(given["InstanceIds"]) for _, given in aws.calls] == [100, 50]


def test_each_worker_is_acted_on_in_its_own_region() -> None:
    aws, manager, (worker,) = fleet(1)
    elsewhere = manager.get_all_instances(region="eu-west-1")

    act(manager, [worker], stop_change)
    act(manager, elsewhere, stop_change)

    assert [given["region"] for action, given in aws.calls if action == "ec2:StopInstances"] == [
        "us-east-1",
        "eu-west-1",
    ]


def test_workers_are_meant_by_name_or_id_in_the_order_given() -> None:
    _, manager, workers = fleet(3)

    found = find_workers(manager, ["worker-3", workers[0].id, "worker-3"], HERE)

    assert [worker.name for worker in found] == ["worker-3", "worker-1"]


def test_an_id_of_an_instance_without_the_guard_tag_is_found_too() -> None:
    manager = WorkerManager(FakeAws(instances=[instance(Tags=[])]))

    assert find_workers(manager, ["i-00000000000000001"], HERE)[0].tags == {}


def test_an_unknown_name_offers_the_closest() -> None:
    _, manager, _ = fleet(3)

    with pytest.raises(errors.InputError) as caught:
        find_workers(manager, ["wroker-2"], HERE)

    assert caught.value.remedy == "did you mean `worker-2`?"


def test_an_unknown_id_says_where_it_was_looked_for() -> None:
    _, manager, _ = fleet(1)

    with pytest.raises(errors.InputError, match="in us-east-1, us-west-2"):
        find_workers(manager, ["i-0123456789abcdef0"], [*HERE, "us-west-2"])


def test_a_name_that_means_several_is_not_guessed_at() -> None:
    twin = instance(2, Tags=instance(1)["Tags"])
    manager = WorkerManager(FakeAws(instances=[instance(1), twin]))

    with pytest.raises(errors.InputError, match="2 workers") as caught:
        find_workers(manager, ["worker-1"], HERE)

    assert "i-00000000000000002 (us-east-1)" in (caught.value.remedy or "")


def test_a_terminated_worker_has_lost_its_name() -> None:
    gone = instance(1, State={"Name": "terminated"})
    again = instance(2, Tags=instance(1)["Tags"])
    manager = WorkerManager(FakeAws(instances=[gone, again]))

    assert find_workers(manager, ["worker-1"], HERE)[0].id == "i-00000000000000002"


def test_a_region_that_cannot_be_looked_into_leaves_the_name_unknown() -> None:
    aws, manager, _ = fleet(1)
    aws.denied.add("ec2:DescribeInstances")

    with pytest.raises(errors.DeniedError):
        find_workers(manager, ["worker-1"], HERE)


def test_a_region_that_fails_does_not_hide_the_others() -> None:
    _, manager, workers = fleet(2)

    def look(region: str) -> tuple[Worker, ...]:
        if region == "us-west-2":
            raise errors.DeniedError("no")
        return manager.get_all_instances(region=region)

    listing = list_fleet(["us-east-1", "us-west-2"], look)

    assert listing.workers == workers
    assert list(listing.failures) == ["us-west-2"]


def test_refused_credentials_end_a_listing() -> None:
    def look(region: str) -> tuple[Worker, ...]:
        raise errors.CredentialsError("no")

    with pytest.raises(errors.CredentialsError):
        list_fleet(HERE, look)


def test_a_pattern_means_all_that_fit_and_at_least_one() -> None:
    _, manager, workers = fleet(12)

    found = find_workers(manager, ["worker-1?", "worker-1"], HERE)

    assert sorted(worker.name for worker in found) == [
        "worker-1",
        "worker-10",
        "worker-11",
        "worker-12",
    ]
    assert len(find_workers(manager, ["*"], HERE)) == len(workers)
    with pytest.raises(errors.InputError):
        find_workers(manager, ["lab-*"], HERE)


def test_a_name_means_the_worker_that_stays_not_one_that_is_on_its_way_out() -> None:
    name = [*instance()["Tags"][:1], {"Key": "Name", "Value": "lab"}]
    gone, here = (
        instance(number, Tags=name, State={"Name": state})
        for number, state in ((1, "shutting-down"), (2, "running"))
    )
    manager = WorkerManager(FakeAws(instances=[gone, here]))

    (found,) = find_workers(manager, ["lab"], HERE)
    assert found.state == "running"
    (alone,) = find_workers(WorkerManager(FakeAws(instances=[gone])), ["lab"], HERE)
    assert alone.state == "shutting-down"


def test_a_name_of_very_many_workers_lists_a_few() -> None:
    namesakes = [
        instance(number, Tags=[{"Key": "Name", "Value": "lab"}, GUARD_TAG])
        for number in range(1, 361)
    ]
    manager = WorkerManager(FakeAws(instances=namesakes), now=lambda: NOW)

    with pytest.raises(errors.InputError, match="name of 360 workers") as caught:
        find_workers(manager, ["lab"], HERE)

    remedy = caught.value.remedy or ""
    assert remedy.count("i-") == 10
    assert "and 350 more" in remedy


def test_a_region_that_refuses_the_credential_hides_no_other() -> None:
    _, manager, workers = fleet(3)

    def look(region: str) -> tuple[Worker, ...]:
        if region == "us-west-2":
            raise errors.CredentialsError("no")
        return manager.get_all_instances(region=region)

    listing = list_fleet(["us-east-1", "us-west-2"], look)

    assert listing.workers == workers
    assert isinstance(listing.failures["us-west-2"], errors.CredentialsError)
