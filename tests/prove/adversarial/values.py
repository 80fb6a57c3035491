"""What values of other kinds tell apart, and whether there is one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.prove.adversarial._build import (
    EXCEEDS,
    LABEL,
    USER,
    WITHIN,
    Case,
    Json,
    allow,
    apart,
    both_ways,
    document,
    equal,
    null,
    said,
    same,
    unequal,
)


def several_values() -> Iterator[Case]:
    key = "aws:CalledVia"
    every = lambda *v: {"ForAllValues:StringEquals": {key: list(v)}}  # noqa: E731
    some = lambda *v: {"ForAnyValue:StringEquals": {key: list(v)}}  # noqa: E731
    present = null("false", key)
    yield from both_ways("all in {a}, or all in {a, b}", allow(every("a")), allow(every("a", "b")))
    yield from both_ways(
        "a and b together are in neither list",
        allow(every("a"), every("b")),
        allow(every("a", "b")),
    )
    yield from same("any of two", allow(some("a", "b")), allow(some("a"), some("b")))
    yield from both_ways(
        "a and b, or one of them",
        allow({"ForAnyValue:StringEquals": {key: ["a"]}, "ForAnyValue:StringLike": {key: ["b"]}}),
        allow(some("a", "b")),
    )
    yield from apart("all hold of none; any does not", allow(every("a")), allow(some("a")))
    yield Case(
        "all of a present key can be all of an empty list",
        allow({**every("a"), **present}),
        allow(some("a")),
        EXCEEDS,
    )
    yield Case(
        "an empty aws:TagKeys is never sent",
        allow(
            {"ForAllValues:StringEquals": {"aws:TagKeys": ["a"]}, **null("false", "aws:TagKeys")},
            action="ec2:CreateTags",
            resource="*",
        ),
        allow(
            {"ForAnyValue:StringEquals": {"aws:TagKeys": ["a"]}},
            action="ec2:CreateTags",
            resource="*",
        ),
        WITHIN,
    )
    yield from both_ways(
        "some value of a present list",
        allow(some("a")),
        allow({"ForAnyValue:StringLike": {key: ["*"]}}),
    )
    yield from same(
        "no value is a",
        allow({"ForAllValues:StringNotEquals": {key: ["a"]}}),
        document(
            said("Allow", {}),
            said("Deny", some("a")),
        ),
    )
    yield from both_ways(
        "some value is not a, or the whole list is not a",
        allow({"ForAllValues:StringNotEquals": {key: ["a"]}, **some("b")}),
        allow({"ForAnyValue:StringNotEquals": {key: ["a"]}}),
    )
    yield Case(
        "a list fits no operator for one value",
        allow({"StringEquals": {key: ["a"]}}),
        document(said("Deny", {})),
        WITHIN,
    )
    yield Case(
        "nor a negated one, but absent it does",
        allow({"StringNotEquals": {key: ["a"]}}),
        allow(null("true", key)),
        WITHIN,
    )
    yield from both_ways(
        "ForAnyValue with IfExists needs the key",
        allow({"ForAnyValue:StringEqualsIfExists": {key: ["a"]}}),
        allow(some("a"), null("true", key)),
    )
    yield from same(
        "one value is a list of one",
        allow({"ForAnyValue:StringEquals": {USER: ["a"]}}),
        allow(equal("a", key=USER)),
    )
    yield from both_ways(
        "and all of one value, but an empty one is no value",
        allow({"StringEqualsIfExists": {USER: ["a"]}}),
        allow({"ForAllValues:StringEquals": {USER: ["a"]}}),
    )
    three = [some("a"), some("b"), some("c")]
    yield from both_ways(
        "two of three",
        allow(
            {
                "ForAnyValue:StringEquals": {key: ["a"]},
                "ForAllValues:StringEquals": {key: ["a", "b"]},
            }
        ),
        allow(*three),
    )


def numbers() -> Iterator[Case]:
    def number(operator: str, *values: str, key: str = "s3:max-keys") -> Json:
        return {f"Numeric{operator}": {key: list(values)}}

    less, upto = "LessThan", "LessThanEquals"
    more, least = "GreaterThan", "GreaterThanEquals"
    yield from both_ways("the bound itself", allow(number(less, "10")), allow(number(upto, "10")))
    yield from both_ways("the lower bound", allow(number(more, "10")), allow(number(least, "10")))
    yield from same("ten is ten", allow(number("Equals", "10")), allow(number("Equals", "10.0")))
    yield from same("ten in powers", allow(number("Equals", "1e1")), allow(number("Equals", "10")))
    yield from same("whole numbers under 10", allow(number(less, "10")), allow(number(upto, "9")))
    size = "ec2:VolumeIops"
    wide = [
        ("fractions", number(upto, "9", key="my:size"), number(less, "10", key="my:size")),
        ("a tiny step", number(less, "10", key=size), number(less, "10.0000001", key=size)),
        ("far below", number(upto, "-1000000", key=size), number(less, "0", key=size)),
        ("one more", number(upto, "1000000000", key=size), number(upto, "1000000001", key=size)),
    ]  # fmt: skip
    for name, small, large in wide:
        yield from both_ways(name, allow(small), allow(large))
    yield from same(
        "either side of a bound, and it",
        allow(number(less, "10"), number(more, "10"), number("Equals", "10")),
        allow(null("false", "s3:max-keys")),
    )
    yield Case(
        "a bound left out",
        allow(null("false", "s3:max-keys")),
        allow(number(less, "10"), number(more, "10")),
        EXCEEDS,
    )
    yield from same(
        "not ten, or absent",
        allow(number("NotEquals", "10")),
        allow(number(less, "10"), number(more, "10"), null("true", "s3:max-keys")),
    )
    yield from both_ways(
        "a text is one spelling of a number",
        allow({"StringEquals": {"my:size": "10"}}),
        allow({"NumericEquals": {"my:size": "10"}}),
    )
    yield from both_ways(
        "a gap of one",
        allow(number(less, "10"), number(more, "11")),
        allow(number(less, "10"), number(more, "10")),
    )
    yield from both_ways(
        "an interval within another",
        allow({**number(more, "5"), **number(less, "9")}),
        allow({**number(least, "5"), **number(upto, "9")}),
    )
    yield Case(
        "an interval with nothing in it",
        allow({**number(more, "9"), **number(less, "10")}),
        document(said("Deny", {})),
        WITHIN,
    )
    yield Case(
        "of fractions it has some",
        allow({**number(more, "9", key="my:size"), **number(less, "10", key="my:size")}),
        document(said("Deny", {})),
        EXCEEDS,
    )


def addresses() -> Iterator[Case]:
    def ip(*ranges: str) -> Json:
        return {"IpAddress": {"aws:SourceIp": list(ranges)}}

    def not_ip(*ranges: str) -> Json:
        return {"NotIpAddress": {"aws:SourceIp": list(ranges)}}

    yield from same("two halves", allow(ip("10.0.0.0/8")), allow(ip("10.0.0.0/9", "10.128.0.0/9")))
    yield from both_ways("a half", allow(ip("10.0.0.0/9")), allow(ip("10.0.0.0/8")))
    yield from both_ways("one address", allow(ip("10.0.0.255")), allow(ip("10.0.0.0/24")))
    yield from both_ways(
        "all but the last address",
        allow({**ip("10.0.0.0/24"), **not_ip("10.0.0.255")}),
        allow(ip("10.0.0.0/24")),
    )
    yield from both_ways(
        "all but the first address",
        allow({**ip("10.0.0.0/24"), **not_ip("10.0.0.0/32")}),
        allow(ip("10.0.0.0/24")),
    )
    yield from same("bits behind the length", allow(ip("10.0.0.77/24")), allow(ip("10.0.0.0/24")))
    yield from same("a bare address", allow(ip("10.0.0.1")), allow(ip("10.0.0.1/32")))
    yield from both_ways(
        "all of IPv4 is not all", allow(ip("0.0.0.0/0")), allow(ip("0.0.0.0/0", "::/0"))
    )
    yield from same(
        "all of both", allow(ip("0.0.0.0/0", "::/0")), allow(null("false", "aws:SourceIp"))
    )
    yield Case(
        "IPv6 is outside every IPv4 range",
        allow(not_ip("0.0.0.0/0")),
        allow(null("true", "aws:SourceIp")),
        EXCEEDS,
    )
    yield from same(
        "not in IPv4 is IPv6 or absent",
        allow(not_ip("0.0.0.0/0")),
        allow(ip("::/0"), null("true", "aws:SourceIp")),
    )
    yield from both_ways("IPv6 ranges", allow(ip("2001:db8::/48")), allow(ip("2001:db8::/32")))
    yield from same("IPv6 spellings", allow(ip("2001:db8::1")), allow(ip("2001:0db8:0:0::0001")))
    yield from both_ways(
        "all but one of 64 parts",
        allow(*(ip(f"10.0.{n}.0/24") for n in range(64) if n != 33)),
        allow(ip("10.0.0.0/18")),
    )
    yield from same(
        "64 parts of a whole",
        allow(*(ip(f"10.0.{n}.0/24") for n in range(64))),
        allow(ip("10.0.0.0/18")),
    )
    yield from both_ways(
        "a neighbour", allow(ip("10.0.0.0/31")), allow(ip("10.0.0.0/31", "10.0.0.2"))
    )
    yield from both_ways(
        "the last of all", allow(ip("255.255.255.254")), allow(ip("255.255.255.254/31"))
    )


def moments() -> Iterator[Case]:
    key = "aws:CurrentTime"

    def date(operator: str, *values: str) -> Json:
        return {f"Date{operator}": {key: list(values)}}

    noon = "2026-01-01T12:00:00Z"
    yield from both_ways(
        "the moment itself", allow(date("LessThan", noon)), allow(date("LessThanEquals", noon))
    )
    yield from same(
        "another zone",
        allow(date("Equals", noon)),
        allow(date("Equals", "2026-01-01T13:00:00+01:00")),
    )
    yield from same(
        "seconds since 1970", allow(date("Equals", noon)), allow(date("Equals", "1767268800"))
    )
    yield from same(
        "a day is its first moment",
        allow(date("Equals", "2026-01-01")),
        allow(date("Equals", "2026-01-01T00:00:00Z")),
    )
    yield from both_ways(
        "a second later",
        allow(date("LessThan", noon)),
        allow(date("LessThan", "2026-01-01T12:00:01Z")),
    )
    yield from both_ways(
        "a window",
        allow({**date("GreaterThan", noon), **date("LessThan", "2026-01-02T12:00:00Z")}),
        allow(date("GreaterThan", noon)),
    )
    yield from same(
        "before, then and after are always",
        allow(date("LessThan", noon), date("GreaterThanEquals", noon)),
        allow(),
    )
    yield Case(
        "that moment left out",
        allow(),
        allow(date("LessThan", noon), date("GreaterThan", noon)),
        EXCEEDS,
    )
    yield Case(
        "a window of nothing",
        allow({**date("GreaterThan", noon), **date("LessThan", noon)}),
        document(said("Deny", {})),
        WITHIN,
    )


def presence() -> Iterator[Case]:
    if_exists = {"StringEqualsIfExists": {LABEL: ["a"]}}
    yield from both_ways("present or absent", allow(equal("a")), allow(if_exists))
    yield from same("IfExists is or absent", allow(if_exists), allow(equal("a"), null("true")))
    yield from same(
        "negated is or absent",
        allow(unequal("a")),
        allow({"StringNotEqualsIfExists": {LABEL: ["a"]}}),
    )
    yield from both_ways(
        "present and not a", allow({**unequal("a"), **null("false")}), allow(unequal("a"))
    )
    yield from same("present or absent is all", allow(null("true"), null("false")), allow())
    yield from apart("present, absent", allow(null("true")), allow(null("false")))
    yield Case(
        "both at once is never",
        allow({"Null": {LABEL: "true"}, "StringLike": {LABEL: "*"}}),
        document(said("Deny", {})),
        WITHIN,
    )
    mfa = "aws:MultiFactorAuthPresent"
    yield from both_ways(
        "the MFA trap", allow({"Bool": {mfa: "true"}}), allow({"BoolIfExists": {mfa: "true"}})
    )
    yield from apart(
        "denied unless false",
        allow({"Bool": {mfa: "false"}}),
        allow({"BoolIfExists": {mfa: "true"}}),
    )
    yield from same(
        "true or false is present",
        allow({"Bool": {mfa: ["true", "false"]}}),
        allow(null("false", mfa)),
    )
    yield from same(
        "booleans heed no case", allow({"Bool": {mfa: "TRUE"}}), allow({"Bool": {mfa: "true"}})
    )
    yield Case(
        "a deny that an absent key slips by",
        document(said("Allow", {}), said("Deny", {"Bool": {mfa: "false"}})),
        allow({"Bool": {mfa: "true"}}),
        EXCEEDS,
    )
    yield Case(
        "a deny that it does not",
        document(said("Allow", {}), said("Deny", {"BoolIfExists": {mfa: "false"}})),
        allow({"Bool": {mfa: "true"}}),
        WITHIN,
    )
    region = "aws:RequestedRegion"
    yield Case(
        "a region is always there",
        document(said("Allow", {}), said("Deny", unequal("eu-west-1", key=region))),
        allow(equal("eu-west-1", key=region)),
        WITHIN,
    )
    yield Case(
        "IfExists on what is always there",
        allow({"StringEqualsIfExists": {region: "eu-west-1"}}),
        allow(equal("eu-west-1", key=region)),
        WITHIN,
    )
    yield Case(
        "transport is secure or not",
        allow(),
        allow(
            {"Bool": {"aws:SecureTransport": "true"}}, {"Bool": {"aws:SecureTransport": "false"}}
        ),
        WITHIN,
    )
    yield Case(
        "an address is not always there",
        allow(),
        allow({"IpAddress": {"aws:SourceIp": ["0.0.0.0/0", "::/0"]}}),
        EXCEEDS,
    )
