"""Many accounts: each by a role of its own, and one that fails does not stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.check.account import (
    audit_accounts,
    enter_role,
    list_organization,
    read_targets,
)
from cml_iam.check.report import make_report
from cml_iam.check.scene import AccountScene
from cml_iam.errors import DocumentError, InputError
from cml_iam.render import render_parts
from cml_iam.sandbox import Sandbox
from cml_iam.secret import Secret
from cml_iam.site import Restrictions, Site
from tests.conftest import Ran
from tests.organization import Organization, start_organization

MEMBERS = ("222200000001", "222200000002", "222200000003")
OTHERS = tuple(f"3333{number:08}" for number in range(150))
"""More than one page of the organization's accounts has."""

CLOSED = "222200000003"
SITE = Site(account="111122223333", restrict=Restrictions(regions=("us-east-1",)))
ROLE = "auditors/reader"
REPOSITORY = Path(__file__).parents[2]
SKIPPED = frozenset({"use", "trail", "alarms", "boundary"})


def documented(number: int) -> dict[str, Any]:
    """Return the policy number *number* of the page on audits."""
    text = (REPOSITORY / "docs" / "audit.md").read_text("utf-8")
    made: dict[str, Any] = json.loads(text.split("```json\n")[number].partition("```")[0])
    return made


@pytest.fixture(scope="module")
def organization() -> Iterator[Organization]:
    running = start_organization((*MEMBERS, *OTHERS))
    with running.sandbox:
        yield running


@pytest.fixture(scope="module")
def sandbox(organization: Organization) -> Sandbox:
    return organization.sandbox


def sign_in(sandbox: Sandbox, key: str, secret: Secret, token: Secret | None = None) -> Aws:
    return connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=key,
        secret_key=secret,
        session_token=token,
        attempts=1,
    )


@pytest.fixture(scope="module")
def auditor(organization: Organization, sandbox: Sandbox) -> Aws:
    """The central auditor; two members have the role and a manager, one of them too wide."""
    for member in MEMBERS[:2]:
        site = replace(SITE, account=member)
        root = organization.root_of(member)
        aws = sign_in(sandbox, root.id, root.secret)
        aws.call(
            "iam",
            "create_role",
            RoleName="reader",
            Path="/auditors/",
            AssumeRolePolicyDocument=json.dumps(trust("111122223333")),
        )
        aws.call(
            "iam",
            "put_role_policy",
            RoleName="reader",
            PolicyName="read",
            PolicyDocument=json.dumps(documented(1)),
        )
        aws.call("iam", "create_user", UserName=site.user)
        (part,) = render_parts(site)
        made = aws.call("iam", "create_policy", PolicyName=site.policy, PolicyDocument=part.text)
        aws.call(
            "iam",
            "attach_user_policy",
            UserName=site.user,
            PolicyArn=made["Policy"]["Arn"],
        )
    aws.call(
        "iam",
        "attach_user_policy",
        UserName=SITE.user,
        PolicyArn="arn:aws:iam::aws:policy/AmazonEC2FullAccess",
    )
    root = sign_in(sandbox, sandbox.root.id, sandbox.root.secret)
    root.call("iam", "create_user", UserName="auditor")
    root.call(
        "iam",
        "put_user_policy",
        UserName="auditor",
        PolicyName="p",
        PolicyDocument=json.dumps(documented(2)).replace("cml-iam-audit", ROLE),
    )
    made = root.call("iam", "create_access_key", UserName="auditor")["AccessKey"]
    return sign_in(sandbox, made["AccessKeyId"], made["SecretAccessKey"])


def trust(account: str) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "audit-7"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def enter(sandbox: Sandbox, external_id: str | None = "audit-7") -> Callable[[Aws, Site], Aws]:
    signing_in = partial(sign_in, sandbox)
    return partial(enter_role, role=ROLE, external_id=external_id, sign_in=signing_in)


