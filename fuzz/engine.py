"""Feed the engine mutated policies: only our own errors may come out, with a place, and soon.

    python fuzz/engine.py [POLICIES] [SEED]

A policy is mutated as text (bytes changed, cut out, doubled) or as a document (values swapped for
others, odd types, patterns that make naive matchers slow). Each is compiled as a random type of
policy, asked, explained and, now and then, given to SimulateCustomPolicy. Exits 1 on an exception
that is not ours, on a problem without a place, or if the 99th percentile reaches 10 ms.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections import Counter
from copy import deepcopy
from random import Random
from typing import Any

from cml_iam.engine import Request, SimulationError, compile_policies, simulate_custom
from cml_iam.errors import DocumentError
from cml_iam.policy import parse_policy

LIMIT_MS = 10.0
ARN = "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"
SEEDS: list[dict[str, Any]] = [
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Run",
                "Effect": "Allow",
                "Action": ["ec2:RunInstances", "ec2:Describe*"],
                "Resource": ["arn:aws:ec2:*:111122223333:instance/*", "*"],
                "Condition": {
                    "StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]},
                    "ForAllValues:StringLike": {"aws:TagKeys": ["ManagedBy", "worker-*"]},
                    "NumericLessThanIfExists": {"ec2:VolumeSize": 200},
                },
            },
            {
                "Effect": "Deny",
                "NotAction": "iam:*",
                "NotResource": "arn:aws:s3:::bucket/${aws:username, 'nobody'}/*",
                "Condition": {
                    "NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]},
                    "ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/admin-*"},
                    "Bool": {"aws:MultiFactorAuthPresent": "false"},
                },
            },
        ],
    },
    {
        "Version": "2012-10-17",
        "Id": "bucket",
        "Statement": {
            "Effect": "Allow",
            "Principal": {
                "AWS": ["arn:aws:iam::111122223333:root", "*"],
                "Service": "ec2.amazonaws.com",
            },
            "Action": "s3:Get*",
            "Resource": "arn:aws:s3:::bucket/*",
            "Condition": {
                "DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"},
                "Null": {"aws:TokenIssueTime": True},
                "BinaryEquals": {"key": "QmFzZTY0"},
            },
        },
    },
    {
        "Statement": [
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "NotPrincipal": {"AWS": "111122223333"},
            }
        ]
    },
]
JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1e308,
    10**40,
    0.1,
    "",
    " ",
    "*",
    "?",
    "**",
    "${",
    "${}",
    "${*}",
    "${a,'b'}",
    "${aws:username}",
    "arn:",
    "arn:aws:ec2",
    "arn:*:*:*:*:*",
    ":" * 9,
    "*" * 200,
    "*a" * 60,
    "a*" * 60 + "b",
    "?*" * 60,
    "x" * 2000,
    "\u0000",
    "é",
    "\ud800",
    "☃",
    "٣",
    "İ",
    "10.0.0.0/8",
    "10.0.0.0/99",
    "::/0",
    "1.2.3",
    "2026-02-30",
    "99999999999999999999",
    "1e999",
    "1_0",
    "ForAllValues:",
    "StringEquals",
    "Allow",
    "Deny",
    [],
    {},
    [[]],
    [{}],
    {"a": {"b": {"c": []}}},
    ["*", 1, None],
    {"StringEquals": {"k": []}},
    {"StringEquals": "x"},
    {"Foo": {"k": "v"}},
    {"ForAllValues:StringLikeIfExists": {"aws:TagKeys": "*a*a*a"}},
    {"AWS": "*"},
    {"AWS": []},
    {"Nobody": "x"},
    {"ArnLike": {"k": "arn:a*a*:*:*:*:*" + "*a" * 40}},
]
WORDS = [each for each in JUNK if isinstance(each, str)]
ELEMENTS = frozenset(name for seed in SEEDS for name in seed) | {"Effect", "Action", "Resource"}
KINDS = ["identity", "boundary", "session", "resource", "endpoint", "scps", "rcps"]
CONTEXT = {
    "aws:RequestedRegion": "eu-west-1",
    "AWS:SourceIp": "10.1.2.3",
    "aws:TagKeys": ["ManagedBy", "a" * 500],
    "aws:username": "a" * 500,
    "k": "arn:aa:b:c:d:" + "a" * 500,
    "aws:CurrentTime": "2026-06-01T00:00:00Z",
    "ec2:VolumeSize": 50,
}
REQUESTS = [
    Request("ec2:RunInstances", ARN, "arn:aws:iam::111122223333:user/bob", CONTEXT),
    Request("s3:GetObject", "arn:aws:s3:::bucket/" + "a" * 500, "ec2.amazonaws.com", CONTEXT),
    Request("iam:" + "a" * 100, "*"),
]


def mutate(random: Random) -> str:
    """Return the text of a mutated policy."""
    document = json.loads(json.dumps(random.choice(SEEDS)))
    for _ in range(random.choice([1, 1, 2, 3])):
        _mutate_value(random, document)
    text = json.dumps(document, indent=random.choice([None, None, 2]))
    return _mutate_text(random, text) if random.random() < 0.2 else text


def _mutate_value(random: Random, value: Any) -> None:
    """Change one place somewhere inside *value*."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        place = random.choice(places)
        inner = value[place]
        if isinstance(inner, dict | list) and inner and random.random() < 0.9:
            value = inner
            continue
        kind = random.random()
        if isinstance(inner, str) and place != "Effect" and random.random() < 0.7:
            value[place] = _mutate_word(random, inner)
        elif kind < 0.3:
            value[place] = _junk(random)
        elif kind < 0.4:
            del value[place]
        elif kind < 0.9 and isinstance(value, dict) and place not in ELEMENTS:
            value[_mutate_word(random, place)] = value.pop(place)
        else:
            value[place] = [inner, _junk(random)]
        return


