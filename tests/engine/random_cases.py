"""Random policies and requests from a small vocabulary, so that they often meet."""

from __future__ import annotations

ACTIONS = [
    "ec2:StopInstances",
    "ec2:StartInstances",
    "s3:GetObject",
    "kms:Decrypt",
    "sts:AssumeRole",
]
ACTION_PATTERNS = [
    *ACTIONS,
    "*",
    "*:*",
    "ec2:*",
    "EC2:Stop*",
    "ec2:St?pInstances",
    "s3:Get*",
    "s3:*Object",
    "kms:*",
    "sts:Assume*",
    "ec2:",
    "e*:StopInstances",
    "ec2",
    "s3:Get Object",
    "ec2:*t*s",
    "sts:GetCallerIdentity",
]
ODD_ACTIONS = ["ec2", "sts:GetCallerIdentity", "ec2:"]
ACCOUNT, OTHER = "111122223333", "444455556666"
RESOURCES = [
    "*",
    f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1",
    f"arn:aws:ec2:us-east-1:{ACCOUNT}:instance/i-2",
    f"arn:aws:ec2:eu-west-1:{OTHER}:instance/i-1",
    "arn:aws:s3:::bucket/alice/file",
    "arn:aws:s3:::bucket",
    f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1",
    f"arn:aws:iam::{ACCOUNT}:role/path/worker",
    "arn:aws:s3:::bucket/a:b*c",
    "not-an-arn",
]
RESOURCE_PATTERNS = [
    *RESOURCES,
    "*",
    "**",
    f"arn:aws:ec2:*:{ACCOUNT}:instance/*",
    "arn:aws:ec2:*:*:instance/i-?",
    "arn:aws:s3:::bucket/*",
    "arn:aws:s3:::bucket/${aws:username}/*",
    "arn:aws:s3:::*/file",
    "arn:aws:s3:::bucket/${aws:username, 'alice'}/file",
    "arn:aws:ec2:${aws:RequestedRegion}:*:*",
    "arn:aws:ec2",
    "arn:aws:s3:*",
    f"arn:aws:ec2:eu-west-1:{ACCOUNT}",
    "arn:aws:ec2:us-*",
    "arn:*",
    "arn:aws:s3:::bucket/${",
    "arn:aws:s3:::bucket/a:b${*}c",
    "arn:a?s:s3:::b*t*",
    "arn:aws:*:*:*:*",
    "arn:aws:s3:::bucket/${aws:tags}",
    f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/*",
    "",
    "${aws:username}",
    "arn:aws:s3:::bucket/${aws:USERNAME}/*i*",
    "arn:aws:iam::*:role/*",
    "arn:aws:s3:::*:*",
]
KEYS = [
    "aws:username",
    "aws:RequestedRegion",
    "aws:tags",
    "aws:SourceIp",
    "aws:Time",
    "aws:Size",
    "aws:Arn",
]
VALUES = {
    "aws:username": [
        "alice",
        "bob",
        "Alice",
        "*",
        "a*",
        "${aws:username}",
        "",
        "alice/../x",
        "a:b",
    ],
    "aws:RequestedRegion": ["eu-west-1", "us-east-1", "EU-WEST-1", "eu-*"],
    "aws:tags": ["Owner", "Team", "team", "true", "TRUE", "false", "YWJj"],
    "aws:SourceIp": [
        "10.1.2.3",
        "10.0.0.0",
        "203.0.113.9",
        "::1",
        "2001:db8::5",
        "2001:0DB8:0::5",
        "x",
        "01.2.3.4",
    ],
    "aws:Time": [
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "1767225600",
        "2026-01-01T02:00:00+02:00",
        "2026",
        "2025-12-31T23:59:59.5Z",
        "1767225599.5",
        "2026-02-30",
        "later",
        "-1",
        "2026-01-01T00:00Z",
    ],
    "aws:Size": ["10", "10.0", "1e1", "-3", "+3", "9", "11", "ten", "", "0010", "1_0", "10."],
    "aws:Arn": [
        "arn:aws:iam::111122223333:role/admin",
        "arn:aws:iam::111122223333:user/bob",
        "arn:aws:iam",
        "arn:aws:iam::444455556666:role/path/admin",
        "arn:aws:s3:::a:b",
    ],
}
POLICY_VALUES = {
    **VALUES,
    "aws:SourceIp": [
        "10.0.0.0/8",
        "10.1.2.3",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "10.1.2.3/33",
        "10.9.9.9/8",
        "x",
        "10.0.0.0/",
        "1.2.3.4/08",
    ],
    "aws:Arn": [
        *VALUES["aws:Arn"],
        "arn:aws:iam::*:role/*",
        "arn:*:*:*:*:*",
        "*",
        "arn:aws:iam::${aws:Account}:*",
        "arn:aws:iam::111122223333:*/${aws:username}",
        "*:aws:iam::*:role/*",
        "arn:aws:*",
        "arn:aws:iam:${",
    ],
}
TEXTS = [
    "${aws:username}",
    "${aws:username, 'alice'}",
    '${ aws:Username ,"bob" }',
    "al*",
    "?lice",
    "*",
    "${*}",
    "${aws:tags}",
    "${aws:missing}",
    "${",
    "${}",
    "${aws:username",
    "a${$}b",
    "x${aws:username}*",
    "A*",
    "${a,b}",
]
BASES = {
    "StringEquals": None,
    "StringNotEquals": None,
    "StringEqualsIgnoreCase": None,
    "StringNotEqualsIgnoreCase": None,
    "StringLike": None,
    "StringNotLike": None,
    "Bool": "aws:tags",
    "BinaryEquals": None,
    "Null": None,
    "IpAddress": "aws:SourceIp",
    "NotIpAddress": "aws:SourceIp",
    "NumericEquals": "aws:Size",
    "NumericNotEquals": "aws:Size",
    "NumericLessThan": "aws:Size",
    "NumericLessThanEquals": "aws:Size",
    "NumericGreaterThan": "aws:Size",
    "NumericGreaterThanEquals": "aws:Size",
    "DateEquals": "aws:Time",
    "DateNotEquals": "aws:Time",
    "DateLessThan": "aws:Time",
    "DateLessThanEquals": "aws:Time",
    "DateGreaterThan": "aws:Time",
    "DateGreaterThanEquals": "aws:Time",
    "ArnEquals": "aws:Arn",
    "ArnLike": "aws:Arn",
    "ArnNotEquals": "aws:Arn",
    "ArnNotLike": "aws:Arn",
    "StringEqual": None,
    "Numeric": None,
}
PRINCIPALS = [
    f"arn:aws:iam::{ACCOUNT}:user/bob",
    f"arn:aws:iam::{ACCOUNT}:role/path/worker",
    f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session",
    f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
    f"arn:aws:iam::{OTHER}:user/bob",
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX",
    "ec2.amazonaws.com",
    None,
]
NAMED = [
    {"AWS": "*"},
    "*",
    {"AWS": [ACCOUNT]},
    {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    *({"AWS": each} for each in PRINCIPALS[:5]),
    {"AWS": [OTHER, f"arn:aws:iam::{ACCOUNT}:user/bob"]},
    {"Service": "ec2.amazonaws.com"},
    {"Federated": "x"},
    {
        "AWS": f"arn:aws:iam::{ACCOUNT}:role/path/worker",
        "Service": ["ec2.amazonaws.com", "s3.amazonaws.com"],
    },
]


def some(random, values, most=3):
    """One value, or a list of up to *most*."""
    if random.random() < 0.6:
        return random.choice(values)
    return [random.choice(values) for _ in range(random.randint(1, most))]


def condition(random):
    base = random.choice(list(BASES))
    key = BASES[base] if BASES[base] and random.random() < 0.9 else random.choice(KEYS)
    operator = random.choice(["", "", "", "ForAllValues:", "ForAnyValue:"]) + base
    operator += "IfExists" if random.random() < 0.25 else ""
    if random.random() < 0.03:
        operator = random.choice(
            ["ForSomeValues:StringEquals", operator.upper(), operator.lower(), ":Bool"]
        )
    values = POLICY_VALUES[key] if random.random() < 0.75 else TEXTS
    if base == "Null" or (base == "Bool" and random.random() < 0.7):
        values = ["true", "false", True, False, "TRUE", "maybe"]
    if random.random() < 0.05:
        values = [10, 10.0, True, 0.5]
    found = some(random, values)
    return (
        operator,
        (key if random.random() < 0.9 else key.upper()),
        ([] if random.random() < 0.01 else found),
    )


def statement(random, *, principal):
    made = {"Effect": "Allow" if random.random() < 0.7 else "Deny"}
    made["Action" if random.random() < 0.85 else "NotAction"] = some(random, ACTION_PATTERNS)
    if random.random() < 0.97:
        patterns = ["*"] if random.random() < 0.4 else RESOURCE_PATTERNS
        made["Resource" if random.random() < 0.8 else "NotResource"] = some(random, patterns)
    if principal and random.random() < 0.95:
        made["Principal" if random.random() < 0.85 else "NotPrincipal"] = random.choice(NAMED)
    for _ in range(random.choice([0, 0, 0, 1, 1, 2])):
        operator, key, values = condition(random)
        made.setdefault("Condition", {}).setdefault(operator, {})[key] = values
    return made


def document(random, *, principal=False, most=3):
    statements = [statement(random, principal=principal) for _ in range(random.randint(1, most))]
    if len(statements) == 1 and random.random() < 0.3:
        statements = statements[0]
    made = {"Statement": statements}
    if random.random() < 0.85:
        made["Version"] = random.choice(["2012-10-17"] * 5 + ["2008-10-17"])
    return made


FULL = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"},
}

