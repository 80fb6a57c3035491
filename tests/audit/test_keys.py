"""Each key has at most one fault of its own, and the worst of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from cml_iam.catalogue import load_catalogue
from cml_iam.check._usage import keys as check_keys
from cml_iam.check._usage import last_accessed
from cml_iam.check.answer import Answer
from cml_iam.check.checks import check_named
from cml_iam.site import Grants, Site
from tests.key_ids import key_id

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITE = Site(account="111122223333")
OURS, OURS_TOO = key_id(SITE.account, number=1), key_id(SITE.account, number=2)


@dataclass
class Key:
    """A key as IAM knows it: days since it was made, and since it was used (None: never)."""

    id: str
    age: float
    used: float | None
    status: str = "Active"


@dataclass
class Iam:
    """Answers what is asked of access keys, and of what was used."""

    keys: tuple[Key, ...] = ()
    jobs: tuple[dict[str, Any], ...] = ()
    region: str | None = None

    def call(self, service: str, operation: str, **given: Any) -> dict[str, Any]:
        if operation == "generate_service_last_accessed_details":
            return {"JobId": "job"}
        if operation == "get_service_last_accessed_details":
            first, *rest = self.jobs
            self.jobs = tuple(rest) or (first,)
            return first
        key = next(each for each in self.keys if each.id == given["AccessKeyId"])
        if key.used is None:
            return {"AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
        when = NOW - timedelta(days=key.used)
        last = {"LastUsedDate": when, "ServiceName": "ec2", "Region": "us-east-1"}
        return {"AccessKeyLastUsed": last}

    def pages(self, service: str, operation: str, key: str, **given: Any) -> Iterator[Any]:
        for each in self.keys:
            made = NOW - timedelta(days=each.age)
            yield {"AccessKeyId": each.id, "Status": each.status, "CreateDate": made}

    def identity(self) -> Any:
        raise AssertionError


def audited(*keys: Key, tags: dict[str, str] | None = None) -> Answer:
    scene: Any = SimpleNamespace(
        aws=Iam(keys), site=SITE, account=SITE.account, now=NOW, tags=tags or {}
    )
    return check_keys(check_named("keys"), scene, Answer())


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (Key(OURS, 0, None), None),
        (Key(OURS, 7.5, None), None),
        (Key(OURS, 8, None), "CML805"),
        (Key(OURS, 8, 1), None),
        (Key(OURS, 90.9, 1), None),
        (Key(OURS, 91, 1), "CML802"),
        (Key(OURS, 91, 90), "CML802"),
        (Key(OURS, 200, 90.1), "CML801"),
        (Key(OURS, 200, None), "CML801"),
        (Key(OURS, 200, None, "Inactive"), "CML804"),
        (Key(OURS, 1, 1, "Inactive"), "CML804"),
    ],
    ids=str,
)
def test_a_key_has_its_worst_fault(key: Key, rule: str | None) -> None:
    part = audited(key)

    assert [finding.rule for finding in part.findings] == ([rule] if rule else [])
    (line,) = part.keys
    assert (line.id, line.status, line.age) == (key.id, key.status, int(key.age))


def test_a_key_of_another_account_is_found_by_its_id() -> None:
    """The id carries the account in base 32."""
    part = audited(Key(key_id("444455556666"), 1, 1))

    assert [finding.rule for finding in part.findings] == ["CML806"]


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, ["CML803"]),
        ({"cml-iam:rotation": "idle"}, ["CML803"]),
        ({"cml-iam:rotation": "observing since=2026-11-23T00:00:00Z old=A new=B"}, []),
    ],
)
def test_two_active_keys_are_right_in_a_rotation_alone(
    tags: dict[str, str], found: list[str]
) -> None:
    part = audited(Key(OURS, 1, 1), Key(OURS_TOO, 1, 1), tags=tags)

    assert [finding.rule for finding in part.findings] == found


def test_no_key_is_no_fault() -> None:
    part = audited()

    assert part.findings == ()
    assert part.checks[0].detail == "no access key"


def job(status: str = "COMPLETED", **services: Any) -> dict[str, Any]:
    listed = [{"ServiceNamespace": name, **said} for name, said in services.items()]
    return {"JobStatus": status, "ServicesLastAccessed": listed}


def tracked(*actions: tuple[str, int | None]) -> dict[str, Any]:
    return {
        "LastAuthenticated": NOW,
        "TrackedActionsLastAccessed": [
            {"ActionName": name}
            | ({} if days is None else {"LastAccessedTime": NOW - timedelta(days=days)})
            for name, days in actions
        ],
    }


def usage(*jobs: dict[str, Any], site: Site = SITE) -> tuple[Answer, list[float]]:
    waited: list[float] = []
    scene: Any = SimpleNamespace(aws=Iam(jobs=jobs), site=site, account=site.account, now=NOW)
    return last_accessed(check_named("last-accessed"), scene, Answer(), waited.append), waited


def test_what_was_not_used_is_told_with_the_methods_that_would() -> None:
    part, _ = usage(
        job(
            ec2=tracked(("RunInstances", 1), ("DeleteTags", 91), ("StopInstances", None)),
            cloudwatch={"LastAuthenticated": NOW},
        )
    )

    assert [(each.permission, each.methods) for each in part.unused] == [
        ("ec2:StopInstances", ("stop_instance",)),
        ("ec2:DeleteTags", ("delete_instance_tags",)),
    ]
    assert part.findings == ()
    count = len(load_catalogue().permissions)
    assert part.checks[0].detail == (
        f"AWS tracks 3 of {count} permissions; 2 not used; "
        f"{count - 3} that AWS does not track individually"
    )


def test_a_grant_beyond_the_documented_that_is_not_used_is_a_finding() -> None:
    site = Site(account="111122223333", grant=Grants(metric_data=True))

    part, _ = usage(job(ec2=tracked(("RunInstances", 1)), cloudwatch={}), site=site)

    assert [finding.rule for finding in part.findings] == ["CML714"]
    assert "cloudwatch:GetMetricData" in part.findings[0].message
    assert "cloudwatch:GetMetricStatistics" in [each.permission for each in part.unused]


def test_an_optional_permission_that_no_method_uses_is_named_alone() -> None:
    site = Site(account="111122223333", grant=Grants(pass_role="worker"))
    part, _ = usage(
        job(ec2=tracked(("RunInstances", 1)), iam=tracked(("PassRole", None))), site=site
    )

    assert [finding.message for finding in part.findings] == ["`iam:PassRole` is not used"]


def test_an_answer_that_is_not_ready_is_waited_for_and_not_for_ever() -> None:
    done, waited = usage(job("IN_PROGRESS"), job("IN_PROGRESS"), job(ec2=tracked(("X", 1))))
    assert len(waited) == 2
    assert done.checks[0].state == "not checked"

    late, waited = usage(job("IN_PROGRESS"))
    assert sum(waited) >= 20
    assert late.checks[0].state == "not checked"
    assert "20 seconds" in str(late.checks[0].reason)
