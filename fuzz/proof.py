"""Prove random pairs of policies, and try to prove the proofs wrong.

    python fuzz/proof.py [PAIRS] [SEED] [DRAWS]

Every witness is decided again by engines compiled here; every `holds` must survive DRAWS requests
made of the values both policies name, their neighbours and mutations, within the assumptions the
verdict lists. Nothing of the proof's own classes is used for drawing. Exits 1 on a fault.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from attack import attack
from sent import REGION, is_sent

from cml_iam.engine import Request, compile_policies
from cml_iam.facts import service
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Verdict, within

Json = dict[str, Any]
STRINGS = ["", "a", "A", "ab", "aB", "b", "abc", "prod", "Prod", "a*", "x"]
PATTERNS = ["*", "?*", "a*", "*b", "a?", "?b", "*a*", "a*c", "", "ab", "A*", "??", "prod-*", "a**b"]
KEYS: dict[str, tuple[str, list[str]]] = {
    "aws:RequestedRegion": ("text", ["us-east-1", "us-west-2", "eu-*", "us-*", "us-east-?"]),
    "aws:username": ("text", STRINGS),
    "my:label": ("text", STRINGS),
    "ec2:InstanceType": ("text", ["m5.large", "m5.*", "c5.?xlarge", "M5.large"]),
    "aws:ResourceTag/Team": ("text", STRINGS),
    "aws:RequestTag/Team": ("text", STRINGS),
    "aws:PrincipalArn": (
        "arn",
        [
            "arn:aws:iam::111122223333:role/a",
            "arn:aws:iam::*:role/a*",
            "arn:aws:iam::111122223333:*",
            "arn:*:iam::1?1122223333:user/b",
            "arn:aws*:iam::*:root",
            "arn:aws:sts::111122223333:*",
        ],
    ),
    "aws:SourceIp": (
        "ip",
        ["10.0.0.0/8", "10.1.0.0/16", "10.0.0.1", "0.0.0.0/0", "2001:db8::/32", "10.0.0.0/31"],
    ),
    "s3:max-keys": ("number", ["0", "1", "10", "10.0", "11", "-1", "10.5", "100"]),
    "aws:CurrentTime": (
        "date",
        ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-06-01", "1767225600"],
    ),
    "aws:SecureTransport": ("bool", ["true", "false", "True"]),
    "aws:TagKeys": ("list", ["Team", "team", "Owner", "cost-*", "*", ""]),
}
OPERATORS = {
    "text": [
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLike",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
    ],
    "arn": ["ArnLike", "ArnNotLike", "ArnEquals", "StringLike", "StringEquals"],
    "ip": ["IpAddress", "NotIpAddress"],
    "number": [
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThan",
        "NumericLessThanEquals",
        "NumericGreaterThan",
        "NumericGreaterThanEquals",
    ],
    "date": [
        "DateEquals",
        "DateNotEquals",
        "DateLessThan",
        "DateLessThanEquals",
        "DateGreaterThan",
        "DateGreaterThanEquals",
    ],
    "bool": ["Bool"],
    "list": ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike",
             "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"],
}  # fmt: skip
ACTIONS = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListBucket",
    "s3:Get*",
    "s3:*",
    "*",
    "ec2:TerminateInstances",
    "ec2:RunInstances",
    "ec2:Describe*",
    "ec2:DescribeInstances",
    "ec2:CreateTags",
    "S3:getobject",
    "my:Thing",
]
RESOURCES = [
    "*",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b/a*",
    "arn:aws:s3:::*",
    "arn:aws:s3:::?/a",
    "arn:*:s3:::b/*",
    "arn:aws:ec2:us-east-1:111122223333:instance/*",
    "arn:aws:ec2:*:111122223333:instance/i-1",
    "arn:aws:ec2:*:*:*/*",
    "arn:aws:ec2:us-*:*:instance/*",
    "arn:aws:ec2:us-east-1::image/ami-1",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${aws:username}",
]
PRINCIPALS: list[Any] = [
    "*",
    {"AWS": "*"},
    {"AWS": "111122223333"},
    {"AWS": "arn:aws:iam::111122223333:root"},
    {"AWS": "arn:aws:iam::111122223333:user/b"},
    {"AWS": "arn:aws-cn:iam::111122223333:root"},
    {"AWS": "arn:aws:sts::111122223333:assumed-role/a/s"},
    {"AWS": ["arn:aws:iam::111122223333:role/a", "444455556666"]},
    {"Service": "ec2.amazonaws.com"},
]
CALLERS = [
    None,
    "arn:aws:iam::111122223333:user/b",
    "arn:aws:iam::111122223333:user/c",
    "arn:aws:iam::111122223333:root",
    "arn:aws:iam::111122223333:role/a",
    "arn:aws:sts::111122223333:assumed-role/a/s",
    "arn:aws:sts::111122223333:assumed-role/a/t",
    "arn:aws:sts::111122223333:federated-user/b",
    "arn:aws-cn:iam::111122223333:user/b",
    "arn:aws:iam::121122223333:user/b",
    "arn:aws:iam::121122223333:root",
    "arn:aws:iam::444455556666:user/b",
    "arn:aws:iam::777777777777:role/a",
    "ec2.amazonaws.com",
    "s3.amazonaws.com",
]


# -- random policies


def some(random: Random, items: list[Any], most: int = 3) -> list[Any]:
    """Return up to *most* of *items*."""
    return random.sample(items, random.randint(1, min(most, len(items))))


def condition(random: Random) -> tuple[str, str, list[str]]:
    """Return a random condition: operator, key, values."""
    key = random.choice(list(KEYS))
    kind, values = KEYS[key]
    if random.random() < 0.12:
        return "Null", key, [random.choice(["true", "false"])]
    operator = random.choice(OPERATORS[kind])
    if random.random() < 0.15:
        operator += "IfExists"
    if (kind == "list" and random.random() < 0.85) or random.random() < 0.05:
        operator = random.choice(["ForAllValues:", "ForAnyValue:"]) + operator
    chosen = some(random, values + (PATTERNS if kind == "text" and "Like" in operator else []))
    if kind == "text" and random.random() < 0.06:
        chosen[0] = random.choice(["${aws:username}", "x/${aws:username}", "${aws:username}*"])
    return operator, key, chosen


def statement(random: Random, *, principals: bool) -> Json:
    """Return a random statement."""
    made: Json = {"Effect": "Allow" if random.random() < 0.72 else "Deny"}
    if principals:
        name = "Principal" if random.random() < 0.9 else "NotPrincipal"
        made[name] = random.choice(PRINCIPALS[2:] if name == "NotPrincipal" else PRINCIPALS)
    made["Action" if random.random() < 0.9 else "NotAction"] = some(random, ACTIONS, 2)
    made["Resource" if random.random() < 0.9 else "NotResource"] = some(random, RESOURCES, 2)
    conditions: Json = {}
    for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
        operator, key, values = condition(random)
        conditions.setdefault(operator, {})[key] = values
    if conditions:
        made["Condition"] = conditions
    return made


def policy(random: Random, *, principals: bool) -> Json:
    """Return a random policy."""
    count = random.choice([1, 1, 2, 2, 3, 4])
    version = "2012-10-17" if random.random() < 0.95 else "2008-10-17"
    return {
        "Version": version,
        "Statement": [statement(random, principals=principals) for _ in range(count)],
    }


def mutant(random: Random, document: Json, *, principals: bool) -> Json:
    """Return *document* with a few random changes."""
    made = deepcopy(document)
    for _ in range(random.choice([0, 1, 1, 1, 2])):
        _mutate(random, made["Statement"], principals=principals)
    random.shuffle(made["Statement"])
    return made


def _mutate(random: Random, statements: list[Json], *, principals: bool) -> None:
    target = random.choice(statements)
    what = random.randrange(8)
    conditions = target.get("Condition", {})
    if what == 0:
        statements.append(statement(random, principals=principals))
    elif what == 1 and len(statements) > 1:
        statements.remove(target)
    elif what == 2:
        target["Effect"] = "Deny" if target["Effect"] == "Allow" else "Allow"
    elif what == 3:
        name = "Resource" if "Resource" in target else "NotResource"
        target[name] = some(random, RESOURCES, 2)
    elif what == 4:
        name = "Action" if "Action" in target else "NotAction"
        target[name] = some(random, ACTIONS, 2)
    elif what == 5 and conditions:
        _change_a_value(random, conditions[random.choice(list(conditions))])
    elif what == 6:
        operator, key, values = condition(random)
        target.setdefault("Condition", {}).setdefault(operator, {})[key] = values
    elif conditions:
        del conditions[random.choice(list(conditions))]


def _change_a_value(random: Random, block: Json) -> None:
    key = random.choice(list(block))
    values = block[key]
    if len(values) > 1:
        values.pop(random.randrange(len(values)))
    elif values[0] not in {"true", "false"}:
        values.append(random.choice(KEYS[key][1]))


# -- random requests


class Drawer:
    """Draws requests from what two policies name, within the assumptions of a verdict."""

    def __init__(self, random: Random, policies: Iterable[Json], verdict: Verdict) -> None:
        self.random = random
        self.texts: dict[str, list[Any]] = {}
        self.actions: list[str] = ["s3:GetObject", "ec2:StopInstances", "iam:PassRole"]
        self.resources: list[str] = ["*"]
        self.callers: list[str | None] = [None]
        self.principals = False
        self.assumed: dict[str, set[str]] = {}
        self.facts = verdict.assumptions
        for assumption in verdict.assumptions:
            self.assumed.setdefault(assumption.kind, set()).add(assumption.about.lower())
        self.made: set[str] = set()
        for each in policies:
            for said in each["Statement"]:
                self._gather(said)
        for key in [k for k in ("aws:username",) if k in json.dumps(list(policies))]:
            self.texts.setdefault(key, ["a", "", "ab", "a/b", "fresh"])
        self.pools = {key: self._pool(key, values) for key, values in self.texts.items()}
        self.typed = "resource" in self.assumed
        self.arns = list(
            dict.fromkeys(t for resource in self.resources for t in self._arns(resource))
        )
        self.names = list(dict.fromkeys(t for action in self.actions for t in self._names(action)))

    def _gather(self, said: Json) -> None:
        self.actions += said.get("Action", said.get("NotAction"))
        self.resources += said.get("Resource", said.get("NotResource"))
        if "Principal" in said or "NotPrincipal" in said:
            self.callers, self.principals = self._at_home(CALLERS), True
        for operator, block in said.get("Condition", {}).items():
            for key, values in block.items():
                self.texts.setdefault(key, []).extend([] if operator == "Null" else values)

    def _at_home(self, callers: list[str | None]) -> list[str | None]:
        """Return *callers* but those whose account is assumed to be in another partition."""
        homes = {
            (each.split(":")[4], each.split(":")[1]) for each in self.assumed.get("partition", ())
        }
        accounts = {account for account, _ in homes}
        found: list[str | None] = []
        for caller in callers:
            fields = (caller or "").split(":")
            if len(fields) < 6 or fields[4] not in accounts or (fields[4], fields[1]) in homes:
                found.append(caller)
        return found

    def _pool(self, key: str, values: list[Any]) -> list[Any]:
        kind = KEYS.get(key, ("text", []))[0]
        found = {text for value in values for text in NEIGHBOURS[kind](str(value), self.random)}
        return sorted(found | {"", "zz"})

    def _names(self, pattern: str) -> list[str]:
        if "*" not in pattern:
            return [pattern]
        prefix, _, name = pattern.partition(":")
        owner = service(prefix) if name else None
        known = [each.full for each in owner.matching(name)] if owner else []
        return self.random.sample(known, min(8, len(known)))

    def _arns(self, pattern: str) -> list[str]:
        if pattern == "*":
            return ["*", "arn:aws:s3:::other/thing", "arn:aws:s3:::c",
                    "arn:aws:ec2:eu-west-1:999999999999:volume/vol-1"]  # fmt: skip
        users = ["a", "", "ab", "fresh", "a/b", "*"]
        found = []
        for _ in range(12):
            text = pattern.replace("${aws:username}", self.random.choice(users))
            found.append(fill(text, self.random, inside=True))
        return [*found, *(each.swapcase() for each in found[:1])]

    def requests(self, count: int) -> Iterator[Request]:
        """Yield about *count* requests: contexts, each with many actions and resources."""
        random = self.random
        width = max(1, count // 30)
        contexts = [made for _ in range(width) if (made := self._context()) is not None]
        places = [(random.choice(self.names), random.choice(self.arns)) for _ in range(60)]
        if self.typed:
            places = [place for place in places if is_typed(*place)]
        tied = "region" in self.assumed
        for action, resource in places[:30]:
            region = resource.split(":")[3] if tied and resource.startswith("arn:") else ""
            for caller, context in contexts:
                own = context
                if region and "aws:RequestedRegion" in self.pools:
                    own = context | {"aws:RequestedRegion": region, "ec2:Region": region}
                request = Request(action, resource, caller, self._named(own, action))
                if is_sent(request, self.facts):
                    yield request

    def _named(self, context: Json, action: str) -> Json:
        """Leave out EC2's names of keys where they are assumed to be in no other requests."""
        if action.startswith("ec2:"):
            return context
        others = {
            each.replace("aws:requestedregion", "ec2:region").replace("aws:res", "ec2:res")
            for each in self.assumed.get("names", ())
        }
        return {key: value for key, value in context.items() if key.lower() not in others}

    def _context(self) -> tuple[str | None, Json] | None:
        caller = self.random.choice(self.callers)
        context: Json = {}
        for key, pool in self.pools.items():
            value = self._value(key, pool)
            if value is not None:
                context[key] = value
        self._tie(context, caller)
        return (caller, context) if self._allowed(context, caller) else None

    def _value(self, key: str, pool: list[Any]) -> Any:
        random = self.random
        lower = key.lower()
        if lower in self.assumed.get("absent", ()) or random.random() < 0.15:
            return None
        if KEYS.get(key, ("text",))[0] == "list":
            return random.sample(pool, random.randint(0, min(3, len(pool))))
        return random.choice(pool)

    def _tie(self, context: Json, caller: str | None) -> None:
        """Make keys agree that are one fact: other names, the caller's own ARN, tags."""
        if "aws:ResourceTag/Team" in context:
            context["ec2:ResourceTag/Team"] = context["aws:ResourceTag/Team"]
        if self.principals and "aws:PrincipalArn" in self.pools:
            context.pop("aws:PrincipalArn", None)
            if caller and caller.startswith("arn:"):
                made = re.sub(r":sts::(\d+):assumed-role/(\w+)/.*", r":iam::\1:role/\2", caller)
                context["aws:PrincipalArn"] = made
        if "tags" in self.assumed and "aws:RequestTag/Team" in context:
            listed = list(context.get("aws:TagKeys", []))
            if "team" not in {each.lower() for each in listed}:
                context["aws:TagKeys"] = [*listed, self.random.choice(["Team", "team"])]

    def _allowed(self, context: Json, caller: str | None) -> bool:
        by_lower = {key.lower(): value for key, value in context.items()}
        for kind, check in CHECKS.items():
            for key in self.assumed.get(kind, set()) - {"ec2:instancetype", "arn:region"}:
                if not check(key, by_lower.get(key)):
                    return False
        signed = self.assumed.get("signed", set())
        anonymous = self.principals and caller is None
        return anonymous or all(by_lower.get(key) is not None for key in signed)


