"""After bootstrap, Terraform imports what is there and finds nothing to change."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam.provision import apply_plan, plan_adoption, plan_bootstrap
from cml_iam.render import part_name, render_form, render_parts
from cml_iam.site import Site
from tests.conftest import PLUGINS, RESTRICTED, needs_terraform
from tests.render.test_parts import _site as large_site

pytestmark = pytest.mark.long

USER = Site(account="111122223333", restrict=RESTRICTED)
SITES = {
    "user": USER,
    "role": replace(USER, user=None, role="cml-manager"),
    "role at a path": replace(USER, user=None, role="cml-manager", path="/cml/"),
    "user at a path": replace(USER, path="/cml/"),
    "parts": large_site(20, 20),
}


@pytest.fixture
def sandbox() -> Iterator[Any]:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as running:
        yield running


def _admin(sandbox: Any) -> Any:
    from cml_iam.aws import connect

    return connect(
        region="us-east-1",
        endpoint_url=sandbox.endpoint_url,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )


def _imports(site: Site, count: int) -> str:
    """Return the import blocks: https://developer.hashicorp.com/terraform/language/import"""
    kind, name = ("role", site.role) if site.role else ("user", site.user)
    pairs = {f"aws_iam_{kind}.manager": str(name)}
    if site.role:
        pairs["aws_iam_instance_profile.manager"] = site.role
    for number in range(1, count + 1):
        arn = part_name(site.policy_arn, number)
        label = part_name("hardened", number).replace("-", "_")
        pairs[f"aws_iam_policy.{label}"] = arn
        pairs[f"aws_iam_{kind}_policy_attachment.{label}"] = f"{name}/{arn}"
    blocks = [
        f"import {{\n  to = {to}\n  id = {json.dumps(identity)}\n}}\n"
        for to, identity in pairs.items()
    ]
    return "\n".join(blocks)


def _terraform(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    kept = {key: value for key, value in os.environ.items() if key != "TF_CLI_CONFIG_FILE"}
    ran = subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**kept, **environment, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
    )
    return ran.returncode, ran.stdout + ran.stderr


@needs_terraform
@pytest.mark.parametrize("name", SITES)
def test_terraform_has_nothing_to_change_after_bootstrap(
    name: str, tmp_path: Path, sandbox: Any
) -> None:
    site, aws = SITES[name], _admin(sandbox)
    documents = [part.text for part in render_parts(site)]
    apply_plan(aws, plan_bootstrap(aws, site, documents))
    (tmp_path / "main.tf").write_text(render_form(site, "terraform"))
    (tmp_path / "imports.tf").write_text(_imports(site, len(documents)))
    code, said = _terraform(tmp_path, "init", "-no-color", f"-plugin-dir={PLUGINS}")
    assert code == 0, said

    code, said = _terraform(tmp_path, "plan", "-no-color", **sandbox.environment())

    assert code == 0, said
    (line,) = [each for each in said.splitlines() if each.startswith("Plan:")]
    assert line.endswith("0 to add, 0 to change, 0 to destroy."), said


@needs_terraform
def test_terraform_has_nothing_to_change_after_adopting_by_hand_made_things(
    tmp_path: Path, sandbox: Any
) -> None:
    site, aws = USER, _admin(sandbox)
    (document,) = [part.text for part in render_parts(site)]
    aws.call("iam", "create_user", UserName=site.user)
    aws.call("iam", "create_policy", PolicyName=site.policy, PolicyDocument=document)
    aws.call("iam", "attach_user_policy", UserName=site.user, PolicyArn=site.policy_arn)
    apply_plan(aws, plan_adoption(aws, plan_bootstrap(aws, site, document)))
    (tmp_path / "main.tf").write_text(render_form(site, "terraform"))
    (tmp_path / "imports.tf").write_text(_imports(site, 1))
    _terraform(tmp_path, "init", "-no-color", f"-plugin-dir={PLUGINS}")

    code, said = _terraform(tmp_path, "plan", "-no-color", **sandbox.environment())

    assert code == 0, said
    assert " 0 to add, 0 to change, 0 to destroy." in said, said
