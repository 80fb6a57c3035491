"""The launch as CML Cloud Manager sends it: what `health` and `verify` foretell comes to pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.check.account import audit_account
from cml_iam.check.checks import SKIPPABLE
from cml_iam.check.scene import AccountScene
from cml_iam.credentials import read_env_key
from cml_iam.errors import SiteError
from cml_iam.expectations import derive_expectations
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.site import Application, parse_site

SITE = """
[account]
id = "111122223333"
[credentials]
manager = "env:.env"
[restrict]
regions = ["us-east-1"]
guard_tag = {{ ManagedBy = "cml-cloud-manager" }}
instance_types = ["m5zn.metal"]
[restrict.images]
us-east-1 = ["ami-0a1b2c3d4e5f60001"]
[manager]
tags = {{ ManagedBy = "{value}" }}
"""
RIGHT, WRONG = SITE.format(value="cml-cloud-manager"), SITE.format(value="lablet-cloud-manager")


def test_the_site_file_says_what_the_application_sends() -> None:
    assert parse_site(RIGHT).application == Application({"ManagedBy": "cml-cloud-manager"})
    both = RIGHT + 'tagged = ["instance", "volume"]\n'
    assert parse_site(both).application.tagged == ("instance", "volume")  # type: ignore[union-attr]


@pytest.mark.parametrize("wrong", ["tags = 1", "tags = {}\ntagged = []", 'tagged = ["snapshot"]'])
def test_another_table_is_refused(wrong: str) -> None:
    with pytest.raises(SiteError):
        parse_site(RIGHT.split("[manager]")[0] + f"[manager]\n{wrong}\n")


def test_a_site_that_does_not_say_it_has_no_such_expectation() -> None:
    site = parse_site(RIGHT.split("[manager]")[0])

    assert not [
        expectation for expectation in derive_expectations(site) if "as-sent" in expectation.id
    ]


@pytest.mark.parametrize(("site", "code"), [(RIGHT, 0), (WRONG, 3)], ids=["right", "wrong"])
def test_verify_tries_the_launch_as_it_is_sent(
    site: str, code: int, cml_iam: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)

    ran = cml_iam("policy", "verify")

    assert ran.code == code
    assert ("as CML Cloud Manager sends it" in ran.out) == (code == 3)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.mark.long
@pytest.mark.parametrize(
    ("site", "allowed"), [(RIGHT, True), (WRONG, False)], ids=["right", "wrong"]
)
def test_health_foretells_what_becomes_of_the_applications_launch(
    site: str,
    allowed: bool,
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)
    _apply(cml_iam, monkeypatch, sandbox)

    ran = cml_iam("health", "-o", "json")

    (launch,) = [
        check for check in _checks(json.loads(ran.out)) if check["action"] == "ec2:RunInstances"
    ]
    assert (launch["verdict"] == "allowed") == allowed, launch
    assert ("as CML Cloud Manager sends it" in launch["detail"]) == allowed

    _, audited = audit_account(
        AccountScene(
            _as(sandbox, sandbox.root),
            parse_site(site),
            datetime.now(UTC),
            manager=_as(sandbox, read_env_key(tmp_path / ".env")),
            skip=frozenset(SKIPPABLE) - {"use"},
        ),
    )
    refused = [finding.message for finding in audited.findings if finding.rule == "CML703"]
    assert any("`ec2:RunInstances`" in each for each in refused) != allowed


def _as(sandbox: Sandbox, key: Any) -> Aws:
    return connect(
        endpoint_url=sandbox.endpoint_url,
        region=sandbox.region,
        access_key=key.id,
        secret_key=key.secret,
    )


NOTE = (
    "every launch must carry the guard tag `ManagedBy=cml-cloud-manager`: CML Cloud Manager sends "
    "it if it is among `default_tags` in the worker-controller's `aws_regions.yaml`; its older "
    "client sends only `Name` and cannot launch under any guard tag"
)
UNNAMED = RIGHT.split("[manager]")[0]


@pytest.mark.parametrize("site", [UNNAMED, WRONG, RIGHT], ids=["unnamed", "wrong", "right"])
def test_the_site_warns_until_it_says_that_the_application_sends_the_tag(site: str) -> None:
    warning = parse_site(site).launch_warning

    assert (warning is None) == (site is RIGHT)
    assert warning is None or (warning.message == NOTE and "[manager] tags" in str(warning.remedy))


def test_without_a_guard_tag_nothing_is_said() -> None:
    without = "\n".join(line for line in UNNAMED.splitlines() if "guard_tag" not in line)

    assert parse_site(without).launch_warning is None


@pytest.mark.parametrize("document", ["hardened", "base"])
def test_the_markdown_form_says_what_launches_must_carry(
    document: str, cml_iam: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(RIGHT)

    ran = cml_iam("policy", "render", "--form", "markdown", "--document", document)

    assert ran.code == 0
    assert (NOTE in ran.out) == (document == "hardened")


@pytest.mark.parametrize(
    ("document", "site"),
    [("hardened", UNNAMED), ("base", UNNAMED), ("hardened", RIGHT)],
    ids=["hardened", "base", "the application sends it"],
)
def test_the_plan_says_what_launches_must_carry(
    document: str,
    site: str,
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)
    noted = document == "hardened" and site is UNNAMED
    _use(monkeypatch, sandbox)

    told = cml_iam("bootstrap", "plan", "--document", document)
    data = json.loads(cml_iam("bootstrap", "plan", "--document", document, "-o", "json").out)

    assert (NOTE in told.out) == noted
    assert data["notes"] == ([NOTE] if noted else [])


def test_init_says_it_and_where_the_tags_are_named(
    cml_iam: Callable[..., Any], tmp_path: Path
) -> None:
    options = ("--account", "111122223333", "--guard-tag", "ManagedBy=cml-cloud-manager")
    sent = ("--application-tag", "ManagedBy=cml-cloud-manager")

    bare, named = (
        cml_iam("init", "--force", *options),
        cml_iam("init", "--force", *options, *sent),
    )

    assert NOTE in _unwrapped(bare.err)
    assert "fix: list the tags that it sends" in _unwrapped(bare.err)
    assert NOTE in _unwrapped(named.err)
    assert "fix:" not in named.err
    written = parse_site((tmp_path / "cml-iam.toml").read_text()).application
    assert written == Application({"ManagedBy": "cml-cloud-manager"})


@pytest.mark.long
@pytest.mark.parametrize("site", [UNNAMED, RIGHT], ids=["unnamed", "right"])
def test_health_and_doctor_say_what_launches_must_carry(
    site: str,
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(site)
    _apply(cml_iam, monkeypatch, sandbox)

    health, doctor = cml_iam("health"), cml_iam("doctor", "permissions")
    warned = site is UNNAMED

    assert (NOTE in _unwrapped(health.out + health.err)) == warned
    assert (NOTE in _unwrapped(doctor.out)) == warned
    told = json.loads(cml_iam("health", "-o", "json").out)
    assert told["warning"] == (NOTE if warned else None)
    assert told["remedy"] is None or told["remedy"] in _unwrapped(health.err)
    assert (told["remedy"] is not None) == warned


ONLY_NAME = UNNAMED + '[manager]\ntags = { Name = "x" }\n'
SEND_IT = (
    "add `ManagedBy=cml-cloud-manager` to `default_tags` of the worker-controller's region file, "
    "then to `[manager] tags`"
)


def _fixes(text: str) -> list[str]:
    return [line.partition("fix: ")[2] for line in text.splitlines() if "fix: " in line]


def test_verify_says_how_the_application_comes_to_send_the_tag(
    cml_iam: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "cml-iam.toml").write_text(ONLY_NAME)

    ran = cml_iam("policy", "verify")

    assert ran.code == 3
    assert _fixes(ran.out + ran.err) == [SEND_IT]
    assert json.loads(cml_iam("policy", "verify", "-o", "json").out)["remedy"] == SEND_IT


@pytest.mark.long
def test_no_command_advises_to_weaken_the_guard_where_the_application_sends_no_guard_tag(
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(ONLY_NAME)
    _apply(cml_iam, monkeypatch, sandbox)

    health = json.loads(cml_iam("health", "-o", "json").out)
    doctor = json.loads(cml_iam("doctor", "permissions", "-o", "json").out)
    shown = cml_iam("health")

    (launch,) = [check for check in _checks(health) if check["action"] == "ec2:RunInstances"]
    assert (launch["verdict"], launch["remedy"]) == ("refused", SEND_IT)
    about_launches = [
        diagnose["remedy"]
        for diagnose in doctor["diagnoses"]
        if diagnose["subject"].startswith(("launches", "ec2:RunInstances"))
    ]
    assert about_launches == [SEND_IT] * 2
    assert SEND_IT in _unwrapped(shown.err + shown.out)
    assert "grant ec2:RunInstances" not in _unwrapped(shown.err + shown.out)


@pytest.mark.long
def test_a_launch_that_the_tag_would_not_help_is_advised_as_before(
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(ONLY_NAME)
    _apply(cml_iam, monkeypatch, sandbox)
    other = ONLY_NAME.replace("m5zn.metal", "c5.metal")  # another type than the policy allows
    (tmp_path / "cml-iam.toml").write_text(other)

    health = json.loads(cml_iam("health", "-o", "json").out)

    (launch,) = [check for check in _checks(health) if check["action"] == "ec2:RunInstances"]
    assert launch["verdict"] == "refused"
    assert launch["remedy"] != SEND_IT


GRANTED = RIGHT + "[grant]\ndetailed_monitoring = true\n"


@pytest.mark.long
@pytest.mark.parametrize(
    ("applied", "used", "verdict"),
    [
        pytest.param(RIGHT, RIGHT, None, id="not-granted"),
        pytest.param(GRANTED, GRANTED, "allowed", id="granted"),
        pytest.param(RIGHT, GRANTED, "refused", id="granted-but-not-in-the-policy"),
    ],
)
def test_health_tries_monitor_instances_where_the_site_grants_it(
    applied: str,
    used: str,
    verdict: str | None,
    cml_iam: Callable[..., Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cml-iam.toml").write_text(applied)
    _apply(cml_iam, monkeypatch, sandbox)
    launch = ("--image", "ami-0a1b2c3d4e5f60001", "--type", "m5zn.metal")
    assert cml_iam("worker", "create", "cml-worker-01", *launch).code == 0
    (tmp_path / "cml-iam.toml").write_text(used)

    ran = cml_iam("health", "-o", "json")
    doctor = cml_iam("doctor", "permissions", "-o", "json")
    workers = json.loads(cml_iam("worker", "list", "-o", "json").out)

    tried = {check["action"]: check for check in _checks(json.loads(ran.out))}
    assert tried.get("ec2:MonitorInstances", {"verdict": None})["verdict"] == verdict
    assert ran.code == (3 if verdict == "refused" else 0), ran.out
    if verdict == "refused":
        assert "[grant] detailed_monitoring" in tried["ec2:MonitorInstances"]["remedy"]
        assert "ec2:MonitorInstances" in doctor.out
    assert [worker["detailed_monitoring"] for worker in workers] == [False]


def _use(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)


def _apply(cml_iam: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """Bootstrap the site as the administrator, and go on with the manager's own key."""
    _use(monkeypatch, sandbox)
    applied = cml_iam("bootstrap", "apply", "--yes")
    assert applied.code == 0, applied.err
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


def _checks(answer: Any) -> list[dict[str, Any]]:
    """Return the checks of the answer, wherever it keeps them."""
    if isinstance(answer, dict):
        found = [answer] if {"action", "verdict"} <= set(answer) else []
        return found + [check for value in answer.values() for check in _checks(value)]
    return (
        [check for value in answer for check in _checks(value)] if isinstance(answer, list) else []
    )
