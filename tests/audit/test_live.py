"""The audit of an account: what is seeded is found, once, and what is not asked is no pass."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cml_iam.audit import Account, Report
from cml_iam.aws import Counted, connect
from cml_iam.aws.port import Aws
from cml_iam.catalogue import load_catalogue
from cml_iam.check.account import audit_account
from cml_iam.check.checks import AUDIT_ACCOUNT, answers, check_named
from cml_iam.check.report import make_report
from cml_iam.check.scene import AccountScene
from cml_iam.errors import NotFoundError
from cml_iam.lint import Severity
from cml_iam.prove import site_promises
from cml_iam.provision import Watch, apply_plan, plan_bootstrap
from cml_iam.render import render_parts
from cml_iam.sandbox import OWN_IMAGE, Sandbox, start_sandbox
from cml_iam.secret import Secret
from cml_iam.site import Restrictions, Site
from cml_iam.tag import Tag
from cml_iam.workers import Launch, WorkerManager
from tests.conftest import Ran

TAG = Tag("ManagedBy", "cml-cloud-manager")
SITE = Site(
    account="111122223333",
    restrict=Restrictions(
        regions=("us-east-1",),
        guard_tag=TAG,
        instance_types=("c5.large",),
        image_owners=("111122223333",),
    ),
)
USER = "cml-cloud-manager-service"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
REPOSITORY = Path(__file__).parents[2]
CALLS = 40
"""The most that an account may cost in which everything is as this site says."""


@dataclass
class Cloud:
    """A sandbox in which everything is as the site says, and a worker runs."""

    sandbox: Sandbox
    root: Aws
    manager: Aws

    def audited(self, aws: Aws | None = None, **changed: Any) -> tuple[Account, Report]:
        now = datetime.now(UTC)
        scene = AccountScene(aws or self.root, SITE, now, manager=self.manager)
        account, part = audit_account(replace(scene, **changed))
        return account, make_report(now, [part], accounts=[account])

    def sign_in(self, user: str, document: dict[str, Any]) -> Aws:
        """Make *user* with one inline policy; return AWS as it sees it."""
        self.root.call("iam", "create_user", UserName=user)
        self.root.call(
            "iam",
            "put_user_policy",
            UserName=user,
            PolicyName="p",
            PolicyDocument=json.dumps(document),
        )
        made = self.root.call("iam", "create_access_key", UserName=user)["AccessKey"]
        return as_holder(self.sandbox, made["AccessKeyId"], made["SecretAccessKey"])


def as_holder(sandbox: Sandbox, key: str, secret: Secret) -> Aws:
    return connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=key,
        secret_key=secret,
        attempts=1,
    )


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with start_sandbox() as sandbox:
        root = as_holder(sandbox, sandbox.root.id, sandbox.root.secret)
        documents = tuple(part.text for part in render_parts(SITE))
        plan = plan_bootstrap(
            root,
            SITE,
            documents,
            boundary=SITE.boundary_arn,
            pieces=frozenset({"principal", "boundary", "audit"}),
            watch=Watch(2026),
        )
        apply_plan(root, plan)
        made = root.call("iam", "create_access_key", UserName=USER)["AccessKey"]
        manager = as_holder(sandbox, made["AccessKeyId"], made["SecretAccessKey"])
        WorkerManager(manager, guard=TAG).create_instance(Launch("one", OWN_IMAGE, "c5.large"))
        yield Cloud(sandbox, root, manager)


def found(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity.word) for finding in report.findings]


def test_an_account_as_the_site_says_is_clean(cloud: Cloud) -> None:
    account, report = cloud.audited()

    assert found(report) == []
    assert [each.id for each in report.unchecked] == []
    assert report.conclusion(Severity.INFO) == "clean"
    assert {check.state for check in report.checks} == {"passed"}
    assert account.caller == "arn:aws:iam::111122223333:root"


@contextmanager
def admin_in_a_group(cloud: Cloud) -> Iterator[None]:
    iam = cloud.root.call
    iam("iam", "create_group", GroupName="helpers")
    iam("iam", "attach_group_policy", GroupName="helpers", PolicyArn=ADMIN)
    iam("iam", "add_user_to_group", GroupName="helpers", UserName=USER)
    yield
    iam("iam", "remove_user_from_group", GroupName="helpers", UserName=USER)
    iam("iam", "detach_group_policy", GroupName="helpers", PolicyArn=ADMIN)
    iam("iam", "delete_group", GroupName="helpers")


@contextmanager
def an_old_key(cloud: Cloud) -> Iterator[None]:
    (key,) = cloud.sandbox._world.iam.users[USER].access_keys
    made, key.create_date = key.create_date, key.create_date - timedelta(days=120)
    yield
    key.create_date = made


@contextmanager
def an_inactive_key(cloud: Cloud) -> Iterator[None]:
    made = cloud.root.call("iam", "create_access_key", UserName=USER)["AccessKey"]["AccessKeyId"]
    cloud.root.call("iam", "update_access_key", UserName=USER, AccessKeyId=made, Status="Inactive")
    yield
    cloud.root.call("iam", "delete_access_key", UserName=USER, AccessKeyId=made)


@contextmanager
def a_second_key(cloud: Cloud) -> Iterator[None]:
    made = cloud.root.call("iam", "create_access_key", UserName=USER)["AccessKey"]["AccessKeyId"]
    yield
    cloud.root.call("iam", "delete_access_key", UserName=USER, AccessKeyId=made)


def without_condition(sid: str, key: str) -> Callable[[Cloud], Any]:
    """Return a seed that takes one condition out of the live policy."""

    @contextmanager
    def seed(cloud: Cloud) -> Iterator[None]:
        (part,) = render_parts(SITE)
        document = json.loads(part.text)
        statement = next(each for each in document["Statement"] if each["Sid"] == sid)
        for operator in list(statement["Condition"].values()):
            operator.pop(key, None)
        made = cloud.root.call(
            "iam",
            "create_policy_version",
            PolicyArn=SITE.policy_arn,
            PolicyDocument=json.dumps(document),
            SetAsDefault=True,
        )
        yield
        address = {"PolicyArn": SITE.policy_arn}
        cloud.root.call("iam", "set_default_policy_version", **address, VersionId="v1")
        version = made["PolicyVersion"]["VersionId"]
        cloud.root.call("iam", "delete_policy_version", **address, VersionId=version)

    return seed


@contextmanager
def a_missing_boundary(cloud: Cloud) -> Iterator[None]:
    cloud.root.call("iam", "delete_user_permissions_boundary", UserName=USER)
    yield
    cloud.root.call(
        "iam",
        "put_user_permissions_boundary",
        UserName=USER,
        PermissionsBoundary=SITE.boundary_arn,
    )


@contextmanager
def a_stopped_trail(cloud: Cloud) -> Iterator[None]:
    cloud.root.call("cloudtrail", "stop_logging", Name=SITE.audit.trail)
    yield
    cloud.root.call("cloudtrail", "start_logging", Name=SITE.audit.trail)


@contextmanager
def a_detached_policy(cloud: Cloud) -> Iterator[None]:
    address = {"UserName": USER, "PolicyArn": SITE.policy_arn}
    cloud.root.call("iam", "detach_user_policy", **address)
    yield
    cloud.root.call("iam", "attach_user_policy", **address)


@contextmanager
def an_inline_policy(cloud: Cloud) -> Iterator[None]:
    address = {"UserName": USER, "PolicyName": "more"}
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": statement}
    cloud.root.call("iam", "put_user_policy", **address, PolicyDocument=json.dumps(document))
    yield
    cloud.root.call("iam", "delete_user_policy", **address)


@contextmanager
def a_policy_that_adds_nothing(cloud: Cloud) -> Iterator[None]:
    address = {"UserName": USER, "PolicyName": "same"}
    statement = {"Effect": "Allow", "Action": "ec2:DescribeRegions", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": statement}
    cloud.root.call("iam", "put_user_policy", **address, PolicyDocument=json.dumps(document))
    yield
    cloud.root.call("iam", "delete_user_policy", **address)


@contextmanager
def a_quarantine(cloud: Cloud) -> Iterator[None]:
    arn = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"
    cloud.root.call("iam", "attach_user_policy", UserName=USER, PolicyArn=arn)
    yield
    cloud.root.call("iam", "detach_user_policy", UserName=USER, PolicyArn=arn)


@contextmanager
def a_missing_alarm(cloud: Cloud) -> Iterator[None]:
    cloud.root.call("cloudwatch", "disable_alarm_actions", AlarmNames=["cml-refused-calls"])
    yield
    cloud.root.call("cloudwatch", "enable_alarm_actions", AlarmNames=["cml-refused-calls"])


SEEDS = [
    (admin_in_a_group, "CML709", "error", "remove-user-from-group"),
    (an_old_key, "CML802", "warning", "key rotate"),
    (an_inactive_key, "CML804", "warning", "delete-access-key"),
    (a_second_key, "CML803", "warning", "key list"),
    (without_condition("OperateWorkers", "aws:ResourceTag/ManagedBy"), "CML704", "error", "apply"),
    (without_condition("LaunchInstance", "ec2:InstanceType"), "CML704", "error", "apply"),
    (a_missing_boundary, "CML711", "warning", "--boundary"),
    (a_stopped_trail, "CML821", "error", "--with audit"),
    (a_detached_policy, "CML707", "error", "bootstrap apply"),
    (an_inline_policy, "CML709", "error", "delete-user-policy"),
    (a_policy_that_adds_nothing, "CML710", "warning", "detach it"),
    (a_quarantine, "CML713", "error", "key revoke"),
    (a_missing_alarm, "CML822", "warning", "--with audit"),
]


@pytest.mark.parametrize(
    ("seed", "rule", "severity", "remedy"),
    SEEDS,
    ids=[f"{getattr(each[0], '__name__', 'drift')}-{each[1]}" for each in SEEDS],
)
def test_a_fault_is_found_once(
    cloud: Cloud, seed: Any, rule: str, severity: str, remedy: str
) -> None:
    with seed(cloud):
        _, report = cloud.audited()

    assert found(report) == [(rule, severity)]
    assert remedy in str(report.findings[0].remedy)
    assert report.unchecked == ()
    assert report.conclusion() == "findings"


def test_an_admin_in_a_group_comes_with_what_it_permits(cloud: Cloud) -> None:
    with admin_in_a_group(cloud):
        _, report = cloud.audited()

    (finding,) = report.findings
    assert "through the group `helpers`" in finding.message
    assert finding.witness
    assert {each.outcome for each in finding.witness} == {"allowed"}
    assert finding.witness[0].action == "ec2:ModifyInstanceAttribute"
    assert "all other actions" in finding.message
    assert "aws:PrincipalArn" not in finding.witness[0].context


def test_the_promises_are_proved_of_all_that_the_principal_holds_in_its_boundary(
    cloud: Cloud,
) -> None:
    def proof() -> tuple[str, str]:
        (check,) = [each for each in cloud.audited()[1].checks if each.id == "proof"]
        return check.state, check.detail

    clean = proof()
    with admin_in_a_group(cloud):
        bounded = proof()
        with a_missing_boundary(cloud):
            _, report = cloud.audited()
            unbounded = proof()

    count = len(site_promises(SITE))
    assert clean == ("passed", f"{count} proved")
    assert bounded == clean, "the boundary holds whatever the group gives"
    assert unbounded == ("failed", f"{count} of {count} broken")
    assert [rule for rule, _ in found(report)] == ["CML709", "CML711"]


def test_a_promise_that_nothing_else_tells_is_broken_is_a_finding(cloud: Cloud) -> None:
    narrower = replace(SITE, restrict=replace(SITE.restrict, instance_types=("m5.large",)))
    scene = AccountScene(cloud.root, narrower, datetime.now(UTC))

    part = answers([check_named("proof")], scene, SITE.account)

    assert [finding.rule for finding in part.findings] == ["CML717"]
    assert part.findings[0].spot.resource == SITE.principal_arn
    assert part.findings[0].witness[0].outcome == "allowed"


def test_drift_shows_in_the_matrix_though_it_is_one_finding(cloud: Cloud) -> None:
    with without_condition("OperateWorkers", "aws:ResourceTag/ManagedBy")(cloud):
        cloud.root.call("iam", "delete_user_permissions_boundary", UserName=USER)
        _, report = cloud.audited()
        cloud.root.call(
            "iam",
            "put_user_permissions_boundary",
            UserName=USER,
            PermissionsBoundary=SITE.boundary_arn,
        )

    assert [rule for rule, _ in found(report)] == ["CML704", "CML711"]
    (matrix,) = report.matrices
    wrong = {(cell.permission, cell.situation) for cell in matrix.cells if cell.met is False}
    assert ("ec2:TerminateInstances", "untagged instance") in wrong
    assert report.changes[0].change == "newly allowed"


@pytest.mark.parametrize(
    "seed",
    [admin_in_a_group, a_detached_policy, an_inline_policy, a_missing_boundary, SEEDS[4][0]],
)
def test_aws_is_asked_what_our_engine_is_asked(cloud: Cloud, seed: Any) -> None:
    """Though questions share calls and contexts, each gets its own answer."""
    auditor = cloud.sign_in("shared-calls", everything_but("iam:Simulate*"))
    with seed(cloud):
        _, live = cloud.audited()
        _, offline = cloud.audited(auditor)
    cloud.root.call("iam", "delete_user_policy", UserName="shared-calls", PolicyName="p")
    for key in cloud.root.pages(
        "iam", "list_access_keys", "AccessKeyMetadata", UserName="shared-calls"
    ):
        cloud.root.call(
            "iam", "delete_access_key", UserName="shared-calls", AccessKeyId=key["AccessKeyId"]
        )
    cloud.root.call("iam", "delete_user", UserName="shared-calls")

    answers = [
        [(cell.permission, cell.situation, cell.answer) for cell in report.matrices[0].cells]
        for report in (live, offline)
    ]
    assert [live.matrices[0].how, offline.matrices[0].how] == ["live", "offline"]
    assert answers[0] == answers[1]


def everything_but(*denied: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": list(denied), "Resource": "*"},
        ],
    }


def test_what_may_not_be_asked_is_not_passed(cloud: Cloud) -> None:
    auditor = cloud.sign_in("no-simulation", everything_but("iam:Simulate*"))

    _, report = cloud.audited(auditor)

    (check,) = report.unchecked
    assert check.id == "simulation"
    assert "is denied" in str(check.reason)
    assert "iam:SimulatePrincipalPolicy" in str(check.remedy)
    assert found(report) == []
    assert report.conclusion() == "incomplete"
    assert [matrix.how for matrix in report.matrices] == ["offline"]


@pytest.mark.parametrize(
    ("denied", "lost"),
    [
        ("iam:GetUser", {"principal", "drift", "attachments", "boundary", "quarantine", "proof"}),
        ("iam:ListGroupsForUser", {"drift", "attachments", "boundary", "quarantine", "proof"}),
        ("iam:GetPolicyVersion", {"drift", "attachments", "boundary", "quarantine", "proof"}),
        ("iam:ListAccessKeys", {"keys"}),
        ("iam:GetAccessKeyLastUsed", {"keys"}),
        ("cloudtrail:GetTrailStatus", {"trail"}),
        ("logs:DescribeMetricFilters", {"alarms"}),
        ("iam:GetServiceLastAccessedDetails", {"last-accessed"}),
    ],
)
def test_each_denied_read_costs_its_checks_alone(cloud: Cloud, denied: str, lost: set[str]) -> None:
    auditor = cloud.sign_in(f"no-{denied.partition(':')[2]}", everything_but(denied))

    _, report = cloud.audited(auditor)

    assert {each.id for each in report.unchecked} == lost
    assert all(each.reason and each.remedy for each in report.unchecked)
    assert found(report) == []


def test_a_boundary_that_is_gone_is_not_a_principal_that_is_gone(cloud: Cloud) -> None:
    class WithoutBoundary(Counted):
        def call(self, *given: Any, **named: Any) -> dict[str, Any]:
            if named.get("PolicyArn") == SITE.boundary_arn:
                raise NotFoundError("no such policy", code="NoSuchEntity")
            return super().call(*given, **named)

    _, report = cloud.audited(WithoutBoundary(cloud.root))

    assert found(report) == []
    lost = {each.id for each in report.unchecked}
    assert lost == {"drift", "attachments", "boundary", "quarantine", "proof"}
    assert report.conclusion() == "incomplete"


def test_the_managers_permissions_are_used_as_the_manager_alone(cloud: Cloud) -> None:
    _, report = cloud.audited(manager=None)

    (check,) = report.unchecked
    assert check.id == "use"
    assert "--manager-profile" in str(check.remedy)


def test_the_manager_itself_sees_little_and_says_so(cloud: Cloud) -> None:
    _, report = cloud.audited(cloud.manager, manager=None)

    assert {check.id for check in report.checks if check.state == "passed"} == {"identity", "use"}
    assert report.conclusion() == "incomplete"


def test_a_role_is_audited_as_a_user_is(cloud: Cloud) -> None:
    site = replace(SITE, user=None, role="cml-manager")
    trust = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
    cloud.root.call(
        "iam",
        "create_role",
        RoleName="cml-manager",
        AssumeRolePolicyDocument=json.dumps(trust),
        PermissionsBoundary=site.boundary_arn,
    )
    address = {"RoleName": "cml-manager"}
    cloud.root.call("iam", "attach_role_policy", **address, PolicyArn=site.policy_arn)
    asked = {"site": site, "manager": None, "skip": frozenset({"use"})}

    _, clean = cloud.audited(**asked)
    cloud.root.call("iam", "attach_role_policy", **address, PolicyArn=ADMIN)
    _, wrong = cloud.audited(**asked)

    assert found(clean) == []
    assert clean.conclusion() == "clean"
    assert found(wrong) == [("CML709", "error")]
    assert "detach-role-policy" in str(wrong.findings[0].remedy)


def test_a_skipped_check_is_left_out_and_named(cloud: Cloud) -> None:
    now = datetime.now(UTC)
    scene = AccountScene(cloud.root, SITE, now, skip=frozenset({"use", "simulation"}))

    account, part = audit_account(scene)
    report = make_report(now, [part], accounts=[account], skipped=["use", "simulation"])

    assert report.skipped == ("use", "simulation")
    assert not {"use", "simulation"} & {check.id for check in report.checks}
    assert report.conclusion() == "clean"


def test_another_account_is_found_and_nothing_else_is_asked(cloud: Cloud) -> None:
    other = replace(SITE, account="444455556666")

    account, report = cloud.audited(site=other)

    assert found(report) == [("CML716", "error")]
    assert account.calls == 1
    assert report.conclusion() == "findings"
    assert not report.complete


def test_a_principal_that_is_not_there_is_found(cloud: Cloud) -> None:
    _, report = cloud.audited(site=replace(SITE, user="nobody"))

    assert [rule for rule, _ in found(report)] == ["CML708"]


def test_the_permissions_of_the_documentation_are_enough(cloud: Cloud) -> None:
    text = (REPOSITORY / "docs" / "audit.md").read_text("utf-8")
    document = json.loads(text.partition("```json\n")[2].partition("```")[0])
    auditor = cloud.sign_in("auditor", document)

    _, report = cloud.audited(auditor)

    assert report.unchecked == ()
    assert report.conclusion() == "clean"


def test_the_calls_are_counted(cloud: Cloud) -> None:
    seen = 0

    class Counting:
        region = "us-east-1"

        def call(self, *given: Any, **named: Any) -> dict[str, Any]:
            nonlocal seen
            seen += 1
            return cloud.root.call(*given, **named)

        def pages(self, *given: Any, **named: Any) -> Iterator[Any]:
            nonlocal seen
            seen += 1
            return cloud.root.pages(*given, **named)

        def identity(self) -> Any:
            nonlocal seen
            seen += 1
            return cloud.root.identity()

    account, _ = cloud.audited(Counting(), manager=None)  # type: ignore[arg-type]

    assert account.calls == seen
    assert seen <= CALLS


def test_each_check_costs_the_calls_that_its_row_says(cloud: Cloud) -> None:
    """Those whose number depends on the account are counted for one user and region."""
    root, manager = Counted(cloud.root), Counted(cloud.manager)
    scene = AccountScene(root, SITE, datetime.now(UTC), manager=manager)
    costs = {}
    for check in AUDIT_ACCOUNT:
        before = root.calls + manager.calls
        answers([check], scene)
        costs[check.id] = root.calls + manager.calls - before

    for check in AUDIT_ACCOUNT:
        if check.calls == "no further calls" or check.calls.isdecimal():
            assert costs[check.id] == int(check.calls.replace("no further calls", "0")), check.id
    assert costs["principal"] == 4 + 2 * 2, "a user with a managed policy and a boundary"
    assert costs["use"] == len(load_catalogue().actions)


def test_a_region_of_the_site_in_which_nothing_can_be_tried_is_not_passed_over(
    cloud: Cloud,
) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    manager = cloud.sign_in("everywhere", {"Version": "2012-10-17", "Statement": [everything]})
    both = replace(SITE.restrict, regions=("us-east-1", "us-west-2"))

    site = replace(SITE, restrict=both)
    scene = AccountScene(cloud.root, site, datetime.now(UTC), manager=manager)

    part = answers([check_named("use")], scene, SITE.account)

    (check,) = part.checks
    assert part.findings == ()
    assert check.state == "not checked"
    assert str(check.reason).startswith("us-west-2: ")
    assert "ec2:TerminateInstances" in str(check.reason)
    assert "us-east-1" not in str(check.reason)


SITE_TEXT = """
[account]
id = "111122223333"
[restrict]
regions = ["us-east-1"]
guard_tag = { ManagedBy = "cml-cloud-manager" }
instance_types = ["c5.large"]
image_owners = ["111122223333"]
"""


def test_the_command_line_audits_an_account(
    cloud: Cloud,
    cml_iam: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in cloud.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    keys = cloud.manager.session.get_credentials()  # type: ignore[attr-defined]
    profile = f"aws_access_key_id = {keys.access_key}\naws_secret_access_key = {keys.secret_key}\n"
    (tmp_path / "credentials").write_text(f"[manager]\n{profile}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    clean = cml_iam("audit", "--live", "--manager-profile", "manager", "--out", "clean.json")
    with a_stopped_trail(cloud):
        wrong = cml_iam(
            "audit", "--live", "--manager-profile", "manager", "--earlier", "clean.json"
        )
    lost = cml_iam("audit", "--live")
    skipped = cml_iam("audit", "--live", "--skip", "use")

    assert (clean.code, wrong.code, lost.code, skipped.code) == (0, 3, 8, 0), clean.out
    assert "CML821" in wrong.out
    assert "--manager-profile" in lost.out
    assert keys.secret_key not in clean.out + clean.err + (tmp_path / "clean.json").read_text()


def test_without_simulation_the_exit_code_says_that_it_is_incomplete(
    cloud: Cloud,
    cml_iam: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    auditor = cloud.sign_in("by-command", everything_but("iam:Simulate*"))
    keys = auditor.session.get_credentials()  # type: ignore[attr-defined]
    for name, value in cloud.sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    (tmp_path / "cml-iam.toml").write_text(SITE_TEXT)

    ran = cml_iam("audit", "--live", "--skip", "use")

    assert ran.code == 8
    assert "iam:SimulatePrincipalPolicy is denied" in ran.out
