"""Sessions that a resource's policy or a trust policy names, and no other session of the role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.who import Account, Asker, Member, Paths, Question, State, holders, with_resources
from tests.who.brute import ACCOUNT, NOW, account, allow, arn_of, known, managed, policy, role, user

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
BUCKET = "arn:aws:s3:::bucket"
SESSIONS = ("night", "day", "other")


def session(name: str, of: str = "r", number: str = ACCOUNT) -> str:
    return f"arn:aws:sts::{number}:assumed-role/{of}/{name}"


def naming(effect: str, action: str, *names: str, element: str = "Principal") -> dict[str, Any]:
    return {"Effect": effect, element: {"AWS": list(names)}, "Action": action, "Resource": "*"}


ROLE = f"arn:aws:iam::{ACCOUNT}:role/deep/path/r"
RESOURCE_POLICIES: dict[str, list[dict[str, Any]]] = {
    "one session": [naming("Allow", "*", session("night"))],
    "two sessions": [naming("Allow", "*", session("night"), session("day"))],
    "a session of another role": [naming("Allow", "*", session("night", of="q"))],
    "a session of another account": [naming("Allow", "*", session("night", number="444455556666"))],
    "the role but one session": [
        naming("Allow", "*", ROLE),
        naming("Deny", "*", session("night")),
    ],
    "the account, and one session is denied": [
        naming("Allow", "*", ACCOUNT),
        naming("Deny", "*", session("night")),
    ],
    "everyone is denied but one session": [
        naming("Allow", "*", ROLE),
        naming("Deny", "*", session("night"), element="NotPrincipal"),
    ],
    "the role and one session of it": [naming("Allow", "*", ROLE, session("day"))],
}
OWN: dict[str, dict[str, Any]] = {
    "nothing of its own": {},
    "all of its own": {"own": [policy(allow("*"))]},
    "all within a boundary without it": {
        "own": [policy(allow("*"))],
        "boundary": policy(allow("ec2:*")),
    },
}


def with_role(own: list[Any], boundary: Any | None) -> Account:
    more = {"boundary": arn_of("b")} if boundary else {}
    return account(
        roles=[role("r", *own, path="/deep/path/", **more)],
        policies=[managed("b", boundary)] if boundary else [],
    )


def decided(member: Member, action: str, resource: str, document: Any) -> Iterator[bool]:
    """Yield what the engine answers to each session of *member*."""
    holdings = member.holdings
    authorizer = compile_policies(
        holdings.documents,
        boundary=holdings.boundary.document if holdings.boundary else None,
        resource=document,
    )
    for name in SESSIONS:
        context = known(member) | {"aws:userid": f"{member.id}:{name}"}
        yield authorizer.decide(Request(action, resource, session(name), context)).allowed


@pytest.mark.parametrize("resource", [BUCKET, KEY])
@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("named", RESOURCE_POLICIES)
def test_a_role_may_in_those_sessions_in_which_the_engine_allows_it(
    named: str, own: str, resource: str
) -> None:
    action = "kms:Decrypt" if resource == KEY else "s3:ListBucket"
    of = with_role(OWN[own].get("own", []), OWN[own].get("boundary"))
    document = policy(*RESOURCE_POLICIES[named])
    (member,) = of.members
    met = set(decided(member, action, resource, load_policy(document, "policy")))

    asker = Asker(with_resources(of, {resource: document}), NOW)
    cell = asker.cell(Question(action, resource), State(member))

    assert cell.answer == ("depends" if len(met) == 2 else "yes" if met == {True} else "no")
    if cell.answer == "depends":
        assert "aws:userid" in " ".join(cell.remains)
        assert member.id in " ".join(cell.remains)


def test_a_role_that_trusts_one_session_is_reached_by_the_role_of_that_session() -> None:
    target = role(
        "target",
        policy(allow("ec2:StopInstances")),
        trust=policy(
            {
                "Effect": "Allow",
                "Principal": {"AWS": session("night")},
                "Action": "sts:AssumeRole",
            }
        ),
    )
    of = account(roles=[role("r", path="/deep/path/"), role("q"), target])

    found = Paths(Asker(of, NOW)).to(Question("ec2:StopInstances"))

    assert set(found) == {f"arn:aws:iam::{ACCOUNT}:role/target", ROLE}
    (step,) = found[ROLE].steps
    assert step.remains == ("only if aws:userid = AROAR:night",)


@pytest.mark.parametrize(
    ("own", "answer"),
    [
        ([policy(allow("sts:GetFederationToken"))], "undecided"),
        ([policy(allow(["sts:GetFederationToken", "s3:*"]))], "yes"),
        ([], "no"),
    ],
)
def test_a_federated_user_that_the_policy_names_leaves_who_may_start_it_undecided(
    own: list[Any], answer: str
) -> None:
    named = f"arn:aws:sts::{ACCOUNT}:federated-user/guest"
    of = with_resources(
        account([user("a", *own)]), {BUCKET: policy(naming("Allow", "s3:*", named))}
    )
    asker = Asker(of, NOW)
    (holder,) = holders(Question("s3:ListBucket", BUCKET), asker, Paths(asker))

    assert holder.standing == answer
    assert ("guest" in holder.cell.reason) is (answer == "undecided")
    assert holder._replace(path=None).standing == answer
