"""Bootstrap by those who may do no more than their document says, enforced by the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cml_iam import errors
from cml_iam.aws import connect
from cml_iam.credentials import Delivery, EnvFile
from cml_iam.provision import (
    PIECES,
    apply_plan,
    plan_adoption,
    plan_bootstrap,
    plan_destruction,
    plan_rollback,
    read_drift,
    read_status,
)
from cml_iam.render import render_document, render_parts
from cml_iam.site import Site
from tests.conftest import RESTRICTED
from tests.provision.worlds import Recorded
from tests.render.test_parts import _site as large_site

USER = Site(account="111122223333", restrict=RESTRICTED)
ROLE = replace(USER, user=None, role="cml-manager")
OTHER = replace(USER, restrict=replace(RESTRICTED, instance_types=("c5.*",)))
EVERYTHING = [each for each in PIECES if each != "audit"]

Who = Callable[[Site, str], Recorded]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Any]:
    from cml_iam.sandbox import start_sandbox

    with start_sandbox() as running:
        yield running


def _connect(sandbox: Any, key: str, secret: Any) -> Any:
    return connect(
        region="us-east-1", endpoint_url=sandbox.endpoint_url, access_key=key, secret_key=secret
    )


@pytest.fixture
def who(sandbox: Any, request: pytest.FixtureRequest) -> Who:
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


def _documents(site: Site) -> list[str]:
    return [part.text for part in render_parts(site)]


def _apply(aws: Recorded, site: Site, **options: Any) -> list[str]:
    """Apply, and return the writing calls that took."""
    aws.writes.clear()
    plan = plan_bootstrap(aws, site, options.pop("documents", _documents(site)), **options)
    apply_plan(aws, plan)
    return list(aws.writes)


@pytest.mark.parametrize("site", [USER, ROLE], ids=["user", "role"])
def test_two_people_bootstrap_and_destroy_together(
    site: Site, who: Who, sandbox: Any, tmp_path: Path
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

    drift = read_drift(operator, site, _documents(site))
    assert (drift.differs, drift.unchecked) == (False, ())
    assert read_status(operator, site, _documents(site), store).plan.changes == ()

    changed = _documents(replace(OTHER, user=site.user, role=site.role))
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