_FIELDS = {3: REGION.pattern, 5: ".+"}


def is_typed(action: str, resource: str) -> bool:
    """Say whether the service reference lets *action* be asked about *resource*."""
    prefix, _, name = action.partition(":")
    owner = service(prefix)
    known = owner.action(name) if owner else None
    if known is None:
        return True
    for target in known.targets:
        if not target.type:
            if resource == "*":
                return True
            continue
        for fields in target.arns:
            expression = ":".join(
                re.escape(each).replace(r"\*", _FIELDS.get(n, "[^:]+"))
                for n, each in enumerate(fields)
            )
            if re.fullmatch(expression, resource, re.DOTALL):
                return True
    return False


TYPED: dict[str, Callable[[str], bool]] = {
    "number": lambda text: re.fullmatch(r"[+-]?\d+(\.\d*)?", text) is not None,
    "bool": lambda text: text.lower() in {"true", "false"},
    "arn": lambda text: text.startswith("arn:") and text.count(":") >= 5,
    "ip": lambda text: _is_address(text),  # noqa: PLW0108 - defined below
    "date": lambda text: re.match(r"\d{4}-\d\d-\d\dT|\d+$|\d{4}(-\d\d){0,2}$", text) is not None,
}
KINDS = {key.lower(): kind for key, (kind, _) in KEYS.items()}
CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "always": lambda _, value: value is not None,
    "absent": lambda _, value: value is None,
    "filled": lambda _, value: value != [],
    "whole": lambda _, value: not (isinstance(value, str) and "." in value),
    "typed": lambda key, value: (
        value is None
        or not isinstance(value, str)
        or TYPED.get(KINDS.get(key, ""), lambda _: True)(value)
    ),
}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# -- values near those a policy names


