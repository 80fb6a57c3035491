"""CPU-seconds and memory of eight questions about an account, with and without paths.

    python -m benchmarks.who.measure account.json [scps.json]

The account is a response of iam:GetAccountAuthorizationDetails.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cml_iam.who import Account, Asker, Paths, Question, account_of, holders, with_scps

KIB = 1024
INSTANCE = "arn:aws:ec2:us-east-1:{account}:instance/i-0a1b2c3d4e5f60001"
ON_INSTANCES = (
    "ec2:TerminateInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:CreateTags",
    "ec2:DeleteTags",
)
ON_ANYTHING = ("iam:CreateAccessKey", "iam:PassRole", "cloudtrail:StopLogging")


def questions(account: Account) -> Iterator[Question]:
    """Yield the eight questions."""
    for action in ON_INSTANCES:
        yield Question(action, INSTANCE.format(account=account.number))
    yield from map(Question, ON_ANYTHING)


def main() -> None:
    """Print one line for each question, then the memory."""
    account = account_of(json.loads(Path(sys.argv[1]).read_text()))
    if len(sys.argv) > 2:
        account = with_scps(account, json.loads(Path(sys.argv[2]).read_text()))
    print(f"{len(account.members)} principals")
    for steps in (False, True):
        asker = Asker(account, datetime(2026, 3, 1, tzinfo=UTC))
        paths = Paths(asker) if steps else None
        began = time.process_time()
        for question in questions(account):
            holders(question, asker, paths)
            took = time.process_time() - began
            print(f"{'with' if steps else 'without'} steps {took:7.2f} s  {question.action}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // KIB} MiB")


if __name__ == "__main__":
    main()
