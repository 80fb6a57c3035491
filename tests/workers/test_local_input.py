"""What a command is given is checked before AWS is asked anything: nothing is launched first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.site import Idle
from cml_iam.tag import DEFAULT_TAG
from cml_iam.workers import (
    Activity,
    Worker,
    WorkerManager,
    find_idle,
    risk_of_stopping,
)
from cml_iam.workers._changes import tag_change
from cml_iam.workers._model import worker_from
from tests.harness_answers.endpoint import KINDS, Foreign, foreign
from tests.key_ids import key_id
from tests.workers.fake import GUARD_TAG, NOW, FakeAws, instance

SITE = """
[account]
id = "111122223333"
[principal]
[restrict]
regions = ["us-east-1"]
guard_tag = { ManagedBy = "lablet-cloud-manager" }
instance_types = ["m5zn.metal", "c5.*"]
[workers.small]
image = "ami-0a1b2c3d4e5f60001"
instance_types = ["c5.large"]
user_data = "boot.yaml"
[workers.far]
image = "cml-*"
instance_types = ["c5.large"]
subnets = { us-east-1a = "subnet-0a1b2c3d" }
"""
IMAGE = ("--image", "ami-0a1b2c3d4e5f60001")

CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "a missing file of certificates, at a launch": (
        ("create", "lab-1", *IMAGE, "--wait", "--cml", "--cml-ca", "nosuch.pem"),
        "no such file: `nosuch.pem`",
    ),
    "a missing file of certificates, at a start": (
        ("start", "lab-1", "--wait", "--cml", "--cml-ca", "nosuch.pem"),
        "no such file: `nosuch.pem`",
    ),
    "a file without a certificate": (
        ("wait", "lab-1", "--for", "cml-ready", "--cml-ca", "text"),
        "cannot use `text`",
    ),
    "a missing file of certificates, for idle": (
        ("idle", "--cml-ca", "nosuch.pem"),
        "no such file: `nosuch.pem`",
    ),
    "contradicting ways to ask CML": (
        ("wait", "lab-1", "--cml-ca", "text", "--insecure"),
        "use only one of them",
    ),
    "user data that is not there": (
        ("create", "lab-1", *IMAGE, "--user-data", "nosuch"),
        "'nosuch' does not exist",
    ),
    "user data that is no text": (
        ("create", "lab-1", *IMAGE, "--user-data", "binary"),
        "`binary` is not UTF-8",
    ),
    "user data that is too long": (
        ("create", "lab-1", *IMAGE, "--user-data", "long"),
        "longer than 16 KiB",
    ),
    "user data of a profile that is not there": (
        ("create", "lab-1", "--worker-profile", "small"),
        "no such file: `boot.yaml`",
    ),
    "a tag beside a profile that AWS refuses": (
        ("create", "lab-1", "--worker-profile", "far", "-t", "aws:x=y"),
        "tag `aws:x` is reserved",
    ),
    "a tag without a value": (
        ("create", "lab-1", "--image-name", "cml-*", "-t", "Stage"),
        "not a tag: `Stage`",
    ),
    "a disk of no size": (("create", "lab-1", *IMAGE, "--disk", "0"), "--disk"),
    "nested virtualization of metal": (
        ("create", "lab-1", "--image-name", "cml-*", "--nested"),
        "`m5zn.metal` has no nested virtualization",
    ),
    "two ways to name an image": (
        ("create", "lab-1", *IMAGE, "--image-name", "cml-*"),
        "not both",
    ),
    "a name that is a pattern": (("create", "lab-*", *IMAGE), "would match other workers too"),
    "a tag that makes the name a pattern": (
        ("tag", "lab-1", "-t", "Name=lab-*"),
        "would match other workers too",
    ),
    "a tag that makes the name an id": (
        ("tag", "lab-1", "-t", "Name=i-0a1b2c3d"),
        "looks like an instance id",
    ),
    "a tag that is AWS's own": (("tag", "lab-1", "-t", "aws:x=y"), "tag `aws:x` is reserved"),
    "the guard tag set": (("tag", "lab-1", "-t", "ManagedBy=me"), "is the guard tag"),
    "the guard tag removed": (("untag", "lab-1", "-t", "managedby"), "is the guard tag"),
    "force and hibernation": (
        ("stop", "lab-1", "--force", "--hibernate", "--yes"),
        "by force or hibernated, but not both",
    ),
    "a window that proves nothing": (("idle", "--window", "5m"), "shorter than 15 minutes"),
}


@pytest.fixture
def nothing_but_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreign]:
    """An endpoint that counts what is sent to it."""
    with foreign(KINDS["200, a web page"]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id("111122223333"))
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", token_urlsafe(30))
        yield endpoint


@pytest.mark.parametrize("name", CASES)
def test_wrong_input_is_refused_before_anything_is_sent(
    cml_iam: Any, tmp_path: Path, nothing_but_aws: Foreign, name: str
) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE)
    (tmp_path / "text").write_text("no certificate")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "long").write_text("x" * (16 * 1024 + 1))

    given, words = CASES[name]
    ran = cml_iam("worker", *given)

    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert nothing_but_aws.requests == 0


def test_good_input_is_sent(cml_iam: Any, tmp_path: Path, nothing_but_aws: Foreign) -> None:
    (tmp_path / "cml-iam.toml").write_text(SITE)
    (tmp_path / "boot.yaml").write_text("#cloud-config\n")

    ran = cml_iam("worker", "create", "lab-1", "--worker-profile", "small")

    assert (ran.code, nothing_but_aws.requests) == (5, 1)


def spot_and_member() -> tuple[Worker, Worker]:
    group = {"Key": "aws:autoscaling:groupName", "Value": "labs"}
    spot = instance(1, InstanceLifecycle="spot")
    member = instance(2, Tags=[GUARD_TAG, group])
    return worker_from(spot, "us-east-1"), worker_from(member, "us-east-1")


def test_a_spot_instance_and_a_member_of_a_group_are_held_back_with_the_reason() -> None:
    judged = find_idle(
        WorkerManager(FakeAws()),
        spot_and_member(),
        Idle(cpu_percent=None, network_kib=None, cml_nodes=0),
        "cml-iam:hold",
        ask_cml=lambda _: Activity(nodes=0),
        now=NOW,
    )

    assert [each.use for each in judged] == ["held", "held"]
    assert "Spot instance" in (judged[0].hold or "")
    assert "Auto Scaling group `labs`" in (judged[1].hold or "")


def test_any_other_worker_is_simply_stopped() -> None:
    assert risk_of_stopping(worker_from(instance(), "us-east-1")) is None


@pytest.mark.parametrize("name", ["lab-*", "i-0a1b2c3d", " lab", ""])
def test_a_tag_names_a_worker_as_a_launch_does(name: str) -> None:
    with pytest.raises(errors.CmlIamError):
        tag_change(["i-0a1b2c3d"], {"Name": name}, DEFAULT_TAG)
