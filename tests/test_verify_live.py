"""What AWS's simulator is told: no condition key that may decide an answer is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.check.verify import Verification, verify_live, verify_offline
from cml_iam.errors import DeniedError, NotFoundError
from cml_iam.expectations import derive_expectations
from cml_iam.render import render_document, render_policy
from cml_iam.sandbox import Sandbox, start_sandbox
from cml_iam.site import Site
from tests.conftest import RESTRICTED

SITE = Site(account="111122223333", restrict=RESTRICTED)
BASE = render_policy(None, "base")
BOUNDARY = render_document(SITE, "boundary")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with start_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def root(sandbox: Sandbox) -> Aws:
    """The root of an account whose manager has the base policy, within the site's boundary."""
    aws = connect(
        endpoint_url=sandbox.endpoint_url,
        region=sandbox.region,
        access_key=sandbox.root.id,
        secret_key=sandbox.root.secret,
    )
    name = SITE.boundary_arn.rpartition("/")[2]
    aws.call("iam", "create_policy", PolicyName=name, PolicyDocument=BOUNDARY.text)
    limit = {"PermissionsBoundary": SITE.boundary_arn}
    aws.call("iam", "create_user", UserName=SITE.user, **limit)
    base = {"PolicyName": "base", "PolicyDocument": BASE.text}
    aws.call("iam", "put_user_policy", UserName=SITE.user, **base)
    return aws


class Refusing:
    """The port, but what *refused* names is answered with *error*; *asked* is what got through."""

    def __init__(self, aws: Aws, *refused: str, error: type[Exception] = DeniedError) -> None:
        self.aws, self.refused, self.error = aws, refused, error
        self.asked: list[str] = []

    @property
    def region(self) -> str | None:
        return self.aws.region

    def call(self, service: str, operation: str, **rest: Any) -> dict[str, Any]:
        self._check(operation)
        return self.aws.call(service, operation, **rest)

    def pages(self, service: str, operation: str, key: str, **rest: Any) -> Iterator[Any]:
        self._check(operation)
        return self.aws.pages(service, operation, key, **rest)

    def identity(self) -> Any:
        return self.aws.identity()

    def _check(self, operation: str) -> None:
        if operation in self.refused:
            raise self.error(f"{operation} is refused")
        self.asked.append(operation)


def answers(done: Verification) -> list[tuple[str, str | None]]:
    return [(judgement.expectation.id, judgement.answer) for judgement in done.judgements]


def offline() -> Verification:
    return verify_offline(derive_expectations(SITE), [BASE.document], BOUNDARY.document)


def test_the_keys_of_the_boundary_are_given_too(root: Aws) -> None:
    """GetContextKeysForPrincipalPolicy lists those of identity-based policies alone.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetContextKeysForPrincipalPolicy.html
    """
    done = verify_live(root, SITE.principal_arn, derive_expectations(SITE))

    assert answers(done) == answers(offline())
    assert done.failed == ()
    assert done.unchecked == ()


@pytest.mark.parametrize(
    "denied", ["get_user", "list_user_policies", "get_user_policy", "get_policy_version"]
)
def test_where_a_policy_may_not_be_read_every_key_is_given(root: Aws, denied: str) -> None:
    aws = Refusing(root, denied)

    done = verify_live(aws, SITE.principal_arn, derive_expectations(SITE))

    assert answers(done) == answers(offline())
    assert done.unchecked == ()


def test_the_calls_that_read_are_counted_too(root: Aws) -> None:
    aws = Refusing(root)

    done = verify_live(aws, SITE.principal_arn, derive_expectations(SITE))

    assert done.calls == len(aws.asked)
    assert {"get_user", "get_policy_version", "simulate_principal_policy"} <= set(aws.asked)


def test_a_policy_read_beforehand_is_not_read_again(root: Aws) -> None:
    aws = Refusing(root)
    policies = [BASE.document, BOUNDARY.document]

    done = verify_live(aws, SITE.principal_arn, derive_expectations(SITE), policies)

    assert set(aws.asked) == {"simulate_principal_policy"}
    assert answers(done) == answers(offline())


def test_a_namesake_at_another_path_is_nobody(root: Aws) -> None:
    elsewhere = SITE.principal_arn.replace(":user/", ":user/apps/")

    with pytest.raises(NotFoundError) as raised:
        verify_live(root, elsewhere, derive_expectations(SITE))

    assert elsewhere in str(raised.value.remedy)


def test_who_may_not_simulate_is_told_who_may(root: Aws) -> None:
    aws = Refusing(root, "simulate_principal_policy")

    with pytest.raises(DeniedError) as raised:
        verify_live(aws, SITE.principal_arn, derive_expectations(SITE))

    assert "as an administrator" in str(raised.value.remedy)
