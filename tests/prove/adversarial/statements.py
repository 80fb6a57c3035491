"""What elements of statements, ARNs and many keys together tell apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tests.prove.adversarial._build import (
    EXCEEDS,
    OBJECT,
    WITHIN,
    Case,
    Json,
    allow,
    both_ways,
    document,
    equal,
    like,
    null,
    said,
    same,
    unequal,
)


def elements() -> Iterator[Case]:
    everything = document(said("Allow", {}, "*", "*"))
    yield Case(
        "NotAction is all others",
        document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
        everything,
        WITHIN,
    )
    yield Case(
        "and not all",
        everything,
        document({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
        EXCEEDS,
    )
    yield from same(
        "NotAction and its actions",
        document(
            {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
            said("Allow", {}, "iam:*", "*"),
        ),
        everything,
    )
    yield Case(
        "but for one action",
        everything,
        document(
            {
                "Effect": "Allow",
                "NotAction": ["iam:*", "s3:PutBucketNotification"],
                "Resource": "*",
            },
            said("Allow", {}, "iam:*", "*"),
        ),
        EXCEEDS,
    )
    other = document({"Effect": "Allow", "Action": "s3:GetObject", "NotResource": OBJECT})
    yield Case("NotResource is all others", other, allow(resource="*"), WITHIN)
    yield from same(
        "NotResource and its resources",
        document(*other["Statement"], *allow()["Statement"]),
        allow(resource="*"),
    )
    yield from same(
        "Deny NotResource",
        document(
            said("Allow", {}, resource="*"),
            {"Effect": "Deny", "Action": "s3:*", "NotResource": OBJECT},
        ),
        allow(),
    )
    yield Case(
        "Deny NotResource of two",
        document(
            said("Allow", {}, resource="*"),
            {"Effect": "Deny", "Action": "s3:*", "NotResource": [OBJECT, "arn:aws:s3:::c/*"]},
        ),
        allow(),
        EXCEEDS,
    )
    yield Case(
        "Deny NotAction",
        document(
            said("Allow", {}, "s3:*", "*"),
            {"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*"},
        ),
        document(said("Allow", {}, "s3:Get*", "*")),
        WITHIN,
    )
    yield Case(
        "Deny NotAction, the other way",
        document(said("Allow", {}, "s3:Get*", "*")),
        document(
            said("Allow", {}, "s3:*", "*"),
            {"Effect": "Deny", "NotAction": "s3:Get*", "Resource": "*"},
        ),
        WITHIN,
    )
    yield Case(
        "a deny of one object",
        allow(),
        document(said("Allow", {}), said("Deny", {}, resource="arn:aws:s3:::b/secret")),
        EXCEEDS,
    )
    yield Case(
        "a deny of a bucket is none of its objects",
        allow(),
        document(said("Allow", {}), said("Deny", {}, "s3:*", "arn:aws:s3:::b")),
        WITHIN,
    )
    yield Case(
        "a deny on a value that another fact excludes",
        allow(equal("a")),
        document(said("Allow", {}), said("Deny", unequal("a"))),
        WITHIN,
    )
    yield Case(
        "an Allow that a Deny takes back",
        document(said("Allow", {}), said("Deny", {}, "s3:*", "*")),
        document(said("Deny", {})),
        WITHIN,
    )
    yield Case(
        "a wildcard in the service names nothing",
        document(said("Allow", {}, "s*:GetObject", "*")),
        document(said("Deny", {})),
        WITHIN,
    )
    yield Case(
        "a boundary cuts",
        document(said("Allow", {}, "*", "*")),
        allow(equal("a")),
        WITHIN,
        boundary=allow(equal("a")),
    )
    yield Case(
        "a boundary grants nothing",
        allow(equal("a")),
        document(said("Deny", {})),
        WITHIN,
        boundary=allow(equal("b")),
    )
    yield Case(
        "a boundary's deny counts",
        document(said("Allow", {}, "*", "*")),
        allow(null("false")),
        WITHIN,
        boundary=document(said("Allow", {}), said("Deny", null("true"))),
    )
    yield Case(
        "a boundary leaves too much",
        document(said("Allow", {}, "*", "*")),
        allow(equal("a")),
        EXCEEDS,
        boundary=allow(equal("a", "b")),
    )
    yield Case(
        "`s3:Get*` is more than GetObject",
        allow(action="s3:Get*", resource="*"),
        allow(action="s3:GetObject", resource="*"),
        EXCEEDS,
    )
    # AWS has no other action of that name, but may come to have one.
    yield Case(
        "`s3:GetObjec?` is not GetObject alone", allow(action="s3:GetObjec?"), allow(), EXCEEDS
    )


def arns() -> Iterator[Case]:
    key = "aws:PrincipalArn"
    role = "arn:aws:iam::111122223333:role/a"

    def arn(*patterns: str, operator: str = "ArnLike") -> Json:
        return {operator: {key: list(patterns)}}

    yield from same(
        "ArnEquals takes wildcards",
        allow(arn("arn:aws:iam::*:role/a*")),
        allow(arn("arn:aws:iam::*:role/a*", operator="ArnEquals")),
    )
    yield from both_ways(
        "a star stays in its field",
        allow(arn("arn:aws:iam::*:role/a")),
        allow(like("arn:aws:iam::*:role/a", key=key)),
    )
    yield from both_ways(
        "but for the last", allow(arn("arn:aws:iam::1:role/*")), allow(arn("arn:aws:iam::*:role/*"))
    )
    yield from both_ways(
        "any account, or this", allow(arn(role)), allow(arn("arn:aws:iam::*:role/a"))
    )
    yield from both_ways(
        "no account is not this one",
        allow({"ArnLike": {"aws:SourceArn": "arn:aws:iam::?*:role/a"}}),
        allow({"ArnLike": {"aws:SourceArn": "arn:aws:iam::*:role/a"}}),
    )
    yield from same(
        "a principal has an account",
        allow(arn("arn:aws:iam::?*:role/a")),
        allow(arn("arn:aws:iam::*:role/a")),
    )
    yield from same("an exact one is a text", allow(arn(role)), allow(equal(role, key=key)))
    yield from same(
        "a short pattern fits nothing", document(said("Deny", {})), allow(arn("arn:aws:iam::*"))
    )
    instance = "arn:aws:ec2:*:111122223333:instance/*"
    yield from both_ways(
        "one region",
        allow(action="ec2:StopInstances", resource="arn:aws:ec2:eu-west-1:111122223333:instance/*"),
        allow(action="ec2:StopInstances", resource=instance),
    )
    yield from both_ways(
        "one account",
        allow(action="ec2:StopInstances", resource=instance),
        allow(action="ec2:StopInstances", resource="arn:aws:ec2:*:*:instance/*"),
    )
    yield from both_ways(
        "one partition",
        allow(action="ec2:StopInstances", resource="arn:aws:ec2:*:*:instance/*"),
        allow(action="ec2:StopInstances", resource="arn:*:ec2:*:*:instance/*"),
    )
    yield Case(
        "its type is all that can be stopped",
        allow(action="ec2:StopInstances", resource="arn:aws:ec2:*:*:*"),
        allow(action="ec2:StopInstances", resource="arn:aws:ec2:*:*:instance/*"),
        WITHIN,
    )
    yield Case(
        "tags go on more types",
        allow(action="ec2:CreateTags", resource="arn:aws:ec2:*:*:*"),
        allow(action="ec2:CreateTags", resource="arn:aws:ec2:*:*:instance/*"),
        EXCEEDS,
    )
    yield Case(
        "a bucket is no object",
        allow(resource="arn:aws:s3:::b*"),
        allow(resource="arn:aws:s3:::b*/*"),
        WITHIN,
    )
    yield Case(
        "lists are of buckets",
        allow(action="s3:ListBucket", resource="arn:aws:s3:::b*"),
        allow(action="s3:ListBucket", resource="arn:aws:s3:::b"),
        EXCEEDS,
    )
    yield Case(
        "a star alone is also no resource",
        allow(action="ec2:DescribeInstances", resource="*"),
        allow(action="ec2:DescribeInstances", resource="arn:aws:ec2:*:*:*"),
        EXCEEDS,
    )
    yield Case(
        "Describe* is on no resource",
        allow(action="ec2:DescribeInstances", resource="arn:aws:ec2:*:*:*"),
        document(said("Deny", {})),
        WITHIN,
    )
    yield from same(
        "three fields stand for six",
        allow(resource="arn:aws:s3"),
        allow(resource="arn:aws:s3:*:*:*"),
    )


def many_keys() -> Iterator[Case]:
    """Differences that need several keys at once, each at a value of few."""
    for count in (4, 8, 12):
        keys = [f"my:key{n}" for n in range(count)]
        secret = {"StringEquals": dict.fromkeys(keys, "odd")}
        yield Case(
            f"one combination of {count} keys", allow(secret), document(said("Deny", {})), EXCEEDS
        )
        parts = [{"StringNotEquals": {key: "odd"}} for key in keys]
        yield Case(f"all but one combination of {count} keys", allow(), allow(*parts), EXCEEDS)
        yield from same(f"and with it, of {count} keys", allow(), allow(*parts, secret))
    choices = ["a", "b", "c"]
    cube = [
        {"StringEquals": dict(zip(("my:x", "my:y", "my:z"), each, strict=True))}
        for each in product(choices, repeat=3)
    ]
    whole = {"StringEquals": {"my:x": choices, "my:y": choices, "my:z": choices}}
    yield from same("27 cells of a cube", allow(*cube), allow(whole))
    yield from both_ways("26 cells of a cube", allow(*cube[:13], *cube[14:]), allow(whole))
