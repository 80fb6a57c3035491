"""Every form is read back, and means what the document means."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cml_iam.policy import PolicyDocument, load_policy, parse_policy, same_meaning
from cml_iam.provision import plan_bootstrap
from cml_iam.provision._principal import OUR_TAG
from cml_iam.render import (
    Form,
    hcl,
    render_document,
    render_form,
    render_parts,
    render_policy,
)
from cml_iam.render._forms import TAGS
from cml_iam.site import TRUSTS, Eks, Oidc, RolesAnywhere, Site, Tag, Trust
from tests.conftest import PLUGINS, RESTRICTED, needs, needs_terraform
from tests.expectations.test_expectations import EVERYTHING, TAGGED_IMAGES, broken
from tests.render.test_parts import _site as large_site

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = Site(account="111122223333", restrict=RESTRICTED)
ROLE = replace(USER, user=None, role="cml-manager")
CHINA = Site(
    account="111122223333",
    partition="aws-cn",
    restrict=replace(RESTRICTED, regions=("cn-north-1",), images={}),
)
ODD = replace(USER, restrict=replace(RESTRICTED, guard_tag=Tag("Managed By:x", "it is=a/b+c@d")))
SITES = {
    "user": USER,
    "role": ROLE,
    "path": replace(ROLE, path="/cml/prod/"),
    "china": CHINA,
    "odd": ODD,
    "everything": EVERYTHING,
    "image-tag": TAGGED_IMAGES,
    "parts": large_site(20, 20),
}


def _from_json(site: Site) -> list[PolicyDocument]:
    value = json.loads(render_form(site, "json"))
    return [load_policy(each) for each in ([value] if "Statement" in value else value.values())]


def _from_commands(site: Site) -> list[PolicyDocument]:
    script = render_form(site, "commands").replace("\\\n", " ")
    words = [shlex.split(line, comments=True) for line in script.splitlines()]
    return [
        parse_policy(line[line.index("--policy-document") + 1])
        for line in words
        if line[:3] == ["aws", "iam", "create-policy"]
    ]


def _from_markdown(site: Site) -> list[PolicyDocument]:
    blocks = re.findall(r"```json\n(.*?)```", render_form(site, "markdown"), re.DOTALL)
    return [parse_policy(block) for block in blocks]


def _from_cloudformation(site: Site) -> list[PolicyDocument]:
    resources = json.loads(render_form(site, "cloudformation"))["Resources"].values()
    found = [resource for resource in resources if resource["Type"] == "AWS::IAM::ManagedPolicy"]
    return [load_policy(_substituted(e["Properties"]["PolicyDocument"], site)) for e in found]


def _substituted(value: Any, site: Site) -> Any:
    """Do what CloudFormation does with Fn::Sub, in the site's account."""
    if isinstance(value, list):
        return [_substituted(each, site) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::Sub"}:
        text = value["Fn::Sub"].replace("${AWS::Partition}", site.partition)
        return text.replace("${AWS::AccountId}", site.account).replace("${!", "${")
    if value == {"Ref": "AWS::AccountId"}:
        return site.account
    return {key: _substituted(each, site) for key, each in value.items()}


READERS = {
    "json": _from_json,
    "commands": _from_commands,
    "markdown": _from_markdown,
    "cloudformation": _from_cloudformation,
}


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("form", READERS)
def test_a_form_read_back_means_the_same(form: Form, name: str) -> None:
    site = SITES[name]

    read = READERS[form](site)

    wanted = [part.document for part in render_parts(site)]
    assert len(read) == len(wanted)
    assert all(same_meaning(one, other) for one, other in zip(read, wanted, strict=True))
    assert broken(site, *read) == []


def test_cloudformation_names_neither_account_nor_partition() -> None:
    template = render_form(USER, "cloudformation")

    document = json.dumps(json.loads(template)["Resources"]["Policy1"])
    # The owner of the images is a value, not the account the stack is in.
    assert document.count("111122223333") == document.count('"ec2:Owner": ["111122223333"]') == 1
    assert "arn:aws:" not in document


@needs("cfn-lint")
@pytest.mark.parametrize("name", ["user", "role", "path", "everything", "parts"])
@pytest.mark.long
def test_cfn_lint_is_content(name: str, tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    template.write_text(render_form(SITES[name], "cloudformation"))

    ran = subprocess.run(["cfn-lint", template], capture_output=True, text=True)

    assert (ran.returncode, ran.stdout) == (0, "")


TRUSTED = replace(
    ROLE,
    path="/cml/",
    ecs_region="us-east-1",
    eks=Eks("cml", "us-east-1", "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"),
    oidc=Oidc("token.actions.githubusercontent.com", "repo:example/cml:ref:refs/heads/main"),
    roles_anywhere=RolesAnywhere(
        "cml-manager.example.com",
        "Example CA",
        "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/"
        "12345678-1234-1234-1234-123456789012",
    ),
)


@pytest.mark.parametrize("trust", TRUSTS)
def test_every_form_trusts_whom_bootstrap_trusts(trust: Trust, tmp_path: Path) -> None:
    """And only EC2 needs an instance profile."""
    wanted = render_document(TRUSTED, f"trust-{trust}").document
    template = json.loads(render_form(TRUSTED, "cloudformation", trust=trust))
    role = template["Resources"]["Role"]["Properties"]
    script = render_form(TRUSTED, "commands", trust=trust)
    (line,) = [e for e in script.replace("\\\n", " ").splitlines() if "create-role" in e]
    words = shlex.split(line)

    written = words[words.index("--assume-role-policy-document") + 1]
    assert same_meaning(parse_policy(written), wanted)
    read = _substituted(role["AssumeRolePolicyDocument"], TRUSTED)
    assert same_meaning(load_policy(read), wanted)
    hcl_form = render_form(TRUSTED, "terraform", trust=trust)
    profiled = ["InstanceProfile" in template["Resources"], "instance-profile" in script]
    assert {*profiled, "aws_iam_instance_profile" in hcl_form} == {trust == "ec2"}
    if shutil.which("cfn-lint"):
        (tmp_path / "t.json").write_text(json.dumps(template))
        ran = subprocess.run(["cfn-lint", tmp_path / "t.json"], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (0, "")


NEW_ANCHOR = replace(TRUSTED, roles_anywhere=RolesAnywhere("cml-manager.example.com", "Example CA"))


def test_a_trust_anchor_that_the_site_does_not_name_is_made(tmp_path: Path) -> None:
    template = json.loads(render_form(NEW_ANCHOR, "cloudformation", trust="roles-anywhere"))
    trust = template["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]
    condition = trust["Statement"][0]["Condition"]
    module = render_form(NEW_ANCHOR, "terraform", trust="roles-anywhere")

    anchor = {"Fn::GetAtt": ["TrustAnchor", "TrustAnchorArn"]}
    assert condition["ArnEquals"] == {"aws:SourceArn": anchor}
    assert "[aws_rolesanywhere_trust_anchor.manager.arn]" in module
    assert "made-with-the-role" not in json.dumps(template) + module
    if shutil.which("cfn-lint"):
        (tmp_path / "t.json").write_text(json.dumps(template))
        ran = subprocess.run(["cfn-lint", tmp_path / "t.json"], capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (0, "")


@needs_terraform
@pytest.mark.parametrize("site", [TRUSTED, NEW_ANCHOR], ids=["anchor", "new-anchor"])
@pytest.mark.long
def test_terraform_takes_the_form_for_roles_anywhere(site: Site, tmp_path: Path) -> None:
    """The sandbox has no IAM Roles Anywhere, so it is validated and not applied."""
    (tmp_path / "main.tf").write_text(render_form(site, "terraform", trust="roles-anywhere"))
    _terraform(tmp_path, "init", "-no-color", f"-plugin-dir={PLUGINS}")
    _terraform(tmp_path, "fmt", "-check", "-diff")
    _terraform(tmp_path, "validate", "-no-color")


@needs_terraform
@pytest.mark.parametrize("trust", [trust for trust in TRUSTS if trust != "roles-anywhere"])
@pytest.mark.long
def test_terraform_trusts_whom_bootstrap_trusts(trust: Trust, tmp_path: Path, sandbox: Any) -> None:
    from cml_iam.aws import connect

    (tmp_path / "main.tf").write_text(render_form(TRUSTED, "terraform", trust=trust))
    _terraform(tmp_path, "init", "-no-color", f"-plugin-dir={PLUGINS}")
    _terraform(tmp_path, "fmt", "-check", "-diff")
    _terraform(tmp_path, "apply", "-auto-approve", "-no-color", **sandbox.environment())
    admin = connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )

    plan = plan_bootstrap(admin, TRUSTED, render_policy(TRUSTED).text, trust=trust)

    assert [step for step in plan.steps if step.changes] == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", '"plain"'),
        ("${aws:username}", '"$${aws:username}"'),
        ("%{if}", '"%%{if}"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        (["a"], '["a"]'),
        ({"k": "v"}, '{ "k" = "v" }'),
    ],
)
def test_hcl_keeps_text_text(value: Any, written: str) -> None:
    assert hcl(value) == written


def test_the_tags_are_those_bootstrap_puts_on() -> None:
    assert dict([OUR_TAG]) == TAGS


def _terraform(folder: Path, *arguments: str, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    ran = subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**kept, **environment, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _initialized(folder: Path, site: Site) -> Path:
    (folder / "main.tf").write_text(render_form(site, "terraform"))
    _terraform(folder, "init", "-no-color", f"-plugin-dir={PLUGINS}")
    return folder


@needs_terraform
def test_terraform_validates_and_is_formatted(tmp_path: Path) -> None:
    folder = _initialized(tmp_path, EVERYTHING)

    _terraform(folder, "validate", "-no-color")
    _terraform(folder, "fmt", "-check", "-diff")


@pytest.fixture
def sandbox() -> Iterator[Any]:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as running:
        yield running


@needs_terraform
@pytest.mark.parametrize("name", ["user", "role", "path"])
@pytest.mark.long
def test_terraform_makes_what_bootstrap_makes(name: str, tmp_path: Path, sandbox: Any) -> None:
    """After `terraform apply` the bootstrap of the same site has nothing left to do."""
    from cml_iam.aws import connect

    site = SITES[name]
    folder = _initialized(tmp_path, site)

    _terraform(folder, "fmt", "-check", "-diff")
    _terraform(folder, "apply", "-auto-approve", "-no-color", **sandbox.environment())

    admin = connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )
    plan = plan_bootstrap(admin, site, render_policy(site).text)
    assert [step for step in plan.steps if step.changes] == []
