"""What a principal holds: all of it is read, and what cannot be read is never taken for none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cml_iam.aws import Aws, connect
from cml_iam.errors import AwsError, DeniedError, DocumentError, InputError, NotFoundError
from cml_iam.errors import ThrottledError as Throttled
from cml_iam.principal import principal_of_arn, read_holdings
from cml_iam.sandbox import start_sandbox
from cml_iam.site import Site

ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/apps/reader"
MANAGED = f"arn:aws:iam::{ACCOUNT}:policy/managed"
SHARED = "arn:aws:iam::aws:policy/ReadOnlyAccess"
LIMIT = f"arn:aws:iam::{ACCOUNT}:policy/limit"


def allow(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


@pytest.fixture(scope="module")
def root() -> Iterator[Aws]:
    """The root of an account with a user that holds a policy of each kind, within a boundary."""
    with start_sandbox() as sandbox:
        aws = connect(
            endpoint_url=sandbox.endpoint_url,
            region=sandbox.region,
            access_key=sandbox.root.id,
            secret_key=sandbox.root.secret,
        )

        def iam(operation: str, **parameters: Any) -> None:
            aws.call("iam", operation, **parameters)

        for name in ("managed", "limit"):
            iam("create_policy", PolicyName=name, PolicyDocument=allow(f"ec2:{name}"))
        user = {"UserName": "reader"}
        tags = [{"Key": "team", "Value": "net"}]
        iam("create_user", **user, Path="/apps/", PermissionsBoundary=LIMIT, Tags=tags)
        iam("attach_user_policy", **user, PolicyArn=MANAGED)
        iam("put_user_policy", **user, PolicyName="own", PolicyDocument=allow("ec2:Own"))
        group = {"GroupName": "team"}
        iam("create_group", **group)
        iam("attach_group_policy", **group, PolicyArn=MANAGED)
        iam("attach_group_policy", **group, PolicyArn=SHARED)
        iam("put_group_policy", **group, PolicyName="ours", PolicyDocument=allow("ec2:Ours"))
        iam("add_user_to_group", **group, **user)
        yield aws


class Spoiled:
    """The port, but *operation*, asked with these values among its parameters, raises *error*."""

    def __init__(self, aws: Aws, operation: str, error: Exception, *values: str) -> None:
        self.aws, self.operation, self.error, self.values = aws, operation, error, values
        self.asked: list[tuple[str, Any]] = []

    @property
    def region(self) -> str | None:
        return self.aws.region

    def call(self, service: str, operation: str, **rest: Any) -> dict[str, Any]:
        self._check(operation, rest)
        return self.aws.call(service, operation, **rest)

    def pages(self, service: str, operation: str, key: str, **rest: Any) -> Iterator[Any]:
        self._check(operation, rest)
        return self.aws.pages(service, operation, key, **rest)

    def identity(self) -> Any:
        return self.aws.identity()

    def _check(self, operation: str, given: dict[str, Any]) -> None:
        self.asked.append((operation, tuple(given.values())))
        if operation == self.operation and set(self.values) <= set(given.values()):
            raise self.error


def denied(action: str) -> DeniedError:
    return DeniedError("not authorized", code="AccessDenied", action=action)


def test_everything_that_gives_or_limits_permissions_is_read(root: Aws) -> None:
    found = read_holdings(root, "user", "reader")

    assert {(policy.name, policy.arn, policy.group) for policy in found.policies} == {
        ("managed", MANAGED, None),
        ("own", None, None),
        ("managed", MANAGED, "team"),
        ("ReadOnlyAccess", SHARED, "team"),
        ("ours", None, "team"),
    }
    assert len(found.policies) == 5
    assert (found.arn, found.tags, found.boundary_arn) == (USER, {"team": "net"}, LIMIT)
    assert found.boundary is not None
    assert found.boundary.document.statements[0].action == ("ec2:limit",)
    assert [document.statements[0].action for document in found.documents][:2] == [
        ("ec2:managed",),
        ("ec2:Own",),
    ]
    assert found.unread == ()
    assert found.whole() is found


def test_a_policy_that_comes_twice_is_read_once(root: Aws) -> None:
    aws = Spoiled(root, "", ValueError())

    read_holdings(aws, "user", "reader")

    asked = [given for operation, given in aws.asked if operation == "get_policy"]
    assert sorted(asked) == [(LIMIT,), (MANAGED,), (SHARED,)]


@pytest.mark.parametrize(
    ("operation", "values", "what", "left"),
    [
        ("list_attached_user_policies", (), "policies attached of the user `reader`", 4),
        ("list_user_policies", (), "inline policies of the user `reader`", 4),
        ("get_user_policy", (), "inline policy `own` of the user `reader`", 4),
        ("list_groups_for_user", (), "groups of the user", 2),
        ("list_attached_group_policies", (), "policies attached of the group `team`", 3),
        ("list_group_policies", (), "inline policies of the group `team`", 4),
        ("get_group_policy", (), "inline policy `ours` of the group `team`", 4),
        ("get_policy", (SHARED,), f"policy `{SHARED}`", 4),
        ("get_policy_version", (SHARED,), f"policy `{SHARED}`", 4),
        ("get_policy", (LIMIT,), "the permissions boundary", 5),
        ("get_policy_version", (LIMIT,), "the permissions boundary", 5),
    ],
)
@pytest.mark.parametrize(
    "error", [denied("iam:X"), NotFoundError("gone", code="NoSuchEntity")], ids=["denied", "gone"]
)
def test_what_cannot_be_read_is_named_and_the_rest_is_read(
    root: Aws,
    operation: str,
    values: tuple[str, ...],
    what: str,
    left: int,
    error: AwsError,
) -> None:
    found = read_holdings(Spoiled(root, operation, error, *values), "user", "reader")

    (unread,) = found.unread
    assert what in unread.what
    assert ("iam:X is denied" if isinstance(error, DeniedError) else "gone") in unread.words
    assert len(found.policies) == left
    with pytest.raises(type(error)):
        found.whole()


def test_a_boundary_that_cannot_be_read_is_not_none(root: Aws) -> None:
    found = read_holdings(Spoiled(root, "get_policy", denied("x"), LIMIT), "user", "reader")

    assert (found.boundary, found.boundary_arn) == (None, LIMIT)
    assert found.unread


class Garbled(Spoiled):
    """The port, but what *operation* answers is a policy that is none."""

    def call(self, service: str, operation: str, **rest: Any) -> dict[str, Any]:
        if operation == self.operation:
            return {"PolicyDocument": {"Statement": [{"Effect": "Maybe"}]}}
        return super().call(service, operation, **rest)


def test_a_policy_that_cannot_be_understood_is_unread(root: Aws) -> None:
    aws = Garbled(root, "get_user_policy", ValueError())

    (unread,) = read_holdings(aws, "user", "reader").unread

    assert "`own`" in unread.what
    assert isinstance(unread.error, DocumentError)


@pytest.mark.parametrize("error", [Throttled("later"), AwsError("broken")])
def test_where_aws_does_not_answer_nothing_is_said(root: Aws, error: AwsError) -> None:
    with pytest.raises(type(error)):
        read_holdings(Spoiled(root, "list_user_policies", error), "user", "reader")


def test_nobody_holds_nothing(root: Aws) -> None:
    with pytest.raises(NotFoundError):
        read_holdings(root, "user", "nobody")


def test_a_namesake_in_another_account_is_somebody_else(root: Aws) -> None:
    assert read_holdings(root, "user", "reader", account=ACCOUNT).arn == USER
    with pytest.raises(NotFoundError) as raised:
        read_holdings(root, "user", "reader", account="444455556666")

    assert "account 444455556666" in raised.value.message


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (USER, ("user", "reader")),
        (f"arn:aws:iam::{ACCOUNT}:role/apps/manager", ("role", "manager")),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/manager/i-1", ("role", "manager")),
        (f"arn:aws:iam::{ACCOUNT}:root", None),
        (f"arn:aws:iam::{ACCOUNT}:group/team", None),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/reader", None),
    ],
)
def test_the_principal_of_an_arn(arn: str, expected: tuple[str, str] | None) -> None:
    assert principal_of_arn(arn) == expected


def test_the_principal_of_a_site() -> None:
    assert Site(ACCOUNT, user="u").principal == ("user", "u")
    assert Site(ACCOUNT, user=None, role="r").principal == ("role", "r")
    with pytest.raises(InputError):
        print(Site(ACCOUNT, user=None).principal_arn)
