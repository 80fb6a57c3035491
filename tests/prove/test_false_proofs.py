"""Questions that once were answered `holds`, each with a request that shows the contrary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from cml_iam.engine import Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, always, never, within

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


OUTSIDE: Json = {
    "Effect": "Deny",
    "Action": GET,
    "NotResource": "arn:aws:s3:${my:v, 'x'}::b",
}
KEY_CASES = ("aws:principaltag", "AWS:PrincipalTag", "aws:PrincipalTag")
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
        (allow(STOP, "arn:aws:ec2:*:*:instance/${ec2:Region}"),),
        Request(
            STOP,
            "arn:aws:ec2:us-east-1:111122223333:instance/us-east-1",
            None,
            {"ec2:Region": "us-east-1", "aws:RequestedRegion": "us-east-1"},
        ),
        Shape([STOP]),
    ),
    "a tag by its other name": Case(
        (allow(STOP, StringEquals={"my:k": "${EC2:ResourceTag/T}"}),),
        Request(STOP, INSTANCE, None, {"my:k": "a", "ec2:ResourceTag/T": "a"}),
        Shape([STOP]),
    ),
    # Nobody names EC2, whose requests alone have the key.
    "the region by a name that only requests to EC2 have": Case(
        (allow("*", StringEquals={"ec2:Region": "us-east-1"}),),
        Request(STOP, INSTANCE, None, {"ec2:Region": "us-east-1"}),
        Shape(not_actions=["s3:*"]),
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
    # Policy variables.
    "a variable whose value is compared with a number": case(
        allow(StringEquals={"my:k": "${my:v}"}, NumericGreaterThan={"my:v": "100"}),
        where={"StringLike": {"my:k": "2*"}},
        answer="undecided",
        my__k="200",
        my__v="200",
    ),
    "a variable, and a number in its place": case(
        allow(StringEquals={"my:k": "${my:v}"}, NumericLessThan={"my:k": "5"}),
        answer="undecided",
        my__k="4",
        my__v="4",
    ),
    "a variable that is an address": case(
        allow(StringEquals={"aws:SourceIp": "${my:v}"}),
        answer="undecided",
        aws__SourceIp="192.0.2.1",
        my__v="192.0.2.1",
    ),
    "an address as a variable": Case(
        (allow(GET, "arn:aws:s3:::b/${aws:SourceIp}"),),
        Request(GET, "arn:aws:s3:::b/192.0.2.1", None, {"aws:SourceIp": "192.0.2.1"}),
        Shape([GET], ["arn:aws:s3:::b/192.*"]),
        "undecided",
    ),
    "a variable that is an ARN": case(
        allow(StringEquals={"aws:PrincipalArn": "${my:v}"}),
        aws__PrincipalArn="arn:aws:iam::111122223333:user/a",
        my__v="arn:aws:iam::111122223333:user/a",
    ),
    "a variable that is a boolean": case(
        allow(Bool={"aws:SecureTransport": "${my:v}"}), aws__SecureTransport="true", my__v="true"
    ),
    "a variable behind letters of any case": case(
        allow(StringEqualsIgnoreCase={"my:k": "a${my:v}"}),
        where={"StringEquals": {"my:k": "AB"}},
        answer="undecided",
        my__k="AB",
        my__v="b",
    ),
    "a variable in any case": case(
        allow(StringEqualsIgnoreCase={"my:k": "${my:v}"}, StringLike={"my:v": "a*"}),
        where={"StringEquals": {"my:k": "AB"}},
        answer="undecided",
        my__k="AB",
        my__v="ab",
    ),
    "a variable that is compared with another": case(
        allow(StringEquals={"my:v": "${my:w}", "my:k": "${my:v}"}),
        where={"StringEquals": {"my:k": "abc"}},
        answer="undecided",
        my__k="abc",
        my__v="abc",
        my__w="abc",
    ),
    "a variable with a colon": case(
        allow(),
        OUTSIDE,
        my__v="a:b",
    ),
    "a variable with a colon, and no resource": Case(
        (
            allow("iam:ListUsers"),
            OUTSIDE | {"Action": "iam:*"},
        ),
        Request("iam:ListUsers", "*", None, {"my:v": "a:b"}),
        Shape(["iam:ListUsers"]),
    ),
    "one character that neither of two keys is compared with": case(
        allow(
            StringEquals={"my:k": "${my:v}", "my:l": "${my:v}"},
            StringLike={"my:k": "?"},
            StringNotEquals={"my:k": "z", "my:l": "x"},
        ),
        my__k="q",
        my__l="q",
        my__v="q",
    ),
    "a text that does not begin with a variable, which another of its kind does": case(
        allow(StringLike={"my:k": "a*", "my:v": "a*"}, StringNotLike={"my:v": "*e*"}),
        deny(StringLike={"my:k": "${my:v}*"}),
        my__k="ac",
        my__v="ab",
    ),
    "a variable that is the type of a resource": Case(
        (allow(STOP, "arn:aws:ec2:*:*:${my:v}/i-1"),),
        Request(STOP, INSTANCE, None, {"my:v": "instance"}),
        Shape([STOP]),
    ),
    "a variable that is a field of the ARN, empty in this type's": Case(
        (allow(GET, "arn:aws:s3:${my:v}::b/x"),), Request(GET, OBJECT, None, {"my:v": ""})
    ),
    "a variable that is the region": Case(
        (allow(STOP, "arn:aws:ec2:${my:v}:*:instance/*"),),
        Request(STOP, INSTANCE, None, {"my:v": "us-east-1", "aws:RequestedRegion": "us-east-1"}),
        Shape([STOP], conditions={"StringEquals": {"aws:RequestedRegion": "us-east-1"}}),
        "undecided",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_request_breaks_is_not_proved(name: str) -> None:
    given = CASES[name]
    policy = {"Version": "2012-10-17", "Statement": list(given.statements)}
    assert compile_policies(identity=[policy]).decide(given.request).allowed

    verdict = never(Policies((load_policy(policy),)), given.shape)

    assert verdict.answer == given.answer, verdict


def test_more_actions_to_come_than_can_be_told_apart_are_assumed_away() -> None:
    others = [f"s3:*a{'?' * size}*" for size in range(9, 24)]
    statements = [allow("s3:*bcdefghijklm*"), deny() | {"Action": others, "Resource": "arn:x"}]
    policy = {"Version": "2012-10-17", "Statement": statements}
    shape = Shape(["s3:*mlkjihgfedcb*"])

    verdict = never(Policies((load_policy(policy),)), shape)

    assert verdict.answer == "holds"
    assert "listed" in {assumption.kind for assumption in verdict.assumptions}


def test_an_empty_text_beside_others_is_a_value() -> None:
    on_some = deny(**{"ForAllValues:StringNotEquals": {"aws:TagKeys": [""]}})
    request = Request(GET, "*", None, {"aws:TagKeys": ["b", ""]})
    one, other = (
        load_policy({"Version": "2012-10-17", "Statement": [allow(), each]})
        for each in (on_some, deny())
    )

    assert compile_policies([one]).decide(request).allowed
    assert not compile_policies([other]).decide(request).allowed
    assert within(Policies((one,)), Policies((other,))).answer == "broken"


def test_a_key_in_three_cases_of_letters_is_one() -> None:
    tagged = [{"StringEquals": {f"{each}/Team": "a"}} for each in KEY_CASES]
    statements = [allow("iam:ListUsers", **tagged[0]), allow(GET, **tagged[1])]
    policy = {"Version": "2012-10-17", "Statement": statements}

    verdict = never(Policies((load_policy(policy),)), Shape([GET], conditions=tagged[2]))

    assert verdict.answer == "broken"


def test_a_statement_without_principal_names_nobody_in_the_policy_of_a_resource() -> None:
    def of_resource(**principal: str) -> Policies:
        policy = {"Version": "2012-10-17", "Statement": [allow() | principal]}
        return Policies(resource=load_policy(policy))

    assert within(of_resource(Principal="*"), of_resource()).answer == "broken"
    assert within(of_resource(), of_resource(Principal="*")).answer == "holds"


def test_every_account_can_be_the_one_that_a_variable_stands_for() -> None:
    def of_resource(*statements: Json) -> Policies:
        listed = [statement | {"Principal": "*"} for statement in statements]
        return Policies(resource=load_policy({"Version": "2012-10-17", "Statement": listed}))

    own = allow(GET, "arn:aws:s3:::b-${aws:PrincipalAccount}/*")
    but_one = of_resource(own, deny("arn:aws:s3:::b-123456789012/*"))

    assert within(of_resource(own), but_one).answer == "undecided"


def test_a_resource_policy_that_names_nobody_repeats_no_shape():
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    nobody = load_policy({"Version": "2012-10-17", "Statement": [statement]})

    assert always(Policies(resource=nobody), Shape(["s3:GetObject"])).answer == "broken"


def test_who_calls_a_resource_is_asked_where_no_statement_names_a_caller():
    # A service's requests need not have aws:PrincipalArn, so the shape has some.
    owner = {"AWS": "arn:aws:iam::111122223333:root"}
    statement = {"Effect": "Allow", "Principal": owner, "Action": "s3:*", "Resource": "*"}
    policy = load_policy({"Version": "2012-10-17", "Statement": [statement]})
    unnamed = Shape(["iam:PassRole"], conditions={"Null": {"aws:PrincipalArn": "true"}})

    assert always(Policies(resource=policy), unnamed).answer == "broken"
