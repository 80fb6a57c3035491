"""The trail and the alarms as Terraform and CloudFormation are what bootstrap makes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from cml_iam.provision import Hours, Watch, plan_bootstrap, render_audit
from cml_iam.site import Site, Tag
from tests.conftest import PLUGINS, RESTRICTED, Ran, needs, needs_terraform
from tests.provision.fake_iam import FakeIam
from tests.provision.test_terraform_import import _terraform

USER = Site(account="111122223333", restrict=RESTRICTED)
SITES = {
    "user": USER,
    "role elsewhere": replace(
        USER,
        user=None,
        role="cml-manager",
        audit_names=MappingProxyType({"region": "eu-central-1", "trail": "our-trail"}),
    ),
    "odd tag": replace(USER, restrict=replace(RESTRICTED, guard_tag=Tag("${x} %{y}", "z"))),
}
WATCHES = {
    "UTC": Watch(2026),
    "summer time": Watch(2026, Hours("Europe/Berlin"), "operator@example.com"),
}
BOTH = pytest.mark.parametrize(
    ("site", "watch"),
    [
        pytest.param(SITES["user"], WATCHES["summer time"], id="user"),
        pytest.param(SITES["role elsewhere"], WATCHES["UTC"], id="role"),
        pytest.param(SITES["odd tag"], WATCHES["UTC"], id="odd-tag"),
    ],
)


@BOTH
@pytest.mark.parametrize("form", ["terraform", "cloudformation"])
def test_the_same_input_gives_the_same_text(form: Any, site: Site, watch: Watch) -> None:
    assert render_audit(site, watch, form) == render_audit(site, watch, form)


@pytest.fixture
def sandbox() -> Iterator[Any]:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as running:
        yield running


@needs_terraform
@pytest.mark.parametrize("name", ["user", "role elsewhere"])
@pytest.mark.long
def test_after_terraform_bootstrap_has_nothing_to_do(
    name: str, tmp_path: Path, sandbox: Any
) -> None:
    from cml_iam.aws import connect

    site, watch = SITES[name], WATCHES["summer time"]
    (tmp_path / "main.tf").write_text(render_audit(site, watch, "terraform"))
    commands = (["fmt", "-check", "-diff"], ["init", f"-plugin-dir={PLUGINS}"], ["validate"])
    for command in (*commands, ["apply", "-auto-approve"]):
        plain = () if command[0] == "fmt" else ("-no-color",)
        code, said = _terraform(tmp_path, *command, *plain, **sandbox.environment())
        assert code == 0, said
    admin = connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )

    plan = plan_bootstrap(admin, site, "", pieces=["audit"], watch=watch)

    assert [step for step in plan.steps if step.changes] == []
    assert len(plan.steps) > 20
    code, said = _terraform(
        tmp_path, "plan", "-detailed-exitcode", "-no-color", **sandbox.environment()
    )
    assert code == 0, said


@BOTH
@needs("cfn-lint")
def test_cfn_lint_is_content_with_the_audit(site: Site, watch: Watch, tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    template.write_text(render_audit(site, watch, "cloudformation"))

    ran = subprocess.run(
        ["cfn-lint", "--regions", site.audit.region, "--", template], capture_output=True, text=True
    )

    assert (ran.returncode, ran.stdout) == (0, "")


class EmptyAccount(FakeIam):
    """An account where nothing is there, whatever service is asked."""

    def __init__(self, account: str) -> None:
        super().__init__()
        self.number = account

    def identity(self) -> Any:
        from cml_iam.aws.port import Identity

        return Identity(self.number, f"arn:aws:iam::{self.number}:root", self.number)

    def call(self, service: str, operation: str, **_: Any) -> Any:
        from cml_iam.errors import NotFoundError

        raise NotFoundError("nothing", code="NotFound", operation=operation)

    def pages(self, *_: Any, **__: Any) -> Any:
        return iter(())


def _calls(site: Site, watch: Watch) -> dict[str, list[Any]]:
    """Return the parameters of every call bootstrap makes in an empty account, by operation."""
    account: Any = EmptyAccount(site.account)
    found: dict[str, list[Any]] = {}
    for step in plan_bootstrap(account, site, "", pieces=["audit"], watch=watch).steps:
        for call in step.calls:
            found.setdefault(call.operation, []).append(dict(call.parameters))
    return found


def _resolver(resources: Any, site: Site) -> Callable[[Any], Any]:
    """Return what does what CloudFormation does with its functions, in the site's account."""
    where = f"{site.audit.region}:{site.account}"
    names = {kind: next(r for r in resources.values() if r["Type"] == kind) for kind in _NAMED}
    named = {kind: each["Properties"][_NAMED[kind]] for kind, each in names.items()}
    arns = {
        "AWS::SNS::Topic": f"arn:aws:sns:{where}:{named['AWS::SNS::Topic']}",
        "AWS::Logs::LogGroup": f"arn:aws:logs:{where}:log-group:{named['AWS::Logs::LogGroup']}:*",
        "AWS::IAM::Role": f"arn:aws:iam::{site.account}:role/{named['AWS::IAM::Role']}",
    }
    pseudo = {
        "AWS::Partition": site.partition,
        "AWS::AccountId": site.account,
        "AWS::Region": site.audit.region,
    }

    def resolve(value: Any) -> Any:
        match value:
            case {"Ref": str(name)} if name in pseudo:
                return pseudo[name]
            case {"Ref": str(name)}:
                kind = resources[name]["Type"]
                return arns[kind] if kind == "AWS::SNS::Topic" else named[kind]
            case {"Fn::GetAtt": [str(name), "Arn"]}:
                return arns[resources[name]["Type"]]
            case {"Fn::Sub": str(text)}:
                for name, each in pseudo.items():
                    text = text.replace(f"${{{name}}}", each)
                return text.replace("${!", "${")
            case dict():
                return {key: resolve(each) for key, each in value.items()}
            case list():
                return [resolve(each) for each in value]
        return value

    return resolve


