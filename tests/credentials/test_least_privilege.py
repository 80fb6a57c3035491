"""The operator's policy suffices for everything that bootstrap, rotation and revocation call."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from cml_iam.credentials import Schedule, resume, revoke, rollback, rotate
from cml_iam.engine import Request, compile_policies
from tests.conftest import SHARED
from tests.credentials.rotations import AT_ONCE, Scene
from tests.provision.fake_iam import ACCOUNT, FakeIam, Policy
from tests.provision.worlds import BASE, OTHER, POLICY, USER, document, fake_world

OPERATOR = SHARED / "reference" / "policies" / "aux_bootstrap_operator.json"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/CMLWorkerBoundary"
OUR_USER = f"arn:aws:iam::{ACCOUNT}:user/{USER}"
OUR_POLICY = f"arn:aws:iam::{ACCOUNT}:policy/{POLICY}"


@pytest.mark.skipif(not OPERATOR.exists(), reason="the example policies are not beside the project")
def test_every_call_is_granted_to_the_operator(tmp_path: Path) -> None:
    iam = FakeIam(policies={BOUNDARY: Policy("CMLWorkerBoundary", {}, {"v1": BASE}, "v1")})
    world = fake_world(tmp_path, iam)
    for text in (BASE, OTHER, *(document(f"ec2:Action{index}") for index in range(5))):
        world.apply(text, boundary=BOUNDARY, tags={"step": str(len(iam.calls))})
    scene = Scene(iam, tmp_path)
    rotate(scene.rotator(AT_ONCE))
    rotate(scene.rotator(Schedule(overlap=timedelta(0))))
    rollback(scene.rotator())
    resume(scene.rotator(AT_ONCE))
    key = scene.store.look().key
    assert key is not None
    revoke(scene.rotator(), key.id)

    operator = compile_policies(identity=[OPERATOR.read_text("utf-8")])
    called = {call for call in iam.calls if call != "get_caller_identity"}
    refused = [
        each
        for each in sorted(called | {"tag_user", "tag_policy"})
        if not operator.decide(_request(each)).allowed
    ]

    assert len(called) > 15
    assert refused == []


def _request(operation: str) -> Request:
    action = "".join(part.capitalize() for part in operation.split("_"))
    about_policy = "policy" in operation and not operation.startswith("attach")
    given = {"iam:PermissionsBoundary": BOUNDARY, "iam:PolicyARN": OUR_POLICY}
    needs = operation.startswith(("create_user", "attach"))
    resource = OUR_POLICY if about_policy else OUR_USER
    return Request(f"iam:{action}", resource, context=given if needs else {})
