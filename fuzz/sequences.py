"""Follow sequences of calls by brute force, and compare with what is proved of them.

    python fuzz/sequences.py [COUNT] [SEED]

Random policies about CreateTags, DeleteTags and two operations; instances of a few regions,
accounts and types, each with every choice of two tags; every call that sets or removes some of
them, for two users. The engine decides each. What can be reached so must not have been said to
hold, and calls that are said to lead somewhere must, one after the other. Exits 1 on a fault.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

from attack import attack
from shapes import has_key

from cml_iam.engine import Authorizer, Request, compile_policies
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, lost, taken_over
from cml_iam.prove._question import statement_of
from cml_iam.site import Tag

Json = dict[str, Any]
Tags = tuple[str | None, ...]

TAG = Tag("ManagedBy", "cml")
TAGS = ("ManagedBy", "Team")
VALUES: tuple[str | None, ...] = (None, "cml", "a", "5")
CREATE, DELETE = "ec2:CreateTags", "ec2:DeleteTags"
OPERATIONS = ("ec2:TerminateInstances", "ec2:StopInstances")
INSTANCES = "arn:aws:ec2:*:*:instance/*"
ARNS = tuple(
    f"arn:aws:ec2:{region}:{account}:instance/{name}"
    for region in ("us-east-1", "eu-west-3", "me-south-1")
    for account, name in (("111122223333", "i-1"), ("444455556666", "i-2"))
)
USERS = ("a", "b")
TYPES = ("m5.large", "c5.large")
RESOURCES = [
    "*", "*", "*", INSTANCES, "arn:aws:ec2:us-east-1:*:instance/*", "arn:aws:ec2:eu-*",
    "arn:aws:ec2",
    "arn:aws:ec2:eu-west-3:111122223333:*", "arn:aws:ec2:me-south-1",
    "arn:aws:ec2:*:*:instance/i-1",
    "arn:aws:ec2:*:4*:instance/*", "arn:aws:ec2:eu-west-3", "arn:aws:ec2:us-east-1",
]  # fmt: skip
KEYS = {
    "aws:ResourceTag/ManagedBy": ["cml", "a", "5", "c*", "*", "CML"],
    "ec2:ResourceTag/ManagedBy": ["cml", "a", "", "?"],
    "aws:ResourceTag/Team": ["a", "5", "c*"],
    "EC2:ResourceTag/team": ["cml", "a"],
    "aws:RequestTag/ManagedBy": ["cml", "a", "${aws:ResourceTag/Team}"],
    "aws:RequestTag/Team": ["a", "cml", "${aws:username}"],
    "aws:TagKeys": ["ManagedBy", "Team", "managedby", "T*"],
    "aws:RequestedRegion": ["us-east-1", "eu-*", "EU-WEST-3"],
    "ec2:Region": ["us-east-1", "me-south-1"],
    "aws:username": ["a", "b", "${aws:ResourceTag/Team}"],
    "ec2:InstanceType": ["m5.large", "m5.*"],
    "ec2:CreateAction": ["RunInstances", "*"],
}
OPERATORS = [
    "StringEquals", "StringNotEquals", "StringLike", "StringNotLike", "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase", "StringEqualsIfExists",
]  # fmt: skip


def condition(random: Random) -> tuple[str, str, list[str]]:
    """Return a random condition: operator, key, values."""
    key = random.choice(list(KEYS))
    if random.random() < 0.15:
        return "Null", key, [random.choice(["true", "false"])]
    values = random.sample(KEYS[key], random.randint(1, 2))
    if "Tag/" in key and random.random() < 0.06:
        return random.choice(["NumericLessThan", "NumericEquals"]), key, ["6"]
    operator = random.choice(OPERATORS)
    if key == "aws:TagKeys" and random.random() < 0.9:
        operator = random.choice(["ForAllValues:", "ForAnyValue:"]) + operator
    return operator, key, values


def statement(random: Random, actions: list[str]) -> Json:
    """Return a random statement about some of *actions*."""
    made: Json = {"Effect": "Allow", "Action": actions}
    named = random.sample(RESOURCES, random.choice([1, 1, 2]))
    made["Resource" if random.random() < 0.93 else "NotResource"] = named
    block: Json = {}
    for _ in range(random.choice([0, 1, 1, 2, 2])):
        operator, key, values = condition(random)
        block.setdefault(operator, {})[key] = values
    return made | ({"Condition": block} if block else {})


def policy(random: Random) -> Json:
    """Return a policy that lets tags be changed and, most often, only workers be operated."""
    operated = statement(random, list(OPERATIONS))
    if random.random() < 0.75:
        own = {"aws:ResourceTag/ManagedBy": ["cml"]}
        operated.setdefault("Condition", {}).setdefault("StringEquals", {}).update(own)
    tagging = [[CREATE], [CREATE], [DELETE], ["ec2:*Tags"]]
    others = (statement(random, random.choice(tagging)) for _ in range(random.choice([1, 1, 2, 3])))
    made = [operated, *others]
    if random.random() < 0.4:
        denied = statement(random, random.choice([[CREATE], [DELETE], ["ec2:*"], [OPERATIONS[0]]]))
        made.append(denied | {"Effect": "Deny"})
    return {"Version": "2012-10-17", "Statement": made}


def goal(random: Random) -> Shape:
    """Return the operations that are asked about."""
    conditions: Json = {}
    if random.random() < 0.15:
        operator, key, values = condition(random)
        if operator != "Null" or "Tag/" not in key:
            conditions = {operator: {key: values}}
    resources = random.choice([[INSTANCES], [INSTANCES], ["arn:aws:ec2:eu-west-3:*:instance/*"]])
    return Shape(OPERATIONS[: random.choice([1, 2])], resources, conditions)


# -- what can be done


@dataclass(frozen=True)
class World:
    """An instance and a caller: what no call changes."""

    arn: str
    user: str
    type: str

    def request(self, action: str, tags: Tags, more: Mapping[str, Any]) -> Request:
        """Return a call about the instance while it has *tags*."""
        region = self.arn.split(":")[3]
        context: Json = {"aws:RequestedRegion": region, "ec2:Region": region, **more}
        context["aws:username"] = self.user
        if has_key("ec2:instancetype", action, self.arn):
            context["ec2:InstanceType"] = self.type
        for key, value in zip(TAGS, tags, strict=True):
            if value is not None:
                context[f"aws:ResourceTag/{key}"] = context[f"ec2:ResourceTag/{key}"] = value
        return Request(action, self.arn, None, context)


def calls(tags: Tags) -> Iterator[tuple[str, Json, Tags]]:
    """Yield the calls that change *tags*: action, context, and the tags then."""
    for chosen in product((*VALUES, ...), repeat=len(TAGS)):
        if None in chosen or all(each is ... for each in chosen):
            continue
        pairs = [(k, v) for k, v in zip(TAGS, chosen, strict=True) if v is not ...]
        more: Json = {f"aws:RequestTag/{key}": value for key, value in pairs}
        more["aws:TagKeys"] = [key for key, _ in pairs]
        after = tuple(old if v is ... else v for old, v in zip(tags, chosen, strict=True))
        yield CREATE, more, after
    for kept in product((True, False), repeat=len(TAGS)):
        named = [key for key, keep in zip(TAGS, kept, strict=True) if not keep]
        if named:
            after = tuple(old if keep else None for old, keep in zip(tags, kept, strict=True))
            yield DELETE, {"aws:TagKeys": named}, after
    yield DELETE, {}, (None,) * len(TAGS)


def worlds() -> Iterator[World]:
    """Yield every instance with every caller."""
    for arn, user, kind in product(ARNS, USERS, TYPES):
        yield World(arn, user, kind)


def taken(authorizer: Authorizer, asked: Authorizer, operate: Shape) -> list[Request] | None:
    """Return calls that end in one of *operate* on what was no worker, if there are some."""
    for world in worlds():
        ways = {
            state: list[Request]()
            for state in product(VALUES, repeat=len(TAGS))
            if state[0] != TAG.value
        }
        pending = list(ways)
        for state in pending:
            for action in operate.actions:
                last = world.request(action, state, {})
                if asked.decide(last).allowed and authorizer.decide(last).allowed:
                    return [*ways[state], last]
            for action, more, after in calls(state):
                if after not in ways:
                    call = world.request(action, state, more)
                    if authorizer.decide(call).allowed:
                        ways[after] = [*ways[state], call]
                        pending.append(after)
    return None


def loses(authorizer: Authorizer) -> Request | None:
    """Return a call after which a worker is none, if there is one."""
    for world in worlds():
        for team in VALUES:
            state = (TAG.value, team)
            for action, more, after in calls(state):
                call = world.request(action, state, more)
                if after[0] != TAG.value and authorizer.decide(call).allowed:
                    return call
    return None


# -- judging


def kept(requests: list[Request]) -> Json:
    """Return the tags of the instance that *requests* speak of and that none of them changes."""
    said = [(key.lower(), value) for request in requests for key, value in request.context.items()]
    sent = {key.partition("/")[2] for key, _ in said if key.startswith("aws:requesttag/")}
    return {
        key: value
        for key, value in reversed(said)
        if key.startswith("aws:resourcetag/") and key.partition("/")[2] not in sent
    }


def unlike(authorizer: Authorizer, asked: Authorizer, requests: list[Request]) -> str:
    """Say what is wrong with calls that are said to take an instance over; empty if nothing is."""
    tags: Json | None = None
    for number, each in enumerate(requests):
        context = {key.lower(): value for key, value in each.context.items()}
        own = {k: v for k, v in context.items() if k.startswith("aws:resourcetag/")}
        if tags is None:
            # A call says nothing of a tag that it does not depend on; a later one may.
            tags = kept(requests) | own
            if tags.get("aws:resourcetag/managedby") == TAG.value:
                return "it begins with a worker"
        twins = {key.replace("aws:", "ec2:", 1): value for key, value in tags.items()}
        rest = {k: v for k, v in context.items() if ":resourcetag/" not in k}
        call = each._replace(context={**rest, **tags, **twins})
        if each.resource != requests[0].resource or not authorizer.decide(call).allowed:
            return f"call {number + 1} is not allowed then: {call}"
        if number == len(requests) - 1:
            return "" if asked.decide(call).allowed else f"it is not asked about: {call}"
        if each.action == CREATE:
            sent = {k: v for k, v in context.items() if k.startswith("aws:requesttag/")}
            tags = tags | {k.replace("request", "resource", 1): v for k, v in sent.items()}
        elif "aws:tagkeys" in context:
            gone = {f"aws:resourcetag/{key.lower()}" for key in context["aws:tagkeys"]}
            tags = {key: value for key, value in tags.items() if key not in gone}
        else:
            tags = {}
    return "no call"


def judge(random: Random) -> tuple[tuple[str, str], str]:
    """Ask both questions of one policy; return the answers and what is wrong with them."""
    document, operate = policy(random), goal(random)
    policies, authorizer = Policies((load_policy(document),)), compile_policies([document])
    shape = load_policy(document)
    asked = compile_policies(
        [type(shape)((statement_of(operate),), shape.version, name="asked about")]
    )
    told = f"{operate} {json.dumps(document)}"
    reached = taken_over(policies, TAG, operate)
    fault = ""
    if reached.answer == "broken":
        wrong = unlike(authorizer, asked, [each.request for each in reached.calls])
        fault = f"no sequence, {wrong}: {told}" if wrong else ""
    elif reached.answer == "holds":
        found = taken(authorizer, asked, operate)
        fault = f"refuted by {found}: {told}" if found else ""
    gone = lost(policies, TAG, [INSTANCES])
    answers = f"taken over: {reached.answer}", f"lost: {gone.answer}"
    if fault:
        return answers, fault
    if gone.answer == "broken" and not authorizer.decide(gone.calls[0].request).allowed:
        return answers, f"not allowed: {gone.calls} {told}"
    call = loses(authorizer) if gone.answer == "holds" else None
    return answers, f"the tag is lost by {call}: {told}" if call else ""


def main(count: int = 1000, seed: int = 1) -> int:
    """Judge *count* policies; return 1 if anything was wrong."""
    return attack(judge, count, seed, "policies")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