_NAMED = {
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::IAM::Role": "RoleName",
}


@BOTH
def test_the_template_says_what_bootstrap_calls_with(site: Site, watch: Watch) -> None:
    resources = json.loads(render_audit(site, watch, "cloudformation"))["Resources"]
    resolve = _resolver(resources, site)
    made: dict[str, list[Any]] = {}
    for resource in resources.values():
        made.setdefault(resource["Type"], []).append(resolve(resource["Properties"]))
    calls = _calls(site, watch)

    assert made["AWS::CloudWatch::Alarm"] == calls["put_metric_alarm"]
    (bucket,) = made["AWS::S3::Bucket"]
    (block,) = calls["put_public_access_block"]
    assert bucket["PublicAccessBlockConfiguration"] == block["PublicAccessBlockConfiguration"]
    (versions,) = calls["put_bucket_versioning"]
    assert bucket["VersioningConfiguration"] == versions["VersioningConfiguration"]
    (policy,) = calls["put_bucket_policy"]
    assert made["AWS::S3::BucketPolicy"][0]["PolicyDocument"] == json.loads(policy["Policy"])
    (role,) = made["AWS::IAM::Role"]
    (trust,) = calls["create_role"]
    assert role["AssumeRolePolicyDocument"] == json.loads(trust["AssumeRolePolicyDocument"])
    (delivery,) = calls["put_role_policy"]
    (inline,) = role["Policies"]
    assert inline["PolicyDocument"] == json.loads(delivery["PolicyDocument"])
    assert inline["PolicyName"] == delivery["PolicyName"]
    (trail,) = made["AWS::CloudTrail::Trail"]
    (wanted,) = calls["create_trail"]
    assert trail.pop("IsLogging") is True
    assert trail.pop("TrailName") == wanted.pop("Name")
    assert trail == wanted
    filters = [_lower(each) for each in made["AWS::Logs::MetricFilter"]]
    assert filters == calls["put_metric_filter"]
    assert len(made.get("AWS::SNS::Subscription", [])) == len(calls.get("subscribe", []))


def _lower(value: Any) -> Any:
    """Return *value* with the names of members as CloudWatch Logs writes them."""
    if isinstance(value, dict):
        return {key[0].lower() + key[1:]: _lower(each) for key, each in value.items()}
    return [_lower(each) for each in value] if isinstance(value, list) else value


def test_the_command_prints_either_form(cml_iam: Callable[..., Ran], tmp_path: Path) -> None:
    (tmp_path / "cml-iam.toml").write_text('[account]\nid = "111122223333"\n[principal]\n')

    terraform = cml_iam("bootstrap", "render", "--timezone", "Europe/Berlin")
    template = cml_iam("bootstrap", "render", "--form", "cloudformation")

    assert terraform.code == template.code == 0
    assert 'resource "aws_cloudtrail" "trail"' in terraform.out
    assert "AWS::CloudTrail::Trail" in template.out
    assert cml_iam("bootstrap", "render", "--hours", "never").code == 2