def test_each_account_is_audited_and_one_that_is_closed_is_said(
    sandbox: Sandbox, auditor: Aws
) -> None:
    now = datetime.now(UTC)
    targets = {id_: name for id_, name in list_organization(auditor).items() if id_ in MEMBERS}
    told: list[str] = []

    audited = list(
        audit_accounts(
            AccountScene(auditor, SITE, now, skip=SKIPPED),
            targets,
            enter(sandbox),
            8,
            lambda account: told.append(account.id),
        )
    )
    report = make_report(now, [part for _, part in audited], accounts=[each for each, _ in audited])

    assert [(each.id, each.name, each.state) for each in report.accounts] == [
        ("222200000001", "member-1", "audited"),
        ("222200000002", "member-2", "audited"),
        ("222200000003", "member-3", "not checked"),
    ]
    assert sorted(told) == list(MEMBERS)
    assert "cannot be assumed" in str(report.accounts[2].reason)
    assert "docs/audit.md" in str(report.accounts[2].remedy)
    assert [(finding.rule, finding.spot.account) for finding in report.findings] == [
        ("CML709", "222200000002")
    ]
    assert [matrix.account for matrix in report.matrices] == ["222200000002"]
    assert {cell.met for matrix in report.matrices for cell in matrix.cells} == {False}
    assert report.conclusion() == "findings"
    assert replace(report, findings=()).conclusion() == "incomplete"


def test_without_the_external_id_no_account_is_entered(sandbox: Sandbox, auditor: Aws) -> None:
    scene = AccountScene(auditor, SITE, datetime.now(UTC), skip=SKIPPED)
    targets = read_targets("222200000001\n", "list")

    ((account, part),) = audit_accounts(scene, targets, enter(sandbox, external_id=None), 8)

    assert account.state == "not checked"
    assert part.checks == ()


@pytest.mark.parametrize("several", [1, 3])
def test_the_order_is_that_of_the_list(sandbox: Sandbox, auditor: Aws, several: int) -> None:
    scene = AccountScene(auditor, SITE, datetime.now(UTC), skip=SKIPPED)
    targets = read_targets("222200000002\n222200000001\n", "list")

    found = audit_accounts(scene, targets, enter(sandbox), several)

    assert [account.id for account, _ in found] == ["222200000002", "222200000001"]


def test_the_command_line_audits_an_organization(
    sandbox: Sandbox,
    auditor: Aws,
    cml_iam: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    keys = auditor.session.get_credentials()  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    (tmp_path / "cml-iam.toml").write_text(
        '[account]\nid = "111122223333"\n[restrict]\nregions = ["us-east-1"]\n'
    )
    (tmp_path / "accounts").write_text("222200000001 one\n222200000003 closed\n")

    ran = cml_iam(
        "audit",
        "--accounts",
        "accounts",
        "--role",
        ROLE,
        "--external-id",
        "audit-7",
        *(word for each in sorted(SKIPPED) for word in ("--skip", each)),
        "-o",
        "json",
    )

    said = json.loads(ran.out)
    assert ran.code == 8, ran.err
    assert [account["state"] for account in said["accounts"]] == ["audited", "not checked"]
    assert said["skipped"] == sorted(SKIPPED)
    assert "not checked 222200000003" in ran.err


def test_an_organization_of_several_pages_is_listed_whole(auditor: Aws) -> None:
    listed = list_organization(auditor)

    assert list(listed) == ["111122223333", *MEMBERS, *OTHERS]


def test_an_organization_without_accounts_is_no_clean_audit() -> None:
    class Empty:
        def pages(self, *_: str) -> list[dict[str, Any]]:
            return [{"Id": "111122223333", "Status": "SUSPENDED"}]

    with pytest.raises(InputError, match="no active account"):
        list_organization(cast("Aws", Empty()))


def test_a_list_of_accounts_may_have_names_and_comments() -> None:
    text = "# ours\n111122223333, production\n\n444455556666\tlab  # later\n111122223333\n"

    found = read_targets(text, "list")

    assert list(found.items()) == [
        ("111122223333", "production"),
        ("444455556666", "lab"),
    ]


def test_a_list_with_anything_else_is_refused_with_the_lines() -> None:
    with pytest.raises(DocumentError) as refused:
        read_targets("111122223333\nproduction\n12345\n", "list")

    assert [str(problem.place) for problem in refused.value.problems] == ["list:2:1", "list:3:1"]
    with pytest.raises(InputError, match="no account in `list`"):
        read_targets("# none\n", "list")
