"""Every witness is a request that AWS can send: no answer rests on one that cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from cml_iam.engine import Request
from cml_iam.facts import is_unknown_key
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, differences, never, within

ACCOUNT = "111122223333"
PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
REGION = re.compile(r"[a-z]+(-[a-z]+)+-[0-9]")
PRINCIPAL = re.compile(
    r"arn:[^:]+:(iam|sts)::([0-9]{12}):(root|(user|role|federated-user)/.+)", re.DOTALL
)
INSTANCE = "arn:*:ec2:*:*:instance/*"


def attached(*statements: dict[str, Any], partition: str = "") -> Policies:
    document = load_policy({"Version": "2012-10-17", "Statement": list(statements)})
    return Policies((document,), partition=partition)


def allow(action: Any, resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    made = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**made, "Condition": conditions} if conditions else made


def deny(action: Any, resource: Any = "*", **conditions: Any) -> dict[str, Any]:
    return {**allow(action, resource, **conditions), "Effect": "Deny"}


# -- what no request can be, by the fact that says so

UNSENT = {
    "a negative age of MFA": (
        allow("s3:GetObject", NumericLessThan={"aws:MultiFactorAuthAge": "0"}),
    ),
    "a principal's ARN of one account and the id of another": (
        allow(
            "s3:GetObject",
            ArnLike={"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"},
            StringNotEquals={"aws:PrincipalAccount": ACCOUNT},
            Null={"aws:PrincipalAccount": "false"},
        ),
    ),
    "IAM in another region than its endpoint's": (
        allow("iam:CreateUser", StringEquals={"aws:RequestedRegion": "eu-west-1"}),
    ),
    "an instance launched without a type": (
        allow("ec2:RunInstances", INSTANCE, Null={"ec2:InstanceType": "true"}),
    ),
    "a misspelt policy variable with a value": (
        allow("s3:GetObject", "arn:aws:s3:::home/${aws:usernam}/*"),
    ),
    "a misspelt condition key": (allow("s3:GetObject", StringLike={"aws:SourceIpp": "*"}),),
    "a name that only begins like a region's": (
        allow("s3:GetObject", StringLike={"aws:RequestedRegion": "us-east-1?*"}),
    ),
    "a region of another partition than the resource": (
        allow(
            "ec2:StopInstances",
            "arn:aws:ec2:*:*:instance/*",
            StringLike={"aws:RequestedRegion": "cn-*"},
        ),
    ),
    "a partition that does not exist": (
        allow("s3:GetObject", "arn:*:s3:*:*:*"),
        *(deny("s3:GetObject", f"arn:{each}:*") for each in PARTITIONS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSENT)
def test_what_cannot_be_sent_is_no_witness(name: str) -> None:
    verdict = never(attached(*UNSENT[name]), Shape())

    assert verdict.holds, verdict
    assert verdict.assumptions


def test_an_age_of_mfa_may_be_none_at_all() -> None:
    fresh = allow("s3:GetObject", NumericLessThan={"aws:MultiFactorAuthAge": "0.5"})

    verdict = never(attached(fresh), Shape())

    assert verdict.answer == "broken"
    assert float(verdict.witness.request.context["aws:MultiFactorAuthAge"]) >= 0


@pytest.mark.parametrize("partition", PARTITIONS)
def test_resources_of_every_partition_are_asked_about_alike(partition: str) -> None:
    elsewhere = (f"arn:{each}:ec2:*:*:instance/*" for each in PARTITIONS if each != partition)
    policies = attached(allow("ec2:StopInstances"), *(deny("*", each) for each in elsewhere))

    found = never(policies, Shape(("ec2:StopInstances",)))

    assert found.witness.request.resource.split(":")[1] == partition


def test_the_account_is_in_one_partition_where_it_is_known() -> None:
    gov = "arn:aws-us-gov:ec2:*:*:instance/*"
    wide, narrow = allow("ec2:StopInstances", INSTANCE), allow("ec2:StopInstances", gov)

    assert within(attached(wide), attached(narrow)).answer == "broken"
    here = within(attached(wide, partition="aws-us-gov"), attached(narrow, partition="aws-us-gov"))
    assert here.holds
    assert "the account is in the partition aws-us-gov, which reaches no other" in [
        assumption.text for assumption in here.assumptions
    ]


def test_a_region_of_another_partition_is_none_of_the_account() -> None:
    wide = allow(
        "ec2:StopInstances", StringEquals={"aws:RequestedRegion": ["us-east-1", "cn-north-1"]}
    )
    here = Shape(conditions={"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}})

    assert never(attached(wide), here).answer == "broken"
    assert never(attached(wide, partition="aws"), here).holds


# -- random questions

TEXTS: Mapping[str, tuple[str, ...]] = {
    "aws:RequestedRegion": ("us-east-1", "us-*", "us-east-1*", "cn-*", "us-gov-west-1"),
    "aws:PrincipalAccount": (ACCOUNT, "1111*", "4*"),
    "aws:PrincipalArn": (
        f"arn:aws:iam::{ACCOUNT}:role/a", "arn:aws:iam::*:role/a*", f"arn:*:iam::{ACCOUNT}:*",
        "arn:aws-cn:iam::*:user/b",
    ),
    "aws:username": ("a", "a*"),
    "ec2:InstanceType": ("m5.large", "m5.*"),
    "aws:ResourceTag/Team": ("a", "b*"),
}  # fmt: skip
NUMBERS = {"aws:MultiFactorAuthAge": ("0", "60", "3600"), "s3:max-keys": ("0", "10")}
ACTIONS = (
    "ec2:RunInstances", "ec2:StopInstances", "iam:CreateUser", "iam:PassRole", "s3:GetObject",
    "ec2:*", "iam:*", "*",
)  # fmt: skip
RESOURCES = (
    "*", "arn:aws:ec2:*:*:instance/*", f"arn:aws:ec2:us-east-1*:{ACCOUNT}:instance/i-*",
    "arn:aws-cn:ec2:cn-north-1:*:*", f"arn:*:iam::{ACCOUNT}:user/${{aws:username}}",
    "arn:aws:s3:::home/${aws:usernam}/*", "arn:aws*:s3:::*",
)  # fmt: skip


def condition(random: Random) -> tuple[str, str, list[str]]:
    kind = random.random()
    if kind < 0.15:
        key = random.choice([*TEXTS, *NUMBERS])
        return "Null", key, [random.choice(("true", "false"))]
    if kind < 0.3:
        key = random.choice(list(NUMBERS))
        name = random.choice(("NumericLessThan", "NumericGreaterThanEquals", "NumericNotEquals"))
        return name, key, [random.choice(NUMBERS[key])]
    key = random.choice(list(TEXTS))
    name = random.choice(("StringLike", "StringNotLike", "StringLikeIfExists"))
    return name, key, random.sample(TEXTS[key], random.choice((1, 1, 2)))


def statement(random: Random) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Effect": random.choice(("Allow", "Allow", "Deny")),
        "Action": random.choice(ACTIONS),
        random.choice(("Resource", "Resource", "NotResource")): random.choice(RESOURCES),
    }
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        operator, key, values = condition(random)
        made.setdefault("Condition", {}).setdefault(operator, {})[key] = values
    return made


def witnesses(number: int) -> Iterator[tuple[Request, list[dict[str, Any]], str]]:
    random = Random(f"sent/{number}")  # noqa: S311 - repeatable
    partition = random.choice(("", "", *PARTITIONS))
    said = [[statement(random) for _ in range(random.choice((1, 2, 3)))] for _ in range(2)]
    one, other = (attached(*each, partition=partition) for each in said)
    every = [*said[0], *said[1]]
    kind = random.randrange(3)
    if kind == 0:
        found = [within(one, other).witness]
    elif kind == 1:
        operator, key, values = condition(random)
        every = said[0]
        found = [never(one, Shape(conditions={operator: {key: values}})).witness]
    else:
        yield from (
            (difference.witness, every, partition)
            for difference in differences(one, other).differences
        )
        return
    yield from ((each.request, every, partition) for each in found if each)


def impossible(request: Request, said: list[dict[str, Any]], partition: str) -> Iterator[str]:
    """Yield why AWS never sends *request*, if it does not."""
    context = {key.lower(): value for key, value in request.context.items()}
    service, _, name = request.action.partition(":")
    fields = request.resource.split(":", 5) if request.resource != "*" else ["arn", *[""] * 5]
    region = context.get("aws:requestedregion")
    regions = [each for each in (region, fields[3]) if each]
    own = [partition] if partition else PARTITIONS
    yield from (f"no region {each}" for each in regions if not REGION.fullmatch(each))
    if fields[1] and fields[1] not in own:
        yield f"partition {fields[1]}"
    if fields[1] and any(home(each) != fields[1] for each in regions):
        yield f"{regions} in {fields[1]}"
    if partition and any(home(each) != partition for each in regions):
        yield f"{regions} from {partition}"
    if service == fields[2] == "ec2" and fields[3] and region and fields[3] != region:
        yield f"{fields[3]} is not {region}"
    ends = {"us-east-1", "cn-north-1", "us-gov-west-1"}
    if service == "iam" and name != "PassRole" and region and region not in ends:
        yield f"IAM in {region}"
    launching = [each for each in said if each["Action"] in {"*", "ec2:*", "ec2:RunInstances"}]
    if name == "RunInstances" and fields[5].startswith("instance/"):
        missing = "ec2:InstanceType" in str(launching) and "ec2:instancetype" not in context
        yield from ("no instance type",) if missing else ()
    yield from (f"key {each}" for each in context if is_unknown_key(each))
    yield from impossible_principal(context)


def impossible_principal(context: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the keys about the principal do not go together."""
    if float(context.get("aws:multifactorauthage", 0)) < 0:
        yield "MFA in the future"
    arn, account = context.get("aws:principalarn"), context.get("aws:principalaccount")
    match = PRINCIPAL.fullmatch(arn or "")
    if arn and not match:
        yield f"principal {arn}"
    if account and not re.fullmatch("[0-9]{12}", account):
        yield f"account {account}"
    if match and account and match[2] != account:
        yield f"{arn} of {account}"


def home(region: str) -> str:
    prefixes = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    return next((value for key, value in prefixes.items() if region.startswith(key)), "aws")


@pytest.mark.parametrize("start", range(0, 1000, 250))
def test_the_witnesses_of_a_thousand_random_questions_can_be_sent(start: int) -> None:
    count, wrong = 0, []
    for number in range(start, start + 250):
        for request, said, partition in witnesses(number):
            count += 1
            wrong += [(number, why, request) for why in impossible(request, said, partition)]

    assert wrong == []
    assert count > 100
