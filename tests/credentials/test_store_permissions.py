"""The stores in AWS need the permissions the page lists, no more and no fewer; enforced."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.credentials import Delivery, Rotator, Schedule, Together, rollback, rotate
from cml_iam.credentials._remote import Parameter, SecretsManager
from cml_iam.provision import apply_plan, plan_bootstrap
from cml_iam.render import render_document, render_parts
from cml_iam.site import Site
from tests.conftest import REPOSITORY, RESTRICTED
from tests.credentials.rotations import AT_ONCE

ACCOUNT = "111122223333"
SITE = Site(account=ACCOUNT, restrict=RESTRICTED)
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:prod/cml-??????"
PARAMETERS = [
    f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/prod/cml{suffix}"
    for suffix in ("", "-cml-iam-pending")
]
GRANTS: dict[str, Any] = {
    "secretsmanager:GetSecretValue": SECRET,
    "secretsmanager:CreateSecret": SECRET,
    "secretsmanager:PutSecretValue": SECRET,
    "secretsmanager:UpdateSecretVersionStage": SECRET,
    "secretsmanager:DeleteSecret": SECRET,
    # What is not there yet has no ARN.
    "secretsmanager:DescribeSecret": "*",
    "ssm:GetParameter": PARAMETERS,
    "ssm:PutParameter": PARAMETERS,
    "ssm:DeleteParameter": PARAMETERS,
    "ssm:DescribeParameters": "*",
}
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Any]:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as running:
        yield running


def _port(sandbox: Any, key: str, secret: Any) -> Any:
    from cml_iam.aws import connect

    return connect(
        region="us-east-1", endpoint_url=sandbox.endpoint_url, access_key=key, secret_key=secret
    )


@pytest.fixture(scope="module")
def root(sandbox: Any) -> Any:
    """The root, after the principal is there."""
    aws = _port(sandbox, sandbox.root.id, sandbox.root.secret)
    documents = [part.text for part in render_parts(SITE)]
    pieces = {"principal", "boundary"}
    apply_plan(aws, plan_bootstrap(aws, SITE, documents, pieces=pieces))  # type: ignore[arg-type]
    return aws


@pytest.fixture
def operator(sandbox: Any, root: Any) -> Callable[..., Any]:
    """Make somebody with the operator's policy, and with GRANTS but for those left out."""

    def make(*without: str) -> Any:
        name = f"operator-{next(_NUMBERS)}"
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": on}
            for action, on in GRANTS.items()
            if action not in without
        ]
        stores = json.dumps({"Version": "2012-10-17", "Statement": statements})
        root.call("iam", "create_user", UserName=name)
        for kind, text in (
            ("operator", render_document(SITE, "bootstrap-operator").text),
            ("stores", stores),
        ):
            made = root.call(
                "iam", "create_policy", PolicyName=f"{name}-{kind}", PolicyDocument=text
            )
            arn = made["Policy"]["Arn"]
            root.call("iam", "attach_user_policy", UserName=name, PolicyArn=arn)
        key = root.call("iam", "create_access_key", UserName=name)["AccessKey"]
        return _port(sandbox, key["AccessKeyId"], key["SecretAccessKey"])

    return make


@pytest.fixture(autouse=True)
def _clean(root: Any) -> Iterator[None]:
    """Leave no key and no store to the next test."""
    yield
    for key in root.call("iam", "list_access_keys", UserName=SITE.user)["AccessKeyMetadata"]:
        root.call("iam", "delete_access_key", UserName=SITE.user, AccessKeyId=key["AccessKeyId"])
    for tag in ("cml-iam:rotation", "cml-iam:rotation-lock"):
        root.call("iam", "untag_user", UserName=SITE.user, TagKeys=[tag])
    for each in root.call("secretsmanager", "list_secrets")["SecretList"]:
        root.call(
            "secretsmanager",
            "delete_secret",
            SecretId=each["Name"],
            ForceDeleteWithoutRecovery=True,
        )
    for parameter in root.call("ssm", "describe_parameters")["Parameters"]:
        root.call("ssm", "delete_parameter", Name=parameter["Name"])


def _rotator(aws: Any, sandbox: Any, folder: Path) -> Rotator:
    store = Together((SecretsManager(aws, "prod/cml", folder), Parameter(aws, "/prod/cml", folder)))
    return Rotator(
        aws=aws,
        user=str(SITE.user),
        delivery=Delivery(store, lambda key: _port(sandbox, key.id, key.secret)),
        schedule=AT_ONCE,
        clock=lambda: datetime.now(UTC),
        pause=lambda _: None,
    )


def _life(rotator: Rotator) -> None:
    """Deliver a first key, undo that of a second time, and rotate."""

    def unwell(_: Any) -> None:
        raise errors.IncompleteError("not healthy")

    broken = replace(rotator, delivery=replace(rotator.delivery, prove=unwell))
    with pytest.raises(errors.IncompleteError):
        rotate(broken)
    rollback(rotator)
    assert rotate(rotator).state == "done"
    assert rotate(rotator).state == "done"


def test_the_operator_rotates_in_both_stores(
    operator: Callable[..., Any], sandbox: Any, root: Any, tmp_path: Path
) -> None:
    _life(_rotator(operator(), sandbox, tmp_path / ".cml-iam"))

    (key,) = root.call("iam", "list_access_keys", UserName=SITE.user)["AccessKeyMetadata"]
    secret = root.call("secretsmanager", "get_secret_value", SecretId="prod/cml")["SecretString"]
    value = root.call("ssm", "get_parameter", Name="/prod/cml", WithDecryption=True)["Parameter"]
    for held in (secret, value["Value"]):
        assert json.loads(held.reveal())["AWS_ACCESS_KEY_ID"] == key["AccessKeyId"]


@pytest.mark.parametrize("missing", sorted(set(GRANTS) - {"secretsmanager:DeleteSecret"}))
def test_without_any_one_permission_it_is_refused_and_named(
    missing: str, operator: Callable[..., Any], sandbox: Any, tmp_path: Path
) -> None:
    with pytest.raises(errors.DeniedError) as caught:
        _life(_rotator(operator(missing), sandbox, tmp_path / ".cml-iam"))

    assert caught.value.action == missing
    assert missing in str(caught.value)


def test_without_the_right_to_delete_an_empty_secret_stays(
    operator: Callable[..., Any], sandbox: Any, root: Any, tmp_path: Path
) -> None:
    rotator = _rotator(operator("secretsmanager:DeleteSecret"), sandbox, tmp_path / ".cml-iam")

    def unwell(_: Any) -> None:
        raise errors.IncompleteError("not healthy")

    with pytest.raises(errors.IncompleteError):
        rotate(replace(rotator, delivery=replace(rotator.delivery, prove=unwell)))
    rollback(rotator)

    held = root.call("secretsmanager", "get_secret_value", SecretId="prod/cml")["SecretString"]
    assert held.reveal() == "{}"
    assert rotate(replace(rotator, schedule=Schedule())).state == "done"


def test_the_page_lists_these_permissions() -> None:
    text = (REPOSITORY / "docs" / "credentials.md").read_text("utf-8")
    for action in GRANTS:
        assert re.search(rf"\b{action.partition(':')[2]}\b", text), action