def _mutate_word(random: Random, word: str) -> str:
    """Return another text: a troublesome one, or *word* with a piece of one inside."""
    other = random.choice(WORDS)
    at = random.randrange(len(word) + 1)
    return random.choice([other, word[:at] + other + word[at:], word[:at], word.swapcase()])


def _junk(random: Random) -> Any:
    return deepcopy(random.choice(JUNK))


def _mutate_text(random: Random, text: str) -> str:
    for _ in range(random.choice([1, 2, 5])):
        at = random.randrange(len(text) + 1)
        to = min(len(text), at + random.choice([0, 1, 1, 3, 20]))
        new = random.choice(
            ["", "", '"', "{", "}", "[", "]", ",", ":", "\\", "\\u12", "\x00", "é", text[at:to] * 2]
        )
        text = text[:at] + new + text[to:]
    return text


def feed(random: Random, text: str) -> str:
    """Give one policy to the engine; return what came of it."""
    kind = random.choice(KINDS)
    try:
        document = parse_policy(text, "policy.json")
    except DocumentError as error:
        _expect(all(problem.place for problem in error.problems), error)
        return "refused"
    policies: Any = [[document]] if kind.endswith("ps") else [document]
    given = {kind: document if kind == "resource" else policies}
    authorizer = compile_policies(**given)
    _expect(all(problem.place for problem in authorizer.problems), authorizer.problems)
    for request in REQUESTS:
        authorizer.decide(request)
    _expect(authorizer.explain(REQUESTS[0]).statements, "explained")
    if random.random() < 0.05:
        _simulate(text)
    return "with problems" if authorizer.problems else "compiled"


def _simulate(text: str) -> None:
    asked = {"PolicyInputList": [text], "ActionNames": ["ec2:RunInstances"], "ResourceArns": [ARN]}
    try:
        simulate_custom(asked, shape="old")
    except SimulationError as error:
        _expect(error.code == "InvalidInput", error)


def _expect(holds: object, what: object) -> None:
    if not holds:
        raise AssertionError(what)


def run(policies: int, seed: int) -> tuple[Counter[str], list[float]]:
    """Feed *policies*; return what came of them, and the time of each in ms."""
    random, outcomes, times = Random(seed), Counter[str](), []  # noqa: S311 - repeatable
    for number in range(policies):
        text = mutate(random)
        started = time.process_time()
        try:
            outcomes[feed(random, text)] += 1
        except Exception:  # noqa: BLE001 - what this looks for
            outcomes["FAILED"] += 1
            if outcomes["FAILED"] <= 3:
                sys.stdout.write(f"policy {number} of seed {seed}: {text!r}" + "\n")
                traceback.print_exc(file=sys.stdout)
        times.append((time.process_time() - started) * 1000)
        if (number + 1) % 100_000 == 0:
            sys.stderr.write(f"{number + 1:,} {dict(outcomes)}" + "\n")
    return outcomes, times


def main() -> int:
    """Run as the command line asks; return the exit code."""
    policies = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    parse_policy(json.dumps(SEEDS[0]))  # loads what is loaded once
    outcomes, times = run(policies, seed)
    times.sort()
    middle, high = times[len(times) // 2], times[int(len(times) * 0.99)]
    sys.stdout.write(
        f"{policies:,} policies: {dict(outcomes)}; "
        f"median {middle:.2f} ms, 99th percentile {high:.2f} ms, longest {times[-1]:.1f} ms"
        " of CPU\n"
    )
    return 1 if outcomes["FAILED"] or high >= LIMIT_MS else 0


if __name__ == "__main__":
    raise SystemExit(main())
