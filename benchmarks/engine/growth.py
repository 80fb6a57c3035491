"""How the cost grows with the number of statements and of policies.

python benchmarks/engine/growth.py [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import time
import tracemalloc
from pathlib import Path

from cml_iam.engine import Authorizer, Request, compile_policies

ACCOUNT = "111122223333"
DECISIONS = 5_000
ROUNDS = 12
ARN = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"
REQUEST = {
    "aws:RequestedRegion": "eu-west-1",
    "aws:SourceIp": "10.1.2.3",
    "aws:ResourceTag/ManagedBy": "worker-manager",
}
WANTED = {
    "Effect": "Allow",
    "Action": "ec2:StopInstances",
    "Resource": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/*",
    "Condition": {
        "StringEquals": {"aws:ResourceTag/ManagedBy": "worker-manager"},
        "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
    },
}


def other(number: int, *, wild: bool = False) -> dict:
    """Return a statement about other actions: of other services, or wild ones of the same."""
    action = f"ec2:Other{number}*" if wild else f"service{number % 50}:Action{number}"
    resource = f"arn:aws:service:eu-west-1:{ACCOUNT}:thing/{number}-*"
    return {**WANTED, "Action": action, "Resource": resource}


def same(number: int) -> dict:
    """Return a statement about the same action and another resource."""
    return {**WANTED, "Resource": f"arn:aws:ec2:eu-west-1:{ACCOUNT}:volume/{number}-*"}


def document(statements: list[dict]) -> dict:
    return {"Version": "2012-10-17", "Statement": statements}


def compiled(policies: list[dict]) -> tuple[Authorizer, dict]:
    """Return the compiled policies; the time is CPU time, the memory what is kept."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    authorizer = compile_policies(policies)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    started = time.process_time()
    compile_policies(policies)
    cost = time.process_time() - started
    assert authorizer.decide(Request("ec2:StopInstances", ARN, None, REQUEST)).allowed
    return authorizer, {"kib": kept / 1024, "compile_ms": cost * 1000, "rate": 0.0}


def rate(authorizer: Authorizer) -> float:
    started = time.process_time()
    for _ in range(DECISIONS):
        authorizer.decide(Request("ec2:StopInstances", ARN, None, REQUEST))
    return DECISIONS / (time.process_time() - started)


def measure() -> dict[str, dict]:
    """Measure all cases in turns, so that whatever else the machine does strikes all of them."""
    compile_policies([document([WANTED])])  # loads what is loaded once
    made = {title: compiled(policies) for title, policies in cases().items()}
    for _ in range(ROUNDS):
        for authorizer, result in made.values():
            result["rate"] = max(result["rate"], rate(authorizer))
    return {title: result for title, (_, result) in made.items()}


def cases() -> dict[str, list[dict]]:
    found = {}
    for count in (1, 10, 100, 1000):
        others = [other(n) for n in range(count - 1)]
        found[f"{count} statements, 1 about the action"] = [document([*others, WANTED])]
    found["1000 statements, 999 wild ones of its service"] = [
        document([*(other(n, wild=True) for n in range(999)), WANTED])
    ]
    for count in (10, 100, 1000):
        found[f"{count} statements, all about the action, the last matches"] = [
            document([*(same(n) for n in range(count - 1)), WANTED])
        ]
    for count in (1, 10, 100):
        others = [document([other(n * 10 + m) for m in range(10)]) for n in range(count - 1)]
        found[f"{count} policies of 10 statements"] = [
            *others,
            document([*(other(m) for m in range(9)), WANTED]),
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = measure()
    alone = next(iter(results.values()))["rate"]
    print(f"{'':58}{'decisions/CPU-s':>16}{'cost':>8}{'KiB':>9}{'compile ms':>12}")
    for title, each in results.items():
        print(
            f"{title:58}{each['rate']:>16,.0f}{alone / each['rate']:>7.2f}x"
            f"{each['kib']:>9,.0f}{each['compile_ms']:>12,.1f}"
        )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