def fill(pattern: str, random: Random, *, inside: bool = False) -> str:
    """Return a text the pattern stands for, or one near it."""
    many = ["", "a", "b", "ab", "xyz", "*", "A", "/", "1"] + ([] if inside else [":"])
    text = "".join(
        random.choice(many) if c == "*" else random.choice("abAx1") if c == "?" else c
        for c in pattern
    )
    roll = random.random()
    if roll < 0.08 and text:
        return text[:-1]
    if roll < 0.16:
        return text + random.choice("abx*")
    return text


def near_text(value: str, random: Random) -> set[str]:
    """Return texts the pattern stands for, others near it, and some of neither."""
    made = {fill(value, random) for _ in range(6)} | {value, value.swapcase(), value.lower()}
    return {text.replace("${awsxusername}", "") for text in made} | {"a", "fresh", "x/a", "x/fresh"}


def near_number(value: str, _: Random) -> set[str]:
    """Return the number, its neighbours, and no number."""
    number = float(value)
    around = (number, number - 1, number + 1, number + 0.25, number - 0.25)
    return {value, *(f"{each:g}" for each in around), f"{number:.1f}", "none"}


def near_date(value: str, _: Random) -> set[str]:
    """Return the moment, its neighbours, and no date."""
    seconds = (
        float(value)
        if value.isdigit() and len(value) > 4
        else datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
    )
    start = datetime(1970, 1, 1, tzinfo=UTC)
    moved = [start + timedelta(seconds=seconds + n) for n in (-86400, -1, 0, 1, 0.5, 86400)]
    return {value, *(each.isoformat().replace("+00:00", "Z") for each in moved), "never"}


