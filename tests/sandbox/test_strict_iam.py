"""Where moto's IAM is lenient this one refuses, in IAM's words.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.sandbox.conftest import Identity, refused
from tests.sandbox.documents import ACCOUNT, BASE, allow, document

_NUMBERS = itertools.count(1)


@pytest.fixture
def policy(iam: Any) -> str:
    """A managed policy."""
    made = iam.create_policy(PolicyName=f"policy-{next(_NUMBERS)}", PolicyDocument=BASE)
    return str(made["Policy"]["Arn"])


def long(characters: int) -> str:
    """Return a policy of exactly *characters*, white space not counted."""
    empty = document(allow("ec2:")).replace(" ", "")
    return document(allow("ec2:" + "x" * (characters - len(empty))))


def test_a_policy_has_at_most_6144_characters(iam: Any, policy: str) -> None:
    iam.create_policy(PolicyName="just", PolicyDocument=long(6144))
    answer = refused(iam.create_policy, PolicyName="over", PolicyDocument=long(6145))
    assert (answer.code, answer.status) == ("LimitExceeded", 409)
    assert (
        refused(iam.create_policy_version, PolicyArn=policy, PolicyDocument=long(6145)).code
        == "LimitExceeded"
    )


def test_the_inline_policies_of_a_user_have_2048_characters_together(
    iam: Any, user: Callable[..., Identity]
) -> None:
    name = user().name
    iam.put_user_policy(UserName=name, PolicyName="a", PolicyDocument=long(1024))
    iam.put_user_policy(UserName=name, PolicyName="b", PolicyDocument=long(1024))
    iam.put_user_policy(UserName=name, PolicyName="b", PolicyDocument=long(1024))
    assert (
        refused(iam.put_user_policy, UserName=name, PolicyName="c", PolicyDocument=long(100)).code
        == "LimitExceeded"
    )


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"Version": "2012-10-17"}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}',
        document(allow("ec2:*", StringEqual={"aws:RequestedRegion": "x"})),
    ],
)
def test_a_document_that_is_no_policy_is_refused(text: str, iam: Any) -> None:
    answer = refused(iam.create_policy, PolicyName="bad", PolicyDocument=text)

    assert answer.code == "MalformedPolicyDocument"


@pytest.mark.parametrize("tie", ["access key", "inline", "attached", "group", "password"])
def test_a_user_is_deleted_only_when_nothing_hangs_on_it(tie: str, iam: Any, policy: str) -> None:
    name = f"tied-{next(_NUMBERS)}"
    iam.create_user(UserName=name)
    if tie == "group":
        iam.create_group(GroupName=f"of-{name}")
    key = {}
    ties: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "access key": (
            lambda: key.update(iam.create_access_key(UserName=name)["AccessKey"]),
            lambda: iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"]),
        ),
        "inline": (
            lambda: iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=BASE),
            lambda: iam.delete_user_policy(UserName=name, PolicyName="p"),
        ),
        "attached": (
            lambda: iam.attach_user_policy(UserName=name, PolicyArn=policy),
            lambda: iam.detach_user_policy(UserName=name, PolicyArn=policy),
        ),
        "group": (
            lambda: iam.add_user_to_group(GroupName=f"of-{name}", UserName=name),
            lambda: iam.remove_user_from_group(GroupName=f"of-{name}", UserName=name),
        ),
        "password": (
            lambda: iam.create_login_profile(UserName=name, Password="Not-a-secret-1"),
            lambda: iam.delete_login_profile(UserName=name),
        ),
    }
    tied, untie = ties[tie]
    tied()
    answer = refused(iam.delete_user, UserName=name)
    assert (answer.code, answer.status) == ("DeleteConflict", 409)
    untie()
    iam.delete_user(UserName=name)
    assert refused(iam.get_user, UserName=name).code == "NoSuchEntity"


def test_a_policy_is_deleted_only_when_it_is_attached_nowhere(
    iam: Any, policy: str, user: Callable[..., Identity]
) -> None:
    name = user().name
    iam.attach_user_policy(UserName=name, PolicyArn=policy)
    assert refused(iam.delete_policy, PolicyArn=policy).code == "DeleteConflict"
    iam.detach_user_policy(UserName=name, PolicyArn=policy)
    iam.create_policy_version(PolicyArn=policy, PolicyDocument=BASE)
    assert refused(iam.delete_policy, PolicyArn=policy).code == "DeleteConflict"
    iam.delete_policy_version(PolicyArn=policy, VersionId="v2")
    iam.delete_policy(PolicyArn=policy)


def test_quotas_of_keys_versions_and_attachments_hold(
    iam: Any, policy: str, user: Callable[..., Identity]
) -> None:
    name = user().name
    iam.create_access_key(UserName=name)
    assert refused(iam.create_access_key, UserName=name).code == "LimitExceeded"
    for _ in range(4):
        iam.create_policy_version(PolicyArn=policy, PolicyDocument=BASE)
    assert (
        refused(iam.create_policy_version, PolicyArn=policy, PolicyDocument=BASE).code
        == "LimitExceeded"
    )
    for number in range(10):
        made = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=BASE)
        iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
    iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
    assert refused(iam.attach_user_policy, UserName=name, PolicyArn=policy).code == (
        "LimitExceeded"
    )


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_user_name_has_the_length_it_may_have(name: str, iam: Any) -> None:
    assert refused(iam.create_user, UserName=name).code == "ValidationError"


def test_a_user_left_out_is_the_caller(user: Callable[..., Identity], iam: Any) -> None:
    someone = user(document(allow("iam:*", on=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}")))
    own = someone.client("iam")

    assert own.get_user()["User"]["UserName"] == someone.name
    assert [k["UserName"] for k in own.list_access_keys()["AccessKeyMetadata"]] == [someone.name]
    assert own.create_access_key()["AccessKey"]["UserName"] == someone.name
    assert refused(own.list_access_keys, UserName="Twin").code == "AccessDenied"
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert refused(iam.create_access_key).code == "ValidationError"


def test_the_last_use_of_a_key_is_known(user: Callable[..., Identity], iam: Any) -> None:
    someone = user(BASE)
    someone.client("ec2").describe_regions()

    used = iam.get_access_key_last_used(AccessKeyId=someone.key)
    assert used["UserName"] == someone.name
    assert used["AccessKeyLastUsed"]["ServiceName"] == "ec2"
