"""Bootstrap by those who may do no more than their document says, enforced by the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import pytest

from cml_iam import errors
from cml_iam.aws import connect
from cml_iam.check.bootstrap import BootstrapScene, trail_problems
from cml_iam.check.checks import ask, check_named
from cml_iam.credentials import Delivery, EnvFile
from cml_iam.provision import (
    Hours,
    Piece,
    Watch,
    apply_plan,
    plan_adoption,
    plan_bootstrap,
    plan_destruction,
    plan_rollback,
)
from cml_iam.render import audit_values, render_document, render_parts
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.site import Site
from tests.conftest import RESTRICTED
from tests.provision.worlds import Recorded
from tests.render.test_parts import _site as large_site
from tests.worlds import Snapshot

pytestmark = pytest.mark.long

USER = Site(account="111122223333", restrict=RESTRICTED)
ROLE = replace(USER, user=None, role="cml-manager")
OTHER = replace(USER, restrict=replace(RESTRICTED, instance_types=("c5.*",)))
EVERYTHING = [piece for piece in get_args(Piece) if piece != "audit"]

Who = Callable[[Site, str], Recorded]


@pytest.fixture(scope="module")
def empty() -> Iterator[Snapshot]:
    with start_sandbox() as running:
        yield Snapshot(running)


@pytest.fixture
def sandbox(empty: Snapshot) -> Sandbox:
    """An account as new: the trail, and what belongs to it, is there once for an account."""
    empty.restore()
    return empty.sandbox


def _connect(sandbox: Sandbox, key: str, secret: Any) -> Any:
    return connect(
        region="us-east-1", endpoint_url=sandbox.endpoint_url, access_key=key, secret_key=secret
    )


@pytest.fixture
def who(sandbox: Sandbox, request: pytest.FixtureRequest) -> Who:
    """Return the port of somebody who has the document, and nothing else."""
    root = _connect(sandbox, sandbox.root.id, sandbox.root.secret)
    number = abs(hash(request.node.name))

    def make(site: Site, document: str) -> Recorded:
        name = f"{document}-{number}"
        root.call("iam", "create_user", UserName=name)
        text = render_document(site, document).text
        made = root.call("iam", "create_policy", PolicyName=name, PolicyDocument=text)
        root.call("iam", "attach_user_policy", UserName=name, PolicyArn=made["Policy"]["Arn"])
        key = root.call("iam", "create_access_key", UserName=name)["AccessKey"]
        return Recorded(_connect(sandbox, key["AccessKeyId"], key["SecretAccessKey"]))

    return make


AUDITED = {
    "user": USER,
    "role": ROLE,
    "elsewhere": replace(USER, audit_names=MappingProxyType({"region": "eu-central-1"})),
}
WATCH = Watch(2026, Hours("Europe/Berlin"), "operator@example.com")


def _somebody(sandbox: Sandbox, name: str, text: str) -> Recorded:
    """Return the port of a new user who may do what *text* says, and nothing else."""
    root = _connect(sandbox, sandbox.root.id, sandbox.root.secret)
    root.call("iam", "create_user", UserName=name)
    made = root.call("iam", "create_policy", PolicyName=name, PolicyDocument=text)
    root.call("iam", "attach_user_policy", UserName=name, PolicyArn=made["Policy"]["Arn"])
    key = root.call("iam", "create_access_key", UserName=name)["AccessKey"]
    return Recorded(_connect(sandbox, key["AccessKeyId"], key["SecretAccessKey"]))


def _spoil(root: Any, site: Site) -> None:
    """Undo, as the root, what apply then has to put right by calls that change."""
    arns, region = audit_values(site), site.audit.region

    def call(service: str, operation: str, **parameters: Any) -> None:
        root.call(service, operation, region=region, **parameters)

    selector = {"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}
    trail = {"Name": arns["trail_arn"]}
    call("cloudtrail", "update_trail", **trail, IsMultiRegionTrail=False)
    call(
        "cloudtrail", "put_event_selectors", TrailName=arns["trail_arn"], EventSelectors=[selector]
    )
    call("cloudtrail", "stop_logging", **trail)
    call("logs", "delete_retention_policy", logGroupName=site.audit.log_group)
    trust = json.loads(render_document(site, "trust-cloudtrail-to-logs").text)
    trust["Statement"][0]["Condition"] = {}
    name = str(arns["delivery_role_arn"]).rpartition("/")[2]
    root.call("iam", "update_assume_role_policy", RoleName=name, PolicyDocument=json.dumps(trust))


def _audit(aws: Recorded, site: Site) -> list[str]:
    return _apply(aws, site, documents="", pieces=["audit"], watch=WATCH)


@pytest.mark.parametrize("name", AUDITED)
def test_the_auditor_sets_up_the_trail_and_keeps_it_right(name: str, sandbox: Sandbox) -> None:
    site = AUDITED[name]
    root = _connect(sandbox, sandbox.root.id, sandbox.root.secret)
    auditor = _somebody(sandbox, "auditor", render_document(site, "bootstrap-audit").text)

    made = _audit(auditor, site)

    assert {"create_trail", "put_bucket_policy", "subscribe", "put_metric_alarm"} <= set(made)
    assert trail_problems(auditor, site) == ()
    assert _audit(auditor, site) == []
    _spoil(root, site)
    assert {"update_trail", "put_event_selectors", "start_logging"} <= set(_audit(auditor, site))
    assert _audit(auditor, site) == []


def _statements(site: Site) -> list[dict[str, Any]]:
    document = json.loads(render_document(site, "bootstrap-audit").text)
    return list(document["Statement"])


@pytest.mark.parametrize("missing", [statement["Sid"] for statement in _statements(USER)])
def test_without_any_one_statement_the_auditor_fails_at_what_it_allowed(
    missing: str, sandbox: Sandbox
) -> None:
    statements = {statement["Sid"]: statement for statement in _statements(USER)}
    kept = [each for sid, each in statements.items() if sid != missing]
    text = json.dumps({"Version": "2012-10-17", "Statement": kept})
    auditor = _somebody(sandbox, "auditor", text)

    with pytest.raises(errors.DeniedError) as caught:
        _audit(auditor, USER)

    allowed = statements[missing]["Action"]
    assert caught.value.action in ([allowed] if isinstance(allowed, str) else allowed)
    assert caught.value.action in str(caught.value)


def test_the_auditor_cannot_take_the_trail_away(sandbox: Sandbox) -> None:
    auditor = _somebody(sandbox, "auditor", render_document(USER, "bootstrap-audit").text)
    _audit(auditor, USER)
    names, arns = USER.audit, audit_values(USER)
    destructive: list[tuple[str, str, dict[str, Any]]] = [
        ("cloudtrail", "stop_logging", {"Name": arns["trail_arn"]}),
        ("cloudtrail", "delete_trail", {"Name": arns["trail_arn"]}),
        ("s3", "delete_bucket", {"Bucket": names.bucket}),
        ("s3", "delete_bucket_policy", {"Bucket": names.bucket}),
        ("s3", "list_objects_v2", {"Bucket": names.bucket}),
        ("logs", "delete_log_group", {"logGroupName": names.log_group}),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["cml-run-instances"]}),
        ("sns", "delete_topic", {"TopicArn": arns["topic_arn"]}),
        ("iam", "create_user", {"UserName": "another"}),
        ("secretsmanager", "list_secrets", {}),
    ]
    for service, operation, parameters in destructive:
        with pytest.raises(errors.DeniedError):
            auditor.call(service, operation, **parameters)
    assert trail_problems(auditor, USER) == ()


def _documents(site: Site) -> list[str]:
    return [part.text for part in render_parts(site)]


def _apply(aws: Recorded, site: Site, **options: Any) -> list[str]:
    """Apply, and return the writing calls that took."""
    aws.writes.clear()
    plan = plan_bootstrap(aws, site, options.pop("documents", _documents(site)), **options)
    apply_plan(aws, plan)
    return list(aws.writes)


@pytest.mark.parametrize(
    "site",
    [USER, ROLE, replace(USER, path="/cml/prod/"), replace(ROLE, path="/cml/")],
    ids=["user", "role", "user at a path", "role at a path"],
)
def test_two_people_bootstrap_and_destroy_together(
    site: Site, who: Who, sandbox: Sandbox, tmp_path: Path
) -> None:
    security = who(site, "bootstrap-security-admin")
    operator = who(site, "bootstrap-operator")
    store = EnvFile(tmp_path / ".env")
    delivery = Delivery(store, lambda key: _connect(sandbox, key.id, key.secret))
    options: dict[str, Any] = {"pieces": EVERYTHING, "delivery": delivery}

    assert _apply(security, site, pieces=["boundary", "guard"]) == ["create_policy"] * 2
    assert f"create_{'role' if site.role else 'user'}" in _apply(operator, site, **options)
    assert _apply(operator, site, **options) == []
    assert _apply(security, site, pieces=["boundary", "guard"]) == []
    assert plan_bootstrap(operator, site, _documents(site)).principal == site.principal_arn

    scene = BootstrapScene(operator, site, _documents(site), store)
    (drift,) = ask(check_named("differences"), scene).details
    assert (drift.differs, drift.plan.unchecked) == (False, ())
    (status,) = ask(check_named("status"), scene).details
    assert status.plan.changes == ()

    changed = _documents(replace(OTHER, user=site.user, role=site.role, path=site.path))
    assert _apply(operator, site, documents=changed, **options) == ["create_policy_version"]
    apply_plan(operator, plan_rollback(operator, site))
    assert _apply(operator, site, **options) == []
    tagged = plan_bootstrap(operator, site, _documents(site), tags={"team": "net"})
    apply_plan(operator, plan_adoption(operator, tagged))

    gone = plan_destruction(operator, site)
    apply_plan(operator, gone)
    assert [each for each in gone.unchecked if "service credential" not in each] == []
    assert len(gone.warnings) == 2  # guard and boundary stay
    rest = plan_destruction(security, site, EVERYTHING)
    apply_plan(security, rest)
    assert security.writes[-2:] == ["delete_policy"] * 2


def test_the_operator_manages_every_part(who: Who) -> None:
    site = large_site(20, 20)
    security = who(site, "bootstrap-security-admin")
    operator = who(site, "bootstrap-operator")
    small = _documents(replace(USER, account=site.account))
    # A boundary this large cannot be; any document of that name does here.
    boundary = render_document(replace(USER, account=site.account), "boundary").text
    security.call("iam", "create_policy", PolicyName=site.boundary, PolicyDocument=boundary)
    bound: dict[str, Any] = {"boundary": site.boundary_arn}

    assert len(_documents(site)) > 1
    _apply(operator, site, **bound)
    assert _apply(operator, site, **bound) == []
    assert "delete_policy" in _apply(operator, site, documents=small, **bound)
    assert _apply(operator, site, documents=small, **bound) == []

    apply_plan(operator, plan_destruction(operator, site))
    apply_plan(security, plan_destruction(security, site, ["boundary"]))


def test_the_operator_makes_no_principal_without_the_boundary(who: Who) -> None:
    operator = who(USER, "bootstrap-operator")

    with pytest.raises(errors.DeniedError):
        _apply(operator, USER)


def test_the_operator_does_not_write_the_boundary(who: Who) -> None:
    operator = who(USER, "bootstrap-operator")

    with pytest.raises(errors.DeniedError):
        _apply(operator, USER, pieces=["boundary"])
    assert operator.writes == []
