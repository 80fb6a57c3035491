"""The two workloads: the given one, whose 384 requests repeat, and one without any repetition."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

GIVEN = Path(__file__).resolve().parents[3] / "shared" / "benchmark" / "workload.json"
REGIONS = ["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"]
TYPES = ["t3.large", "m6i.xlarge", "p5.48xlarge", "c5.metal"]
KINDS = ["instance/i-", "volume/vol-", "image/ami-", "subnet/subnet-", "security-group/sg-"]


def given(path: Path = GIVEN) -> dict:
    """Return the workload of 2 principals, 12 actions, 4 resources and 4 contexts."""
    return json.loads(path.read_text())


def different(base: dict, count: int = 25_000, seed: int = 1) -> dict:
    """Return *count* requests to the same policies, no two alike in resource or context."""
    random = Random(seed)
    actions = sorted({request["action"] for request in base["requests"]})
    return {
        "account": base["account"],
        "principals": base["principals"],
        "rounds": 1,
        "requests": [_request(random, base, actions, number) for number in range(count)],
    }


def _request(random: Random, base: dict, actions: list[str], number: int) -> dict:
    principal = random.randrange(len(base["principals"]))
    region = random.choice(REGIONS)
    kind = random.choice(KINDS)
    account = "" if kind.startswith("image") else base["account"]
    return {
        "principal": principal,
        "action": random.choice(actions),
        "resource": f"arn:aws:ec2:{region}:{account}:{kind}{number:017x}",
        "context": {
            "aws:RequestedRegion": region,
            "aws:SecureTransport": random.choice(["true", "false"]),
            "aws:SourceIp": random.choice(["10.", "203."]) + _dotted(random, 3),
            "aws:PrincipalArn": base["principals"][principal]["arn"],
            "aws:userid": f"AROAEXAMPLE:session-{number}",
            "aws:RequestTag/ManagedBy": random.choice(["worker-manager", f"other-{number}"]),
            "aws:ResourceTag/ManagedBy": random.choice(["worker-manager", f"other-{number}"]),
            f"aws:ResourceTag/Project-{number}": "one of its kind",
            "aws:TagKeys": ["ManagedBy", f"worker-{number}"],
            "ec2:CreateAction": random.choice(["RunInstances", "CreateVolume"]),
            "ec2:InstanceType": random.choice(TYPES),
            "ec2:VolumeSize": str(random.randrange(1, 400)),
        },
    }


def _dotted(random: Random, parts: int) -> str:
    return ".".join(str(random.randrange(256)) for _ in range(parts))
