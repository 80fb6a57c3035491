"""Compare the engine with the reference evaluator on random policies and requests.

python -m tests.engine.differential [PAIRS] [SEED]
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from random import Random

from cml_iam.engine import Request, compile_policies
from tests.engine import random_cases, reference

REQUESTS_PER_POLICIES = 20


def mismatches(pairs, seed):
    """Yield (policies, request, engine's outcome, reference's outcome); count the outcomes."""
    random = Random(seed)  # noqa: S311 - repeatable, not secret
    for _ in range(pairs // REQUESTS_PER_POLICIES):
        policies = random_cases.policies(random)
        authorizer = compile_policies(**policies)
        for _ in range(REQUESTS_PER_POLICIES):
            request = random_cases.request(random)
            found = authorizer.decide(
                Request(
                    request["action"],
                    request["resource"],
                    request["principal"],
                    request["context"],
                    request["account"],
                )
            ).outcome
            expected = reference.decide(policies, request)
            yield policies, request, found, expected


def main():
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    outcomes, wrong, done = Counter(), 0, 0
    for policies, request, found, expected in mismatches(pairs, seed):
        outcomes[expected] += 1
        done += 1
        if found != expected:
            wrong += 1
            if wrong <= 5:
                print(json.dumps({"policies": policies, "request": request}))
                print("engine:", found, "reference:", expected)
        if done % 100_000 == 0:
            print(f"{done:,} pairs, {wrong} mismatches", file=sys.stderr, flush=True)
    print(f"{done:,} pairs, {wrong} mismatches, outcomes {dict(outcomes)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
