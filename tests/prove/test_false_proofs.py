"""Questions that once were answered `holds`, each with a request that shows the contrary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, never, within

Json = dict[str, Any]
GET, OBJECT = "s3:GetObject", "arn:aws:s3:::b/x"
STOP, INSTANCE = "ec2:StopInstances", "arn:aws:ec2:us-east-1:111122223333:instance/i-1"
TAG = "ec2:CreateTags"


def allow(action: str | list[str] = GET, resource: str = "*", **condition: Json) -> Json:
    """Return a statement."""
    made: Json = {"Effect": "Allow", "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def deny(resource: str = "*", **condition: Json) -> Json:
    """Return a statement about reading an object."""
    return allow(GET, resource, **condition) | {"Effect": "Deny"}


@dataclass(frozen=True)
class Case:
    """Statements that allow *request*, which is of *shape*; *answer* is what is said of them."""

    statements: tuple[Json, ...]
    request: Request
    shape: Shape = field(default_factory=lambda: Shape([GET]))
    answer: str = "broken"


def case(
    *statements: Json, where: Json | None = None, answer: str = "broken", **context: Any
) -> Case:
    """Return a case about reading an object; *where* are conditions of its shape."""
    request = Request(GET, OBJECT, None, {k.replace("__", ":"): v for k, v in context.items()})
    return Case(statements, request, Shape([GET], conditions=where or {}), answer)


CREATED = {"StringEquals": {"ec2:CreateAction": "RunInstances"}}
CASES = {
    # Which keys an action never has is known of the one action, not of those it is asked with.
    "a key that one of several actions has": Case(
        (allow(["ec2:DeleteTags", TAG], **CREATED),),
        Request(TAG, INSTANCE, None, {"ec2:CreateAction": "RunInstances"}),
        Shape(["ec2:DeleteTags", TAG]),
    ),
    "a key that an action has which no policy names": Case(
        (allow("*", **CREATED),),
        Request(TAG, INSTANCE, None, {"ec2:CreateAction": "RunInstances"}),
        Shape(not_actions=["s3:*"]),
    ),
    # A variable of EC2's name for a key that has two.
    "the region by its other name": Case(
        (allow(GET, "arn:aws:s3:::b/${ec2:Region}"),),
        Request(GET, "arn:aws:s3:::b/us-east-1", None, {"ec2:Region": "us-east-1"}),
    ),
    "a tag by its other name": case(
        allow(StringEquals={"my:k": "${EC2:ResourceTag/T}"}),
        my__k="a",
        **{"ec2:ResourceTag/T": "a"},
    ),
    # One value in several spellings, which patterns of texts tell apart.
    "a number in a third spelling": case(
        allow(NumericEquals={"my:n": "5"}, StringNotEquals={"my:n": ["5", "5.0"]}), my__n="05"
    ),
    "a date in a third spelling": case(
        allow(
            DateEquals={"my:n": "2026-01-01T00:00:00Z"},
            StringNotEquals={"my:n": ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.00Z"]},
        ),
        my__n="2026-01-01T00:00:00.0Z",
    ),
    "an address in a second spelling": case(
        allow(IpAddress={"my:n": "::1"}, StringNotEquals={"my:n": "::1"}), my__n="0::1"
    ),
    # What is beyond the largest there is.
    "a moment after the last second": case(
        allow(DateGreaterThan={"my:n": "9" * 18}), my__n=f"{'9' * 18}.5"
    ),
    "a moment before the first second": case(
        allow(DateLessThan={"my:n": f"-{'9' * 18}"}), my__n=f"-{'9' * 18}.5"
    ),
    "a number that is endless": case(allow(NumericGreaterThan={"my:n": "1e308"}), my__n="1e999"),
    "a number that is endless below": case(
        allow(NumericLessThan={"my:n": "-1e308"}), my__n="-1e999"
    ),
    # The engine asks policies of principals about no principal.
    "a policy of a principal that names none": case(
        {"Effect": "Allow", "NotPrincipal": {"AWS": "*"}, "Action": GET, "Resource": "*"}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_request_breaks_is_not_proved(name: str) -> None:
    given = CASES[name]
    policy = {"Version": "2012-10-17", "Statement": list(given.statements)}
    assert compile_policies(identity=[policy]).decide(given.request).allowed

    verdict = never(Policies((load_policy(policy),)), given.shape)

    assert verdict.answer == given.answer, verdict


def test_a_statement_without_principal_names_nobody_in_the_policy_of_a_resource() -> None:
    def of_resource(**principal: str) -> Policies:
        policy = {"Version": "2012-10-17", "Statement": [allow() | principal]}
        return Policies(resource=load_policy(policy))

    assert within(of_resource(Principal="*"), of_resource()).answer == "broken"
    assert within(of_resource(), of_resource(Principal="*")).answer == "holds"