def near_address(value: str, random: Random) -> set[str]:
    """Return the ends of a range, their neighbours, and no address."""
    network = ipaddress.ip_network(value, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    make = type(network.network_address)
    found = {"192.0.2.1", "2001:db8:1::1", "::1", "nowhere"}
    for number in (
        first,
        first + 1,
        last,
        last - 1,
        first - 1,
        last + 1,
        random.randint(first, last),
    ):
        if 0 <= number < 1 << network.max_prefixlen:
            found.add(str(make(number)))
    return found


def near_arn(value: str, random: Random) -> set[str]:
    """Return ARNs the pattern stands for, others near it, and no ARN."""
    made = {fill(value, random, inside=random.random() < 0.8) for _ in range(10)}
    return {*made, value, "arn:aws:iam::777777777777:user/z", "no-arn"}


def near_bool(_: str, __: Random) -> set[str]:
    """Return both booleans, and no boolean."""
    return {"true", "false", "TRUE", "maybe"}


NEIGHBOURS: dict[str, Callable[[str, Random], set[str]]] = {
    "text": near_text,
    "list": near_text,
    "number": near_number,
    "date": near_date,
    "ip": near_address,
    "arn": near_arn,
    "bool": near_bool,
}


# -- judging


def side(document: Json, *, principals: bool) -> Policies:
    """Return one side of a question."""
    loaded = load_policy(document)
    return Policies(resource=loaded) if principals else Policies(identity=(loaded,))


def decider(document: Json, *, principals: bool) -> Callable[[Request], bool]:
    """Return whether the engine allows a request by *document*."""
    if not principals:
        authorizer = compile_policies(identity=[document])
        return lambda request: authorizer.decide(request).allowed
    named = compile_policies(resource=document)

    def allowed(request: Request) -> bool:
        effects = {each.statement.effect for _, each in named.matched(request)}
        return effects == {"Allow"}

    return allowed


def random_pair(random: Random, *, principals: bool) -> tuple[Json, Json]:
    """Return two policies; the second is mostly the first with something changed."""
    reference = policy(random, principals=principals)
    if random.random() < 0.8:
        return reference, mutant(random, reference, principals=principals)
    return reference, policy(random, principals=principals)


def judge(random: Random, draws: int) -> tuple[str, str]:
    """Make one pair, prove it, try to refute it; return the answer and what is wrong with it."""
    principals = random.random() < 0.2
    reference, candidate = random_pair(random, principals=principals)
    verdict = within(side(candidate, principals=principals), side(reference, principals=principals))
    mine = decider(candidate, principals=principals)
    theirs = decider(reference, principals=principals)
    told = json.dumps({"candidate": candidate, "reference": reference})
    if verdict.answer == "broken":
        request = verdict.witness.request if verdict.witness else Request("")
        good = mine(request) and not theirs(request)
        return "broken", "" if good else f"witness not confirmed: {request} {told}"
    if verdict.answer == "undecided":
        return f"undecided: {verdict.reason[:60]}", ""
    drawer = Drawer(random, (candidate, reference), verdict)
    for drawn in drawer.requests(draws):
        if mine(drawn) and not theirs(drawn):
            kinds = [assumption.text for assumption in verdict.assumptions]
            return "holds", f"refuted by {drawn} under {kinds}: {told}"
    return "holds", ""


def main(pairs: int = 1000, seed: int = 1, draws: int = 1000) -> int:
    """Judge *pairs*; return 1 if anything was wrong."""

    def one(random: Random) -> tuple[list[str], str]:
        answer, fault = judge(random, draws)
        return [answer], fault

    return attack(one, pairs, seed, f"pairs, {draws} draws each")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
