"""How the cost of judging a policy grows with its statements, and with the actions of one.

python benchmarks/lint/growth.py [--readme]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cml_iam import facts
from cml_iam.lint import lint_text

README = Path(__file__).with_name("README.md")
MARK = "<!-- made by growth.py -->"
Statements = list[dict[str, Any]]


def different(count: int) -> Statements:
    """Return statements about other resources and other callers each, every fifth a Deny."""
    return [
        {
            "Effect": "Allow" if number % 5 else "Deny",
            "Action": ["ec2:StartInstances", "ec2:StopInstances", "s3:GetObject"],
            "Resource": [
                f"arn:aws:ec2:us-east-1:111122223333:instance/i-{number:017x}",
                f"arn:aws:s3:::bucket-{number}/*",
            ],
            "Condition": {"StringEquals": {"aws:PrincipalTag/team": f"team-{number}"}},
        }
        for number in range(count)
    ]


def tag_gates(count: int) -> Statements:
    """Return statements that each open another tag's gate to who may set tags."""
    return [
        {
            "Effect": "Allow",
            "Action": ["ec2:TerminateInstances", "ec2:CreateTags"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:ResourceTag/team": f"team-{number}"}},
        }
        for number in range(count)
    ]


def alike(count: int) -> Statements:
    """Return the same statement again and again."""
    return [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}] * count


def actions(count: int) -> Statements:
    """Return one statement with so many of AWS's actions."""
    owners = filter(None, map(facts.service, sorted(facts.services())))
    names = [f"{owner.name}:{name}" for owner in owners for name in owner.action_names]
    listed = [names[number % len(names)] for number in range(count)]
    return [{"Effect": "Allow", "Action": listed, "Resource": "*"}]


STATEMENTS = (1, 10, 100, 200, 1_600, 20_000)
GROWTH: dict[str, tuple[Callable[[int], Statements], tuple[int, ...]]] = {
    "different statements": (different, STATEMENTS),
    "statements that are tag gates": (tag_gates, STATEMENTS),
    "the same statement": (alike, STATEMENTS),
    "actions of one statement": (actions, (1, 10, 100, 1_000, 10_000, 100_000)),
}


def seconds(statements: Statements) -> float:
    """Return the CPU time to judge a document of *statements*."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    start = time.process_time()
    lint_text(text)
    return time.process_time() - start


def table() -> str:
    """Return the times as a table, one row for what grows."""
    lines = ["| what grows | from | | | | | to |", "|---|---|---|---|---|---|---|"]
    for name, (make, sizes) in GROWTH.items():
        cells = " | ".join(f"{size:,}: {seconds(make(size)):.2f} s" for size in sizes)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    arguments = parser.parse_args()
    seconds(actions(1))  # what is read once, and not of the document
    made = table()
    if arguments.readme:
        head, _, _ = README.read_text("utf-8").partition(MARK)
        README.write_text(f"{head}{MARK}\n\n{made}\n", "utf-8")
    else:
        print(made)


if __name__ == "__main__":
    main()