WIDE = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def guard(random, *, principal=False):
    """A document of a guardrail: often one that allows everything beside it."""
    own = document(random, principal=principal, most=2)
    return [own, FULL] if random.random() < 0.6 else [own]


def policies(random):
    def maybe(chance, make):
        return make() if random.random() < chance else None

    return {
        "identity": [
            *(document(random) for _ in range(random.choice([0, 1, 1, 1, 2]))),
            *([WIDE] if random.random() < 0.3 else []),
        ],
        "boundary": maybe(0.2, lambda: guard(random)),
        "session": maybe(0.15, lambda: guard(random)),
        "endpoint": maybe(0.1, lambda: guard(random, principal=True)),
        "resource": maybe(0.35, lambda: document(random, principal=True)),
        "scps": [guard(random) for _ in range(random.choice([0, 0, 0, 0, 1, 2]))],
        "rcps": [guard(random, principal=True) for _ in range(random.choice([0, 0, 0, 0, 1, 2]))],
    }


def context(random):
    made = {}
    for key in KEYS:
        if random.random() < 0.6:
            name = key if random.random() < 0.8 else random.choice([key.upper(), key.lower()])
            values = VALUES[key]
            several = random.random() < (0.6 if key == "aws:tags" else 0.1)
            made[name] = (
                [random.choice(values) for _ in range(random.randint(0, 3))]
                if several
                else random.choice(values)
            )
    if random.random() < 0.05:
        made = {key: value for key, value in made.items() if key.lower() != "aws:size"}
        made["aws:Size"] = random.choice([10, 10.0, True, None])
    return made


def request(random):
    action = random.choice(ACTIONS)
    return {
        "action": action
        if random.random() < 0.9
        else random.choice([action.upper(), "ec2", "sts:GetCallerIdentity", "ec2:"]),
        "resource": random.choice(RESOURCES),
        "principal": random.choice(PRINCIPALS),
        "context": context(random),
        "account": random.choice([None, None, ACCOUNT, OTHER]),
    }
