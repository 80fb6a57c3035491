"""Who else may touch the workers: each seeded way is found once, with its chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cml_iam.audit import AuditFinding, Report
from cml_iam.audit.write import write_report
from cml_iam.aws import connect
from cml_iam.aws.port import Aws
from cml_iam.check.account import audit_account
from cml_iam.check.report import make_report
from cml_iam.check.scene import AccountScene
from cml_iam.lint import Severity
from cml_iam.provision import apply_plan, plan_bootstrap
from cml_iam.render import render_parts
from cml_iam.sandbox import start_sandbox
from cml_iam.site import Credentials, Grants, Restrictions, Site, Tag

ACCOUNT = "111122223333"
SITE = Site(
    account=ACCOUNT,
    restrict=Restrictions(
        regions=("us-east-1",),
        guard_tag=Tag("ManagedBy", "cml-cloud-manager"),
        instance_types=("c5.large",),
        image_owners=(ACCOUNT,),
    ),
    grant=Grants(pass_role="worker"),
)
MANAGER = "cml-cloud-manager-service"
ROOT = f"arn:aws:iam::{ACCOUNT}"
TAGGED = {"StringEquals": {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}}


def allowing(action: str, resource: str | list[str] = "*", **condition: Any) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(principal: dict[str, str]) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def audited(aws: Aws, site: Site = SITE, **changed: Any) -> Report:
    scene = AccountScene(aws, site, datetime.now(UTC), also=frozenset({"who-else"}))
    account, part = audit_account(replace(scene, **changed))
    return make_report(datetime.now(UTC), [part], accounts=[account])


def others(report: Report) -> dict[str, AuditFinding]:
    found = [finding for finding in report.findings if finding.rule == "CML718"]
    by_arn = {str(each.spot.resource): each for each in found}
    assert len(by_arn) == len(found)
    return by_arn


@pytest.fixture(scope="module")
def root() -> Iterator[Aws]:
    """A sandbox as the site says, with a role for the workers that only EC2 may assume."""
    with start_sandbox() as sandbox:
        aws = connect(
            region="us-east-1",
            endpoint_url=sandbox.endpoint_url,
            access_key=sandbox.root.id,
            secret_key=sandbox.root.secret,
            attempts=1,
        )
        documents = tuple(part.text for part in render_parts(SITE))
        plan = plan_bootstrap(
            aws,
            SITE,
            documents,
            boundary=SITE.boundary_arn,
            pieces=frozenset({"principal", "boundary"}),
        )
        apply_plan(aws, plan)
        aws.call(
            "iam",
            "create_role",
            RoleName="worker",
            AssumeRolePolicyDocument=trusting({"Service": "ec2.amazonaws.com"}),
        )
        yield aws


def make_user(aws: Aws, name: str, document: str | None = None) -> None:
    aws.call("iam", "create_user", UserName=name)
    if document:
        put = {"UserName": name, "PolicyName": "own", "PolicyDocument": document}
        aws.call("iam", "put_user_policy", **put)


def test_an_account_without_others_is_clean(root: Aws) -> None:
    report = audited(root)

    assert others(report) == {}
    (check,) = (each for each in report.checks if each.id == "who-else")
    assert check.state == "passed"
    assert "service control policies were not passed (--scps)" in check.detail
    assert not [matrix for matrix in report.matrices if matrix.how == "others"]


@pytest.fixture(scope="module")
def seeded(root: Aws) -> Aws:
    """The same with six ways to the workers."""
    call = root.call
    call("iam", "create_group", GroupName="helpers")
    everything = {"GroupName": "helpers", "PolicyName": "all", "PolicyDocument": allowing("*")}
    call("iam", "put_group_policy", **everything)
    make_user(root, "alice")
    call("iam", "add_user_to_group", GroupName="helpers", UserName="alice")
    call(
        "iam",
        "create_role",
        RoleName="night-shift",
        AssumeRolePolicyDocument=trusting({"AWS": f"{ROOT}:user/alice"}),
    )
    stop = allowing("ec2:StopInstances", Condition=TAGGED)
    call("iam", "put_role_policy", RoleName="night-shift", PolicyName="own", PolicyDocument=stop)
    make_user(root, "bob", allowing("iam:CreateAccessKey", f"{ROOT}:user/{MANAGER}"))
    make_user(root, "carol", allowing("ec2:CreateTags", "arn:aws:ec2:*:*:instance/*"))
    make_user(root, "dave", allowing("iam:PassRole", f"{ROOT}:role/worker"))
    make_user(root, "erin", allowing("cloudtrail:StopLogging"))
    return root


def test_each_of_six_ways_is_found_once_with_its_chain(seeded: Aws) -> None:
    found = others(audited(seeded))

    assert {arn.removeprefix(f"{ROOT}:"): each.message for arn, each in found.items()} == {
        "user/alice": "`user/alice` may start a worker, stop a worker, terminate a worker, retag a"
        " worker, remove the guard tag, create keys for the manager, change the manager's policies,"
        " change the manager's boundary, pass the role worker and stop or redirect the trail:"
        " by statement 1 of all (group helpers)",
        "role/night-shift": "`role/night-shift` may stop a worker: by statement 1 of own;"
        " user/alice may assume it",
        "user/bob": "`user/bob` may create keys for the manager: by statement 1 of own; it may"
        " start a worker, stop a worker, terminate a worker, retag a worker and"
        f" pass the role worker through others: iam:CreateAccessKey on {ROOT}:user/{MANAGER}",
        "user/carol": "`user/carol` may retag a worker: by statement 1 of own",
        "user/dave": "`user/dave` may pass the role worker: by statement 1 of own",
        "user/erin": "`user/erin` may stop or redirect the trail: by statement 1 of own",
    }
    assert str(found[f"{ROOT}:user/alice"].remedy).startswith(
        "remove `user/alice` from the group helpers, then deny sts:AssumeRole on"
        f" {ROOT}:role/night-shift to `user/alice` (proved: none of this is possible afterwards),"
    )
    assert found[f"{ROOT}:user/carol"].remedy == (
        "remove ec2:CreateTags from statement 1 of own (proved: none of this is possible"
        " afterwards), or list `user/carol` under `[expected]` of the site file"
    )


def test_the_site_file_says_whom_it_expects(seeded: Aws) -> None:
    expected = {
        "anything": ("group/helpers",),
        "stop_workers": ("role/night-*", f"{ROOT}:user/bob"),
        "stop_trail": ("user/erin",),
    }
    found = others(audited(seeded, replace(SITE, expected=expected)))

    assert sorted(arn.rpartition("/")[2] for arn in found) == ["bob", "carol", "dave"]
    assert "stop a worker" not in found[f"{ROOT}:user/bob"].message


def test_the_matrix_and_every_form_have_them(seeded: Aws) -> None:
    report = audited(seeded)

    (matrix,) = (each for each in report.matrices if each.how == "others")
    assert "user/bob" in matrix.permissions
    cells = {(cell.permission, cell.situation): cell.standing for cell in matrix.cells}
    assert cells["user/erin", "stop or redirect the trail"] == "yes"
    assert cells["user/bob", "stop a worker"] == "by steps"
    assert ("user/erin", "stop a worker") not in cells
    for form in ("text", "json", "sarif", "junit", "markdown", "html"):
        text = write_report(report, form, fail_on=Severity.WARNING)
        assert "user/bob" in text
        assert "CML718" in text
    for form in ("text", "markdown", "html"):
        text = write_report(report, form, fail_on=Severity.WARNING)
        assert "What others may do" in text
        assert "by steps" in text
        assert "through other principals, or after changing itself" in text


def test_service_control_policies_that_are_given_limit_everybody(seeded: Aws) -> None:
    deny = {"Effect": "Deny", "Action": ["cloudtrail:*", "iam:PassRole"], "Resource": "*"}
    full = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    level = [{"Version": "2012-10-17", "Statement": [full, deny]}]

    found = others(audited(seeded, scps=[level]))

    names = {arn.rpartition("/")[2] for arn in found}
    assert names == {"alice", "night-shift", "bob", "carol"}


def test_an_account_that_may_not_be_read_is_not_checked(seeded: Aws) -> None:
    class Denied:
        """AWS as somebody without the right to list policies sees it."""

        region = seeded.region

        def __getattr__(self, name: str) -> Any:
            return getattr(seeded, name)

        def call(self, service: str, operation: str, **more: Any) -> dict[str, Any]:
            from cml_iam.errors import DeniedError

            if operation == "get_account_authorization_details":
                raise DeniedError("denied", action="iam:GetAccountAuthorizationDetails")
            return seeded.call(service, operation, **more)

    report = audited(Denied())  # type: ignore[arg-type]  # a port with one call denied

    assert others(report) == {}
    (check,) = (each for each in report.checks if each.id == "who-else")
    assert check.state == "not checked"
    assert "iam:GetAccountAuthorizationDetails" in str(check.remedy)
    assert check in report.unchecked


@pytest.mark.parametrize(
    ("store", "action", "resource"),
    [
        ("ssm:/cml/key", "ssm:GetParameter", f"arn:aws:ssm:*:{ACCOUNT}:parameter/cml/key"),
        (
            "secretsmanager:cml/key",
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:*:{ACCOUNT}:secret:cml/key-*",
        ),
    ],
)
def test_who_may_read_the_key_in_its_store_is_found(
    root: Aws, store: str, action: str, resource: str
) -> None:
    name = f"reader-{action.partition(':')[0]}"
    make_user(root, name, allowing(action, resource))
    make_user(root, f"{name}-of-another", allowing(action, f"{resource[:-6]}other"))
    site = replace(SITE, credentials=Credentials(stores=(store,)))

    found = others(audited(root, site))

    assert found[f"{ROOT}:user/{name}"].message == (
        f"`user/{name}` may read the manager's keys: by statement 1 of own"
    )
    assert f"{ROOT}:user/{name}-of-another" not in found


@pytest.mark.parametrize(
    ("action", "resource", "title"),
    [
        ("iam:SetDefaultPolicyVersion", SITE.policy_arn, "change the manager's policies"),
        ("iam:DeleteUserPolicy", SITE.principal_arn, "change the manager's policies"),
        ("iam:SetDefaultPolicyVersion", SITE.boundary_arn, "change the manager's boundary"),
        ("cloudtrail:UpdateTrail", "*", "stop or redirect the trail"),
    ],
)
def test_every_change_of_the_policies_and_the_trail_is_asked_about(
    root: Aws, action: str, resource: str, title: str
) -> None:
    name = f"changer-{action.partition(':')[2]}-{title.rpartition(' ')[2]}"
    make_user(root, name, allowing(action, resource))

    found = others(audited(root))[f"{ROOT}:user/{name}"]

    assert found.message == f"`user/{name}` may {title}: by statement 1 of own"


def test_each_route_is_named_with_what_it_leads_to(root: Aws) -> None:
    make_user(root, "stopper", allowing("ec2:StopInstances"))
    make_user(root, "redirector", allowing("cloudtrail:UpdateTrail"))
    targets = [f"{ROOT}:user/stopper", f"{ROOT}:user/redirector"]
    make_user(root, "keymaker", allowing("iam:CreateAccessKey", targets))

    assert others(audited(root))[f"{ROOT}:user/keymaker"].message == (
        "`user/keymaker` may stop a worker through others:"
        f" iam:CreateAccessKey on {ROOT}:user/stopper;"
        " it may stop or redirect the trail through others:"
        f" iam:CreateAccessKey on {ROOT}:user/redirector"
    )
