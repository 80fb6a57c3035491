"""Every cell is what the engine says of all the requests that the policies distinguish."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from cml_iam.who import Asker, Question, State
from tests.who.brute import (
    INSTANCE,
    NOW,
    account,
    allow,
    arn_of,
    deny,
    group,
    known,
    managed,
    outcomes,
    policy,
    role,
    user,
)

ACTION = "ec2:TerminateInstances"
TAGGED = {"aws:ResourceTag/ManagedBy": "cml-cloud-manager"}
OTHER = INSTANCE[:-1] + "2"

OWN: dict[str, Any] = {
    "everything": allow("*"),
    "the action": allow(ACTION),
    "another action": allow("ec2:StopInstances"),
    "all but IAM": {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
    "all but EC2": {"Effect": "Allow", "NotAction": ["ec2:*"], "Resource": "*"},
    "this instance": allow(ACTION, INSTANCE),
    "another instance": allow(ACTION, OTHER),
    "all but this instance": {"Effect": "Allow", "Action": ACTION, "NotResource": INSTANCE},
    "all but another instance": {"Effect": "Allow", "Action": ACTION, "NotResource": OTHER},
    "tagged instances": allow(ACTION, StringEquals=TAGGED),
    "instances without the tag": allow(ACTION, Null={"aws:ResourceTag/ManagedBy": "true"}),
    "its team's instances": allow(
        ACTION, StringEquals={"ec2:ResourceTag/team": "${aws:PrincipalTag/team}"}
    ),
    "other teams' instances": allow(
        ACTION, StringNotEquals={"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}
    ),
    "the team's instances, or lab": allow(
        ACTION, StringEquals={"aws:ResourceTag/team": "${aws:PrincipalTag/team, 'lab'}"}
    ),
    "its own instances": allow(ACTION, StringLike={"aws:ResourceTag/owner": "${aws:username}*"}),
    "with MFA": allow(ACTION, Bool={"aws:MultiFactorAuthPresent": "true"}),
    "without MFA where it is known": allow(
        ACTION, BoolIfExists={"aws:MultiFactorAuthPresent": "false"}
    ),
    "until 2020": allow(ACTION, DateLessThan={"aws:CurrentTime": "2020-01-01T00:00:00Z"}),
    "since 2020": allow(ACTION, DateGreaterThan={"aws:CurrentTime": "2020-01-01T00:00:00Z"}),
    "since 2020, by epoch": allow(ACTION, NumericGreaterThan={"aws:EpochTime": "1577836800"}),
    "in the region": allow(ACTION, StringEquals={"aws:RequestedRegion": ["us-east-1"]}),
    "in another region": allow(ACTION, StringEquals={"ec2:Region": "eu-west-1"}),
    "those tagged lab": allow(ACTION, StringEquals={"aws:PrincipalTag/team": "lab"}),
    "those without a tag": allow(ACTION, Null={"aws:PrincipalTag/team": "true"}),
    "users of a name": allow(ACTION, StringLike={"aws:username": "al*"}),
    "ARNs of a kind": allow(ACTION, ArnLike={"aws:PrincipalArn": "arn:aws:iam::*:role/*"}),
    "a contradiction": allow(
        ACTION,
        StringEquals=TAGGED,
        StringNotEquals={"ec2:ResourceTag/ManagedBy": "cml-cloud-manager"},
    ),
    "one of two tags": [
        allow(ACTION, StringEquals=TAGGED),
        allow(ACTION, StringEquals={"aws:ResourceTag/team": "lab"}),
    ],
    "a tag or none": [
        allow(ACTION, StringEquals=TAGGED),
        allow(ACTION, StringNotEquals=TAGGED),
    ],
    "everything but what is tagged": [allow("*"), deny("ec2:*", StringEquals=TAGGED)],
    "denied": [allow("*"), deny(ACTION)],
    "denied in the past": [
        allow("*"),
        deny(ACTION, DateLessThan={"aws:CurrentTime": "2021-01-01T00:00:00Z"}),
    ],
}

FULL = policy(allow("*"))
LIMITS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a boundary of S3": {"boundary": policy(allow("s3:*"))},
    "a boundary of EC2": {"boundary": policy(allow("ec2:*"))},
    "a boundary of tagged instances": {"boundary": policy(allow("ec2:*", StringEquals=TAGGED))},
    "a boundary of untagged instances": {
        "boundary": policy(allow("ec2:*", StringNotEquals=TAGGED))
    },
    "levels that allow all": {"scps": [[FULL], [FULL], [FULL]]},
    "a level without FullAWSAccess": {"scps": [[FULL], [policy(allow("s3:*"))], [FULL]]},
    "a level that lists EC2": {"scps": [[FULL], [policy(allow("ec2:*"))]]},
    "regions, this one among them": {
        "scps": [
            [
                FULL,
                policy(
                    {
                        "Effect": "Deny",
                        "NotAction": ["iam:*", "sts:*"],
                        "Resource": "*",
                        "Condition": {
                            "StringNotEquals": {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}
                        },
                    }
                ),
            ]
        ]
    },
    "other regions": {
        "scps": [[FULL, policy(deny("*", StringNotEquals={"aws:RequestedRegion": ["eu-west-1"]}))]]
    },
    "no principals of a name": {
        "scps": [
            [FULL, policy(deny("ec2:*", ArnLike={"aws:PrincipalArn": "arn:aws:iam::*:user/al*"}))]
        ]
    },
    "no principals of a team": {
        "scps": [
            [FULL],
            [FULL, policy(deny("ec2:*", StringEquals={"aws:PrincipalTag/team": "lab"}))],
        ]
    },
    "a boundary of a team beside levels": {
        "boundary": policy(
            allow("*"),
            deny(ACTION, StringNotEquals={"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}),
        ),
        "scps": [[FULL]],
    },
}

VALUES = {
    "aws:ResourceTag/ManagedBy": (None, "cml-cloud-manager", "else"),
    "aws:ResourceTag/team": (None, "lab", "web"),
    "aws:ResourceTag/owner": (None, "alice", "bob", ""),
    "aws:MultiFactorAuthPresent": (None, "true", "false"),
}
"""108 requests of each principal, in which every condition of these policies is met and is not."""

PRINCIPALS = ("alice", "bob", "work", "linked")


def _principal(name: str, own: Any, limit: dict[str, Any]) -> dict[str, Any]:
    statements = own if isinstance(own, list) else [own]
    more: dict[str, Any] = {"boundary": arn_of("b")} if "boundary" in limit else {}
    if name == "alice":
        return user(name, policy(*statements), tags={"team": "lab"}, **more)
    if name == "bob":
        return user(name, groups=["g"], **more)
    if name == "work":
        return role(name, policy(*statements), tags={"Team": "web"}, **more)
    path = "/aws-service-role/autoscaling.amazonaws.com/"
    return role(name, policy(*statements), path=path, **more)


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_cell_is_what_the_engine_says_of_every_distinguishable_request(
    own: str, limit: str
) -> None:
    limited = LIMITS[limit]
    statements = OWN[own] if isinstance(OWN[own], list) else [OWN[own]]
    made = [_principal(name, OWN[own], limited) for name in PRINCIPALS]
    of = account(
        [each for each in made if "UserName" in each],
        [each for each in made if "RoleName" in each],
        [group("g", policy(*statements))],
        [managed("b", limited["boundary"])] if "boundary" in limited else [],
        limited.get("scps"),
    )
    asker = Asker(of, NOW)
    question = Question(ACTION, INSTANCE)
    for member in of.members:
        cell = asker.cell(question, State(member))
        met = outcomes(of, member, ACTION, [INSTANCE], VALUES)
        right = "depends" if len(met) == 2 else "yes" if met == {True} else "no"
        assert cell.answer == right, (member.label, cell)
        assert (cell.example is None) is (right == "no")
        assert bool(cell.remains) is (right == "depends")
        for request, allowed in ((cell.example, True), (cell.refused, False)):
            if request is not None:
                context = {**request.context, **known(member)}
                full = {key: (value,) for key, value in context.items()}
                assert outcomes(of, member, ACTION, [INSTANCE], full) == {allowed}


def test_statements_of_service_control_policies_are_in_the_order_of_their_levels() -> None:
    tagged = policy(allow("*", StringEquals=TAGGED))
    of = account([user("alice", tagged)], scps=[[FULL, tagged], [FULL]])
    (alice,) = of.members

    cell = Asker(of, NOW).cell(Question(ACTION, INSTANCE), State(alice))
    levels = [origin.policy.partition(", ")[2] for origin in cell.by if origin.type == "scp"]
    assert levels == ["level 1, policy 1", "level 1, policy 2", "level 2, policy 1"]


def test_a_value_without_a_variable_is_left_as_written() -> None:
    unlike = {"s3:prefix": ["${aws:PrincipalTag/team}/*", "$x"]}
    of = account(
        [user("alice", policy(allow("s3:ListBucket", StringNotLike=unlike)), tags={"team": "lab"})]
    )
    (alice,) = of.members

    cell = Asker(of, NOW).cell(Question("s3:ListBucket"), State(alice))
    assert cell.remains == ("only if s3:prefix not like lab/*, $x",)


def test_the_cases_are_more_than_three_hundred_and_each_has_a_hundred_requests() -> None:
    assert len(OWN) * len(LIMITS) * len(PRINCIPALS) > 300
    assert len(list(product(*VALUES.values()))) >= 100
