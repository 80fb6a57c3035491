"""The promises of a site in its audit: what chosen requests miss, a proof finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cml_iam.check.answer import Answer
from cml_iam.check.documents import Offline, audit_documents
from cml_iam.check.files import read_files
from cml_iam.lint import Severity
from cml_iam.render import render_policy
from cml_iam.site import Site

NANO = {
    "Sid": "Tidy",
    "Effect": "Allow",
    "Action": "ec2:TerminateInstances",
    "Resource": "arn:aws:ec2:us-east-1:111122223333:instance/*",
    "Condition": {"StringEquals": {"ec2:InstanceType": "t3.nano"}},
}


@pytest.fixture
def audited(site: Site, tmp_path: Path) -> Callable[..., Answer]:
    """Audit the site's policy with more statements in it, as a file."""

    def audit(*statements: dict[str, Any]) -> Answer:
        value = json.loads(render_policy(site).text)
        value["Statement"] += statements
        path = tmp_path / "mine.json"
        path.write_text(json.dumps(value, indent=2))
        return audit_documents(Offline(read_files([path]), site))

    return audit


def test_a_door_that_no_expectation_tries_is_found_by_the_proof(
    audited: Callable[..., Answer],
) -> None:
    part = audited(NANO)

    (found,) = [finding for finding in part.findings if finding.severity > Severity.INFO]
    assert (found.rule, found.check) == ("CML717", "promises")
    assert "by Tidy: no instance without the guard tag can be operated" in found.message
    assert found.witness[0].action == "ec2:TerminateInstances"
    states = {check.id: check.state for check in part.checks}
    assert (states["expectations"], states["promises"]) == ("passed", "failed")


def test_the_policy_of_the_site_keeps_its_promises(audited: Callable[..., Answer]) -> None:
    part = audited()

    assert {check.id: check.state for check in part.checks}["promises"] == "passed"
    assert not [finding for finding in part.findings if finding.severity > Severity.INFO]


def test_a_fault_that_an_expectation_shows_is_not_found_again(
    audited: Callable[..., Answer],
) -> None:
    part = audited({**NANO, "Condition": {}})

    rules = [finding.rule for finding in part.findings if finding.severity > Severity.INFO]
    assert "CML717" not in rules
    assert rules
    assert {check.id: check.state for check in part.checks}["promises"] == "failed"


def test_what_cannot_be_decided_is_not_checked(
    audited: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cml_iam.prove._question.MAX_SLICES", 0)

    check = next(each for each in audited().checks if each.id == "promises")

    assert check.state == "not checked"
    assert "more than 0 slices" in str(check.reason)
