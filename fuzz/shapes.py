"""Ask `never`, `always`, `within` and `equivalent` at random, and try to prove the answers wrong.

    python fuzz/shapes.py [COUNT] [SEED] [STEPS]

What `fuzz/proof.py` does not draw: shapes of requests, several policies beside a boundary, keys
with two names in any case, policy variables with defaults and escapes, numbers, dates and addresses
in several spellings, short ARNs, callers of a resource's policy under `never`. Requests are not
drawn blindly: a search of STEPS steps changes one value at a time towards a request that would
refute the answer; the engine, compiled here, is the judge. Exits 1 on a fault.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

import proof
from attack import attack
from sent import is_sent

from cml_iam.engine import Authorizer, Request, compile_policies
from cml_iam.facts import key_type, service
from cml_iam.policy import load_policy
from cml_iam.prove import Policies, Shape, Verdict, always, equivalent, never, within

Json = dict[str, Any]
Judge = Callable[[Request], bool]

NUMBERS = ["5", "5.0", "05", "6", "4.5", "-1e999", "1e400", "5e0"]
DATES = ["2026-01-01T00:00:00Z", "1767225600", "1767225600.0", "2026-01-01", "-5"]
ADDRESSES = ["10.0.0.0/8", "10.0.0.1", "::ffff:10.0.0.1", "::1", "0::1", "::/0", "::ffff:0:0/96"]
ARNS = [
    "arn:aws:iam::111122223333:role/a",
    "arn:aws:iam::*:role/a*",
    "arn:*:iam::1?1122223333:*",
    "arn:aws:s3:::a:b",
]
KEYS: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "aws:PrincipalTag/Team": (("text",), proof.STRINGS),
    "AWS:principaltag/team": (("text",), proof.STRINGS),
    "aws:PrincipalAccount": (("text",), ["111122223333", "444455556666", "1*", "?11122223333"]),
    "aws:PrincipalOrgID": (("text",), ["o-a", "o-*", "o-b"]),
    "aws:PrincipalOrgPaths": (("list",), ["o-a/r-a/*", "o-a/r-a/ou-1/", "o-*"]),
    "ec2:Region": (("text",), ["us-east-1", "us-*", "eu-west-1"]),
    "aws:requestedregion": (("text",), ["us-east-1", "us-*", "eu-west-1"]),
    "EC2:ResourceTag/Team": (("text",), proof.STRINGS),
    "aws:ResourceTag/team": (("text",), proof.STRINGS),
    "aws:RequestTag/Team": (("text",), proof.STRINGS),
    "aws:TagKeys": (("list",), ["Team", "team", "Owner", "*", "T*"]),
    "ec2:CreateAction": (("text",), ["RunInstances", "Create*"]),
    "iam:PassedToService": (("text",), ["ec2.amazonaws.com", "*.amazonaws.com"]),
    "ec2:InstanceType": (("text",), ["m5.large", "m5.*"]),
    "aws:username": (("text",), proof.STRINGS),
    "my:v": (("text",), proof.STRINGS),
    "my:k": (("text", "text", "list"), proof.STRINGS),
    "My:K": (("text",), proof.STRINGS),
    "my:bin": (("binary",), ["YQ==", "${aws:username}", ""]),
    "my:n": (("number", "number", "text"), NUMBERS),
    "my:d": (("date", "date", "text"), DATES),
    "my:ip": (("ip", "ip", "text"), ADDRESSES),
    "my:arn": (("arn", "text"), ARNS),
    "my:flag": (("bool", "text"), ["true", "TRUE", "false"]),
    "aws:SourceIp": (("ip", "ip", "text"), ADDRESSES),
    "aws:EpochTime": (("number", "date"), ["1767225600", "1767225601"]),
    "aws:CurrentTime": (("date",), DATES),
    "aws:MultiFactorAuthAge": (("number",), ["5", "6", "3600"]),
    "aws:MultiFactorAuthPresent": (("bool",), ["true", "false"]),
    "aws:PrincipalArn": (("arn", "text"), ARNS),
    "aws:SecureTransport": (("bool",), ["true", "false"]),
}
OPERATORS = {**proof.OPERATORS, "binary": ["BinaryEquals"]}
VARIABLES = [
    "${my:v}", "a${my:v}", "${my:v}*", "${my:v}b", "${my:v, 'a'}", "${ my:v , \"ab\" }", "*${my:v}",
    "${aws:username}", "${AWS:UserName}/a", "${ec2:Region}", "${aws:ResourceTag/Team}", "a${*}",
    "${?}b", "${$}", "${", "${aws:PrincipalTag/Team,''}", "${my:k}", "${my:v}${aws:username}",
    "${aws:PrincipalAccount}", "${aws:SourceIp}", "${my:n}", "${my:arn}", "${ec2:ResourceTag/Team}",
]  # fmt: skip
ACTIONS = [
    "s3:GetObject", "s3:*", "*", "ec2:TerminateInstances", "ec2:RunInstances", "ec2:CreateTags",
    "ec2:DeleteTags", "ec2:*Tags", "iam:PassRole", "iam:*", "my:Thing", "EC2:stopinstances",
    "sts:*", "s3:Get?bject", "ec2:DescribeInstances",
]  # fmt: skip
RESOURCES = [
    "*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/${my:v}", "arn:aws:s3:::b/${my:v}/*",
    "arn:aws:s3:::b/a*", "arn:aws:s3:::b/x:y", "arn:*:s3:::b/*", "arn:aws:s3", "arn:aws:s3:*",
    "arn:aws:ec2:us-east-1:111122223333:instance/*", "arn:aws:ec2:*:*:instance/i-1",
    "arn:aws:ec2:*:*:${my:v}/i-1", "arn:aws:ec2:us-*:*:*", "arn:aws:ec2:us-east-1",
    "arn:aws:ec2:us-east-1::image/*", "arn:aws:ec2:*:1?1122223333:*/*", "arn:aws:ec2:*:instance/*",
    "arn:aws:ec2:${my:v}:*:instance/*", "arn:aws:ec2:${ec2:Region}:*:instance/*",
    "arn:aws:ec2:*:${aws:PrincipalAccount}:*", "arn:aws:s3:${my:v,'x'}::b/*",
    "arn:aws:iam::111122223333:role/a", "arn:aws:iam::*:role/${aws:username}",
    "arn:aws:s3:::b-${aws:PrincipalAccount}/*", "arn:aws:s3:::b-123456789012/*", "no-arn",
    "arn:aws:s3:::b/${*}", "arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*:*:network-interface/*",
]  # fmt: skip
PRINCIPALS: list[Any] = [
    *proof.PRINCIPALS,
    {"Federated": "cognito-identity.amazonaws.com"},
    {"AWS": "arn:aws-cn:iam::444455556666:role/p/a"},
    {"AWS": "arn:aws:iam::111122223333:role/p/a"},
]
CALLERS = [
    *proof.CALLERS,
    "cognito-identity.amazonaws.com",
    "arn:aws:iam::123456789012:user/z",
    "arn:aws-cn:iam::444455556666:role/p/a",
    "arn:aws:sts::111122223333:assumed-role/a/u",
]
NEGATIONS = {
    "StringEquals": "StringNotEquals",
    "StringLike": "StringNotLike",
    "StringEqualsIgnoreCase": "StringNotEqualsIgnoreCase",
    "NumericEquals": "NumericNotEquals",
    "NumericLessThan": "NumericGreaterThanEquals",
    "NumericGreaterThan": "NumericLessThanEquals",
    "DateEquals": "DateNotEquals",
    "DateLessThan": "DateGreaterThanEquals",
    "DateGreaterThan": "DateLessThanEquals",
    "IpAddress": "NotIpAddress",
    "ArnLike": "ArnNotLike",
    "ArnEquals": "ArnNotEquals",
}
NEGATIONS |= {after: before for before, after in NEGATIONS.items()}
ONLY = {"ec2:createaction": {"ec2:createtags"}, "iam:passedtoservice": {"iam:passrole"}}
"""Keys that the documentation gives to these actions alone."""

SMALL = ["", "a", "b", "A", "ab", "AB", "abc", "aa", "ac", "x", "a/b", "a:b", "q", "true", "5"]
TYPES = {"Numeric": "number", "Date": "date", "IPAddress": "ip", "ARN": "arn", "Bool": "bool"}


# -- random questions


def condition(random: Random) -> tuple[str, str, list[str]]:
    """Return a random condition: operator, key, values."""
    key = random.choice(list(KEYS))
    kinds, values = KEYS[key]
    kind = random.choice(kinds)
    if random.random() < 0.1:
        operator = random.choice(["Null", "Null", "ForAnyValue:Null", "NullIfExists", "null"])
        return operator, key, [random.choice(["true", "false"])]
    operator = random.choice(OPERATORS[kind])
    chosen = proof.some(random, values)
    if kind == "text" and "Like" in operator:
        chosen += proof.some(random, proof.PATTERNS, 2)
    if kind in {"text", "list", "arn", "bool"} and random.random() < 0.25:
        chosen[0] = random.choice(VARIABLES)
        if kind == "arn":
            chosen[0] = f"arn:aws:iam::{random.choice(VARIABLES)}:role/a"
    if random.random() < 0.15:
        operator += "IfExists"
    if random.random() < (0.85 if kind == "list" else 0.06):
        operator = random.choice(["ForAllValues:", "ForAnyValue:"]) + operator
    if random.random() < 0.02:
        chosen = []
    return operator, key, chosen


def conditions(random: Random) -> Json:
    """Return a random block of conditions, maybe none."""
    made: Json = {}
    for _ in range(random.choice([0, 1, 1, 2, 2, 3])):
        operator, key, values = condition(random)
        made.setdefault(operator, {})[key] = values
    return made


def statement(random: Random, *, principals: bool) -> Json:
    """Return a random statement."""
    made: Json = {"Effect": "Allow" if random.random() < 0.72 else "Deny"}
    if principals and random.random() < 0.95:
        name = "Principal" if random.random() < 0.85 else "NotPrincipal"
        made[name] = random.choice(PRINCIPALS[2:] if name == "NotPrincipal" else PRINCIPALS)
    made["Action" if random.random() < 0.88 else "NotAction"] = proof.some(random, ACTIONS, 2)
    made["Resource" if random.random() < 0.85 else "NotResource"] = (
        ["*"] if random.random() < 0.35 else proof.some(random, RESOURCES, 3)
    )
    block = conditions(random)
    return made | ({"Condition": block} if block else {})


def policy(random: Random, *, principals: bool = False) -> Json:
    """Return a random policy."""
    made = [statement(random, principals=principals) for _ in range(random.choice([1, 1, 2, 3]))]
    version = "2012-10-17" if random.random() < 0.9 else "2008-10-17"
    return {"Version": version, "Statement": made}


def negated(random: Random, block: Json) -> Json:
    """Return *block* with one of its conditions turned round."""
    made = deepcopy(block)
    turning = [each for each in made if each in NEGATIONS]
    if not turning:
        return made
    operator = random.choice(turning)
    key = random.choice(list(made[operator]))
    values = made[operator].pop(key)
    if not made[operator]:
        del made[operator]
    made.setdefault(NEGATIONS[operator], {})[key] = values
    return made


def shape(random: Random, documents: list[Json]) -> Json:
    """Return the statement of a shape: random, or near one of *documents*."""
    said = random.choice([each for document in documents for each in document["Statement"]])
    if random.random() < 0.3:
        said = statement(random, principals=False)
    made = {name: said[name] for name in ("Action", "NotAction", "Resource", "NotResource")
            if name in said}  # fmt: skip
    block = deepcopy(said.get("Condition", {}))
    if random.random() < 0.6:
        block = negated(random, block)
    if random.random() < 0.4:
        for operator, more in conditions(random).items():
            block.setdefault(operator, {}).update(more)
    if random.random() < 0.2:
        made = {"Action": proof.some(random, ACTIONS, 2), "Resource": ["*"]}
    return {"Effect": "Allow", **made, **({"Condition": block} if block else {})}


def as_shape(said: Json) -> Shape:
    """Return the statement of a shape as one."""
    return Shape(
        said.get("Action", ("*",)),
        said.get("Resource", ("*",)),
        said.get("Condition", {}),
        not_actions=said.get("NotAction"),
        not_resources=said.get("NotResource"),
    )


@dataclass(frozen=True)
class Attached:
    """One side of a question."""

    identity: list[Json] = field(default_factory=list)
    boundary: list[Json] | None = None
    resource: Json | None = None

    @property
    def documents(self) -> list[Json]:
        """All of it."""
        return [*self.identity, *(self.boundary or []), *([self.resource] if self.resource else [])]

    def policies(self) -> Policies:
        """Return it as the proof takes it."""
        if self.resource is not None:
            return Policies(resource=load_policy(self.resource))
        boundary = None if self.boundary is None else tuple(map(load_policy, self.boundary))
        return Policies(tuple(map(load_policy, self.identity)), boundary)

    def compiled(self) -> Authorizer:
        """Return it as the engine takes it."""
        if self.resource is not None:
            return compile_policies(resource=self.resource)
        return compile_policies(identity=self.identity, boundary=self.boundary)

    def judge(self) -> Judge:
        """Return whether the engine allows a request."""
        made = self.compiled()
        if self.resource is None:
            return lambda request: made.decide(request).allowed
        return lambda request: (
            {each.statement.effect for _, each in made.matched(request)} == {"Allow"}
        )


def side(random: Random) -> Attached:
    """Return a random side."""
    roll = random.random()
    if roll < 0.18:
        return Attached(resource=policy(random, principals=True))
    identity = [policy(random) for _ in range(random.choice([1, 1, 2]))]
    if roll < 0.4:
        boundary = [policy(random) for _ in range(random.choice([1, 1, 2, 0]))]
        return Attached(identity, boundary)
    return Attached(identity)


def other_side(random: Random, one: Attached) -> Attached:
    """Return a side near *one*."""
    if one.resource is not None:
        return Attached(resource=_near(random, one.resource, principals=True))
    identity = [_near(random, each, principals=False) for each in one.identity]
    boundary = None if one.boundary is None else [
        _near(random, each, principals=False) for each in one.boundary
    ]  # fmt: skip
    if random.random() < 0.15:
        boundary = None
    return Attached(identity, boundary)


def _near(random: Random, document: Json, *, principals: bool) -> Json:
    made = deepcopy(document)
    for _ in range(random.choice([0, 0, 1, 1])):
        said = random.choice(made["Statement"])
        roll = random.random()
        if roll < 0.3:
            made["Statement"].append(statement(random, principals=principals))
        elif roll < 0.7:
            said["Condition"] = conditions(random) | said.get("Condition", {})
        elif "Resource" in said:
            said["Resource"] = proof.some(random, RESOURCES)
    random.shuffle(made["Statement"])
    return made


# -- random requests, led towards a refutation


def name_of(key: str) -> str:
    """Return one name for a key that has several."""
    lower = key.lower()
    if lower == "ec2:region":
        return "aws:requestedregion"
    return lower.replace("ec2:resourcetag/", "aws:resourcetag/")


VARIABLE = re.compile(
    r"\$\{([^,{}\s](?:[^,{}]*[^,{}\s])?)(?:\s*,\s*(?:'([^']*)'|\"([^\"]*)\")\s*)?\}"
)


@dataclass
class Attack:
    """Looks for a request that refutes *verdict*: one for which *refutes* says so."""

    random: Random
    documents: list[Json]
    verdict: Verdict
    refutes: Judge
    aims: list[Authorizer]
    principals: bool

    def __post_init__(self) -> None:
        """Gather what the policies name."""
        self.texts: dict[str, list[tuple[str, str]]] = {}
        self.lists: set[str] = set()
        self.actions: list[str] = []
        self.resources: list[str] = []
        for document in self.documents:
            for said in document["Statement"]:
                self._gather(said)
        for key in VARIABLE.findall(json.dumps(self.documents)):
            if key[0] not in {"*", "?", "$"}:
                self.texts.setdefault(name_of(key[0].replace('\\"', "")), [])
        self.assumed: dict[str, set[tuple[str, str]]] = {}
        for assumption in self.verdict.assumptions:
            about = assumption.about.lower(), assumption.action.lower()
            self.assumed.setdefault(assumption.kind, set()).add(about)
        self.named = {action.lower() for action in self.actions}
        self.names = list(dict.fromkeys(self._actions()))

    def _gather(self, said: Json) -> None:
        self.actions += said.get("Action", said.get("NotAction"))
        self.resources += said.get("Resource", said.get("NotResource"))
        for operator, block in said.get("Condition", {}).items():
            base = operator.lower().rpartition(":")[2].removesuffix("ifexists")
            for key, values in block.items():
                listed = [values] if isinstance(values, str) else values
                found = self.texts.setdefault(name_of(key), [])
                found += [] if base == "null" else [(base, each) for each in listed]
                if ":" in operator:
                    self.lists.add(name_of(key))

    def _actions(self) -> Iterator[str]:
        yield from ("s3:GetObject", "ec2:CreateTags", "iam:PassRole", "ec2:StopInstances")
        for pattern in self.actions:
            prefix, _, name = pattern.partition(":")
            owner = service(prefix)
            known = owner.names_matching(name) if owner and name else ()
            if "*" not in pattern and "?" not in pattern:
                yield pattern
            yield from (
                f"{prefix}:{each}" for each in self.random.sample(known, min(4, len(known)))
            )

    def run(self, steps: int) -> Request | None:
        """Return a request that refutes the verdict, if one is found."""
        random = self.random
        restart = 40
        for begin in range(0, steps, restart):
            state = self._start()
            best = self._cost(state, aims := self._aims(state))
            for _ in range(min(restart, steps - begin)):
                changed = self._changed(state)
                cost = self._cost(changed, aims)
                if cost <= best or random.random() < 0.05:
                    state, best = changed, cost
                if not cost:
                    request = self._request(changed)
                    if request is not None and self.refutes(request):
                        return request
        return None

    def _aims(self, state: Json) -> list[Any]:
        """Return statements about the action, one of each side that must allow."""
        found = []
        for authorizer in self.aims:
            for gate in authorizer.gates:
                about = [
                    each
                    for each in gate.statements
                    if each.statement.effect == "Allow" and each.matches_action(state["action"])
                ]
                if about:
                    found.append(self.random.choice(about))
        return found

    def _start(self) -> Json:
        random = self.random
        state: Json = {
            "action": random.choice(self.names),
            "caller": random.choice(CALLERS) if self.principals else None,
            "keys": {},
            # Outside EC2 its names of keys may be there or not.
            "twins": random.random() < 0.7,
        }
        for key in self.texts:
            state["keys"][key] = self._value(key, state)
        state["resource"] = self._resource(state)
        return state

    def _changed(self, state: Json) -> Json:
        random = self.random
        made = {**state, "keys": dict(state["keys"])}
        roll = random.random()
        if roll < 0.15 or not self.texts:
            made["resource"] = self._resource(made)
        elif roll < 0.2 and self.principals:
            made["caller"] = random.choice(CALLERS)
        else:
            key = random.choice(list(self.texts))
            made["keys"][key] = self._value(key, made)
        return made

    def _cost(self, state: Json, aims: list[Any]) -> int:
        request = self._request(state, force=True)
        assert request is not None  # noqa: S101 - it was forced
        cost = 0
        for aim in aims:
            test, tests = aim.rule
            cost += test is not None and not test(request.resource, request.context)
            cost += sum(not one(request.context) for one in tests)
        return cost or (0 if self.refutes(request) else 1)

    # -- values

    def _value(self, key: str, state: Json) -> Any:
        random = self.random
        if random.random() < 0.15:
            return None
        kind = key_type(key) or ""
        several = kind.startswith("ArrayOf") or (
            not kind and key in self.lists and random.random() < 0.5
        )
        if several:
            count = random.choice([0, 1, 1, 2, 3])
            return [self._text(key, state) for _ in range(count)]
        return self._text(key, state)

    def _text(self, key: str, state: Json) -> str:
        random = self.random
        named = self.texts[key]
        kind = TYPES.get((key_type(key) or "").removeprefix("ArrayOf"), "")
        if kind and random.random() < 0.2:
            return random.choice(sorted(_near_typed(kind, _PLAIN[kind], random)))
        if not named or random.random() < 0.2:
            return random.choice([*SMALL, *self._fragments(state)])
        base, text = random.choice(named)
        for prefix, known in _KINDS.items():
            if base.startswith(prefix) and "${" not in text:
                found = sorted(_near_typed(known, text, random))
                if found:
                    return random.choice(found)
        text = self._expanded(text, state)
        if random.random() < 0.3:
            return text
        made = proof.fill(text, random, inside=random.random() < 0.6)
        if "ignorecase" in base or random.random() < 0.1:
            made = random.choice([made, made.swapcase(), made.upper()])
        return made

    def _fragments(self, state: Json) -> list[str]:
        """Return values of other keys, and their ends: what a variable may stand for."""
        known = [key for key in state["keys"].values() if isinstance(key, str)]
        resource = state.get("resource", "")
        parts = [*resource.split(":"), *resource.split("/")]
        return [*known, *(each[1:] for each in known), *(p for p in parts if p)]

    def _expanded(self, text: str, state: Json) -> str:
        def value(match: re.Match[str]) -> str:
            if match[1] in {"*", "?", "$"}:
                return match[1]
            found = state["keys"].get(name_of(match[1]))
            default = match[2] if match[3] is None else match[3]
            return found if isinstance(found, str) else default or ""

        return VARIABLE.sub(value, text)

    def _resource(self, state: Json) -> str:
        random = self.random
        pattern = random.choice(self.resources)
        if pattern == "*" or not pattern.startswith("arn:"):
            pattern = random.choice(["*", *RESOURCES[1:]])
        if pattern == "*":
            return "*"
        pattern = self._expanded(pattern, state)
        fields = pattern.split(":", 5)
        fill = [
            "arn",
            "aws",
            "s3",
            random.choice(["us-east-1", ""]),
            "111122223333",
            "instance/i-1",
        ]
        fields += fill[len(fields) :]
        regions = ["us-east-1", "eu-west-1", "us-west-2", ""]
        accounts = ["111122223333", "123456789012", "121122223333", ""]
        choice = [["arn"], ["aws", "aws-cn"], ["s3", "ec2", "iam"], regions, accounts]
        names = ["instance/i-1", "volume/v-1", "image/ami-1", "role/a", "b/a", "b/x:y", "b/${*}"]
        for at, options in enumerate([*choice, names]):
            if fields[at] == "*":
                fields[at] = random.choice(options)
            elif at == 4 and "?" in fields[at]:
                fields[at] = fields[at].replace("?", random.choice("12"))
            else:
                fields[at] = proof.fill(fields[at], random, inside=at < 5) if any(
                    c in fields[at] for c in "*?"
                ) else fields[at]  # fmt: skip
        return ":".join(fields)

    # -- what the verdict rests on

    def _request(self, state: Json, *, force: bool = False) -> Request | None:
        keys: Json = {k: v for k, v in state["keys"].items() if v is not None}
        caller, action, resource = state["caller"], state["action"], state["resource"]
        if self.principals:
            _of_caller(keys, caller, self.texts)
        self._tie(keys, action, resource)
        if not force and not self._is_sent(keys, caller, action, resource):
            return None
        context: Json = {}
        service = action.lower().partition(":")[0]
        known = self._about("names")
        for key, value in keys.items():
            context[key] = value
            mine = service == "ec2" or (service == "ec2-instance-connect" and "tag/" in key)
            if not mine and (key in known or not state["twins"]):
                continue
            if key == "aws:requestedregion":
                context["ec2:Region"] = value
            if key.startswith("aws:resourcetag/"):
                context[key.replace("aws:", "EC2:")] = value
        request = Request(action, resource, caller, context)
        return request if force or is_sent(request, self.verdict.assumptions) else None

    def _about(self, kind: str) -> set[str]:
        return {about for about, _ in self.assumed.get(kind, ())}

    def _tie(self, keys: Json, action: str, resource: str) -> None:
        for key in self._about("absent") & keys.keys():
            if not has_key(key, action, resource):
                del keys[key]
        fields = resource.split(":", 5)
        if "region" in self.assumed and len(fields) == 6 and fields[3]:
            apart = {"ec2:copyimage", "ec2:copysnapshot", "ec2:copyfpgaimage"}
            apart |= {"ec2:createvpcpeeringconnection"}
            if action.lower().startswith("ec2:") and action.lower() not in apart:
                keys["aws:requestedregion"] = fields[3]
        if "tags" in self.assumed:
            sent = [k.partition("/")[2] for k in keys if k.startswith("aws:requesttag/")]
            listed = list(keys.get("aws:tagkeys", []))
            lower = {each.lower() for each in listed}
            missing = [each for each in sent if each not in lower]
            if missing:
                keys["aws:tagkeys"] = [*listed, *missing]

    def _is_sent(self, keys: Json, caller: str | None, action: str, resource: str) -> bool:
        lower = action.lower()
        if lower == "sts:getcalleridentity":
            return False
        if "listed" in self.assumed and not _is_known(action) and lower not in self.named:
            return False
        typed = self._about("resource")
        if lower in typed and not (proof.is_typed(action, resource) and _has_account(resource)):
            return False
        for kind, check in _CHECKS.items():
            about = self._about(kind) - {"ec2:instancetype", "arn:region"}
            if kind == "absent":
                about = self._about(kind)
            if not all(check(key, keys.get(key)) for key in about):
                return False
        if self.principals and not self._at_home(caller):
            return False
        aged = "with" in self.assumed and "aws:multifactorauthage" in keys
        if aged and keys.get("aws:multifactorauthpresent") != "true":
            return False
        signed = self._about("signed") if caller is not None or not self.principals else ()
        by_caller = {"aws:principalarn", "aws:principalaccount"} if self.principals else set()
        return all(key in keys or key in by_caller or key not in self.texts for key in signed)

    def _at_home(self, caller: str | None) -> bool:
        homes = {(each.split(":")[4], each.split(":")[1]) for each in self._about("partition")}
        fields = (caller or "").split(":")
        own = [home for home in homes if len(fields) > 5 and home[0] == fields[4]]
        return not own or (fields[4], fields[1]) in homes


_KINDS = {"numeric": "number", "date": "date", "ip": "ip", "notip": "ip", "arn": "arn"}
_PLAIN = {"number": "5", "date": "2026-01-01", "ip": "10.0.0.1", "bool": "true", "arn": ARNS[0]}


def _near_typed(kind: str, text: str, random: Random) -> set[str]:
    try:
        found = proof.NEIGHBOURS[kind](text, random)
    except (ValueError, OverflowError):
        found = set()
    if kind == "number":
        found |= {f"0{text}", f"{text}.00", "1e999", "-1e999"}
    if kind == "ip":
        found |= {text.partition("/")[0].replace("::", "0::", 1), "::ffff:10.0.0.2"}
    return found


def _of_caller(keys: Json, caller: str | None, asked: Json) -> None:
    """Put what the caller determines."""
    for key in ("aws:principalarn", "aws:principalaccount"):
        keys.pop(key, None)
    if caller is None and "aws:principalaccount" in asked:
        keys["aws:principalaccount"] = "anonymous"
    if caller and re.match(r"arn:[^:]*:(iam|sts)::\d+:", caller):
        made = re.sub(r":sts::(\d+):assumed-role/([\w+]+)/.*", r":iam::\1:role/\2", caller)
        own = {"aws:principalarn": made, "aws:principalaccount": caller.split(":")[4]}
        keys.update({key: value for key, value in own.items() if key in asked})


def _is_known(action: str) -> bool:
    prefix, _, name = action.partition(":")
    owner = service(prefix)
    return owner is not None and owner.action(name) is not None


def _has_account(resource: str) -> bool:
    fields = resource.split(":", 5)
    return len(fields) < 6 or fields[4] == "" or re.fullmatch(r"\d{12}", fields[4]) is not None


def has_key(key: str, action: str, resource: str) -> bool:
    """Say whether AWS may put *key* into a request, by its documentation and reference."""
    if key in ONLY:
        return action.lower() in ONLY[key]
    prefix, _, name = action.partition(":")
    owner = service(prefix)
    known = owner.action(name) if owner else None
    if known is None or prefix.lower() != "ec2":
        return True
    for target in known.targets:
        one = type(known)(known.service, known.name, known.access, (target,))
        fits = resource == "*" if not target.type else _fits(one, resource)
        twin = key.replace("aws:resourcetag/", "ec2:resourcetag/")
        if fits and (target.keys.has(key) or target.keys.has(twin)):
            return True
    return False


def _fits(action: Any, resource: str) -> bool:
    return any(
        re.fullmatch(
            ":".join(
                re.escape(each).replace(r"\*", "[^:]+" if n < 5 else ".+")
                for n, each in enumerate(fields)
            ),
            resource,
            re.DOTALL,
        )
        for target in action.targets
        for fields in target.arns
    )


def _is_typed(key: str, value: Any) -> bool:
    kind = TYPES.get((key_type(key) or "").removeprefix("ArrayOf"))
    values = value if isinstance(value, list) else [value]
    check = proof.TYPED.get(kind or "", lambda _: True)
    return value is None or all(check(each) for each in values)


def _is_whole(_: str, value: Any) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", value):
        return True
    number = float(value)
    return number in {float("inf"), float("-inf")} or number.is_integer()


_CHECKS: dict[str, Callable[[str, Any], bool]] = {
    "always": lambda _, value: value is not None,
    "filled": lambda _, value: value != [],
    "whole": _is_whole,
    "typed": _is_typed,
}


# -- judging


def judge(random: Random, steps: int) -> tuple[str, str]:
    """Ask one question, try to refute the answer; return the answer and what is wrong with it."""
    one = side(random)
    question = random.choice(["never", "never", "never", "always", "within", "equivalent"])
    told: Json = {"question": question, "one": one.__dict__}
    asked, goals = _asked(random, question, one, told)
    verdict: Verdict = asked()
    text = json.dumps(told)
    if verdict.answer == "broken":
        request = verdict.witness.request if verdict.witness else Request("")
        good = any(refutes(request) for refutes, _ in goals)
        return f"{question}: broken", "" if good else f"witness not confirmed: {request} {text}"
    if verdict.answer == "undecided":
        return f"{question}: undecided", ""
    documents = [
        *one.documents,
        *([{"Statement": [told["shape"]]}] if "shape" in told else []),
        *(told["other"]["identity"] if "other" in told else []),
        *((told["other"]["boundary"] or []) if "other" in told else []),
        *([told["other"]["resource"]] if told.get("other", {}).get("resource") else []),
    ]
    for refutes, aims in goals:
        attack = Attack(random, documents, verdict, refutes, aims, one.resource is not None)
        found = attack.run(steps // len(goals))
        if found is not None:
            kinds = [assumption.text for assumption in verdict.assumptions]
            return f"{question}: holds", f"refuted by {found} under {kinds}: {text}"
    return f"{question}: holds", ""


Goals = list[tuple[Judge, list[Authorizer]]]


def _asked(
    random: Random, question: str, one: Attached, told: Json
) -> tuple[Callable[[], Verdict], Goals]:
    """Return the question, and for each direction what refutes a proof, and whose Allows lead."""
    mine, policies = one.judge(), one.policies()
    if question in {"never", "always"}:
        said = told["shape"] = shape(random, one.documents)
        kind = Attached([{"Version": "2012-10-17", "Statement": [said]}])
        fits = kind.judge()
        if question == "never":
            goals: Goals = [(lambda r: mine(r) and fits(r), [one.compiled(), kind.compiled()])]
            return lambda: never(policies, as_shape(said)), goals
        goals = [(lambda r: fits(r) and not mine(r), [kind.compiled()])]
        return lambda: always(policies, as_shape(said)), goals
    other = other_side(random, one)
    told["other"] = other.__dict__
    theirs, others = other.judge(), other.policies()
    goals = [(lambda r: mine(r) and not theirs(r), [one.compiled()])]
    if question == "within":
        return lambda: within(policies, others), goals
    goals.append((lambda r: theirs(r) and not mine(r), [other.compiled()]))
    return lambda: equivalent(policies, others), goals


def main(count: int = 1000, seed: int = 1, steps: int = 400) -> int:
    """Judge *count* questions; return 1 if anything was wrong."""

    def one(random: Random) -> tuple[list[str], str]:
        answer, fault = judge(random, steps)
        return [answer], fault

    return attack(one, count, seed, f"questions, {steps} steps each")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
