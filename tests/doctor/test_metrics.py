"""Issue: CloudWatch Metrics Return "Unknown". Every entry is seeded, and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cml_iam.aws import Aws, Identity
from cml_iam.catalogue import load_catalogue
from cml_iam.check.answer import Diagnosis, State
from cml_iam.check.doctor import Scene, examine
from cml_iam.errors import NotOfferedError, ThrottledError
from cml_iam.workers import WorkerManager
from tests.doctor.conftest import Patient


class Cloud:
    """The sandbox, but for CloudWatch, which answers what it is told to by namespace."""

    def __init__(self, real: Aws, answers: dict[str, Any]) -> None:
        self.real = real
        self.answers = answers
        self.region = real.region

    def identity(self) -> Identity:
        return self.real.identity()

    def call(self, service: str, operation: str, **given: Any) -> dict[str, Any]:
        told = self.answers.get(given.get("Namespace", ""))
        if isinstance(told, Exception):
            raise told
        if told is not None:
            return {"Datapoints": told(given)}
        return self.real.call(service, operation, **given)

    def pages(self, *named: Any, **given: Any) -> Iterator[Any]:
        return self.real.pages(*named, **given)


def nothing(_: Any) -> list[Any]:
    return []


def points(*, minutes: int, only: frozenset[str] | None = None) -> Any:
    """Return CloudWatch's answer with one point, for *only* these dimensions."""

    def answer(given: dict[str, Any]) -> list[Any]:
        named = {dimension["Name"] for dimension in given["Dimensions"]}
        if only is not None and named != only:
            return []
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        return [{"Timestamp": at, "Average": 7.0, "Maximum": 9.0, "SampleCount": 5.0}]

    return answer


def diagnoses(patient: Patient, answers: dict[str, Any], hours: int = 1) -> dict[str, Diagnosis]:
    aws = Cloud(patient.root, answers)

    def now() -> datetime:
        # The worker was launched by this test run: an hour later it is no longer too young.
        return datetime.now(UTC) + timedelta(hours=hours)

    scene = Scene(
        aws,
        WorkerManager(aws, now=now),
        ("us-east-1",),
        "us-east-1",
        None,
        now,
    )
    return {each.subject.split(" ")[0]: each for each in examine(scene, ["metrics"])}


pytestmark = pytest.mark.usefixtures("worker")


def test_metrics_that_are_there_are_fine(patient: Patient) -> None:
    found = patient.visit("metrics")

    assert [diagnose["state"] for diagnose in patient.said["diagnoses"]] == ["ok"] * 2 + ["ok"] * (
        len(patient.said["diagnoses"]) - 2
    )
    assert found == []


# Solution 1: verify `cloudwatch:GetMetricStatistics` permission is granted


def test_a_missing_permission_is_named(patient: Patient) -> None:
    actions = [action for action in load_catalogue().actions if not action.startswith("cloudwatch")]
    patient.allow(
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"},
            }
        )
    )

    found = patient.visit("metrics")

    assert found
    assert {each["state"] for each in found} == {"finding"}
    for each in found:
        assert "no permission" in each["said"]
        assert "`cloudwatch:GetMetricStatistics`" in each["remedy"]


# Solution 2: enable detailed monitoring on EC2 instances


def test_no_point_under_basic_monitoring_offers_detailed_monitoring(patient: Patient) -> None:
    found = diagnoses(patient, {"AWS/EC2": nothing})

    assert found["cpu"].state is State.FINDING
    assert "aws ec2 monitor-instances --instance-ids i-" in (found["cpu"].remedy or "")


def test_a_worker_just_started_is_too_young_and_nothing_is_wrong(patient: Patient) -> None:
    found = diagnoses(patient, {"AWS/EC2": nothing}, hours=0)

    assert found["cpu"].state is State.ADVICE
    assert "too young" in found["cpu"].said


# Solution 3: install CloudWatch agent on instances for memory metrics


def test_an_agent_that_is_not_there_is_named(patient: Patient) -> None:
    found = diagnoses(patient, {"CWAgent": nothing})

    assert found["memory"].state is State.FINDING
    assert "no agent" in found["memory"].said
    assert "CloudWatchAgentServerPolicy" in (found["memory"].remedy or "")


# Solution 4: check CloudWatch service availability in the region


def test_a_region_without_cloudwatch_is_named(patient: Patient) -> None:
    refused = NotOfferedError("not here", code="UnsupportedOperation")

    found = diagnoses(patient, {"AWS/EC2": refused, "CWAgent": refused})

    assert found["cpu"].state is State.FINDING
    assert "available in the region" in (found["cpu"].remedy or "")


def test_an_endpoint_of_cloudwatch_that_is_dead_could_not_be_checked(patient: Patient) -> None:
    patient.monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")

    found = patient.visit("endpoint")

    assert [each["subject"] for each in found] == ["cloudwatch"]
    assert "set by AWS_ENDPOINT_URL_CLOUDWATCH" in found[0]["said"]


def test_being_throttled_is_no_finding_and_not_fine(patient: Patient) -> None:
    slow = ThrottledError("slow", code="Throttling")

    assert diagnoses(patient, {"AWS/EC2": slow})["cpu"].state is State.UNCHECKED


def test_a_terminated_worker_has_no_metrics_to_report(patient: Patient, worker: str) -> None:
    patient.root.call("ec2", "terminate_instances", InstanceIds=[worker])

    patient.visit("metrics")

    assert [diagnose["said"] for diagnose in patient.said["diagnoses"]] == [
        "there is no worker to measure"
    ]
