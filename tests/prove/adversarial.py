"""Pairs of policies whose difference random requests miss, with the answer each must get.

The answers follow from how each pair is built, which the comments and names say; none was taken
from the prover. `WITHIN`: the candidate grants nothing new; `EXCEEDS`: it does. Names are the
cases' ids.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

WITHIN, EXCEEDS = "holds", "broken"
OBJECT = "arn:aws:s3:::b/*"
Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    name: str
    candidate: Json
    reference: Json
    answer: str
    boundary: Json | None = None
    """Of the candidate."""


def allow(*conditions: Json, action: Any = "s3:GetObject", resource: Any = OBJECT) -> Json:
    """A policy with one Allow for each of *conditions*; with none, one without conditions."""
    return document(*(said("Allow", each, action, resource) for each in conditions or ({},)))


def document(*statements: Json, version: str = "2012-10-17") -> Json:
    return {"Version": version, "Statement": list(statements)}


def said(
    effect: str, condition: Json, action: Any = "s3:GetObject", resource: Any = OBJECT
) -> Json:
    made = {"Effect": effect, "Action": action, "Resource": resource}
    return made | ({"Condition": condition} if condition else {})


def both_ways(name: str, small: Json, large: Json) -> Iterator[Case]:
    """*small* grants less than *large*."""
    yield Case(f"{name}, narrower", small, large, WITHIN)
    yield Case(f"{name}, wider", large, small, EXCEEDS)


def same(name: str, one: Json, other: Json) -> Iterator[Case]:
    yield Case(f"{name}, one way", one, other, WITHIN)
    yield Case(f"{name}, other way", other, one, WITHIN)


def apart(name: str, one: Json, other: Json) -> Iterator[Case]:
    """Each grants something the other does not."""
    yield Case(f"{name}, one way", one, other, EXCEEDS)
    yield Case(f"{name}, other way", other, one, EXCEEDS)


USER, LABEL = "aws:username", "my:label"


def like(*patterns: str, key: str = LABEL) -> Json:
    return {"StringLike": {key: list(patterns)}}


def unlike(*patterns: str, key: str = LABEL) -> Json:
    return {"StringNotLike": {key: list(patterns)}}


def equal(*texts: str, key: str = LABEL) -> Json:
    return {"StringEquals": {key: list(texts)}}


def unequal(*texts: str, key: str = LABEL) -> Json:
    return {"StringNotEquals": {key: list(texts)}}


def null(value: str, key: str = LABEL) -> Json:
    return {"Null": {key: value}}


def empty_texts() -> Iterator[Case]:
    yield from both_ways("`?*` leaves out the empty text", allow(like("?*")), allow(like("*")))
    yield from same("`*` is `?*` and the empty text", allow(like("*")), allow(like("?*", "")))
    yield from same("`*` is every present text", allow(like("*")), allow(null("false")))
    yield from same(
        "what is not `?*` is empty or absent",
        allow(unlike("?*")),
        allow(equal(""), null("true")),
    )
    yield from both_ways("absent is not empty", allow(equal("")), allow(equal(""), null("true")))
    yield from apart("empty is not absent", allow(equal("")), allow(null("true")))
    yield from both_ways(
        "not `x` but not empty", allow({**unequal("x"), **like("?*")}), allow(unequal("x"))
    )
    yield from same("`**` is `*`", allow(like("a**b")), allow(like("a*b")))
    yield from both_ways("`a*` has `a` itself", allow(like("a?*")), allow(like("a*")))
    yield from same("`a*` is `a` and `a?*`", allow(like("a*")), allow(like("a?*", "a")))
    yield from both_ways("`*a*` begins where `a*` does", allow(like("a*")), allow(like("*a*")))
    yield from same("an empty pattern is the empty text", allow(like("")), allow(equal("")))


def letter_case() -> Iterator[Case]:
    fold = {"StringEqualsIgnoreCase": {LABEL: ["Ab"]}}
    every = ["ab", "aB", "Ab", "AB"]
    yield from both_ways("one spelling of four", allow(equal("Ab")), allow(fold))
    yield from same("all four spellings", allow(fold), allow(equal(*every)))
    for missing in every:
        rest = [each for each in every if each != missing]
        yield from both_ways(f"all spellings but {missing}", allow(equal(*rest)), allow(fold))
    unfold = {"StringNotEqualsIgnoreCase": {LABEL: ["Ab"]}}
    yield from both_ways("no spelling at all", allow(unfold), allow(unequal("Ab")))
    yield from same("no spelling, four ways", allow(unfold), allow(unequal(*every)))
    yield from apart("patterns heed case", allow(like("a*")), allow(like("A*")))
    yield from both_ways(
        "IgnoreCase takes no wildcards",
        allow({"StringEqualsIgnoreCase": {LABEL: ["a*"]}}),
        allow(like("a*", "A*")),
    )
    yield from same(
        "actions heed no case", allow(action="S3:getobject"), allow(action="s3:GetObject")
    )
    yield from apart(
        "resources heed case",
        allow(resource="arn:aws:s3:::b/A"),
        allow(resource="arn:aws:s3:::b/a"),
    )
    yield from same(
        "condition keys heed no case",
        allow(equal("x", key="MY:Label")),
        allow(equal("x", key="my:label")),
    )
    yield from same(
        "digits have no case",
        allow({"StringEqualsIgnoreCase": {LABEL: ["12-3"]}}),
        allow(equal("12-3")),
    )


def long_lists() -> Iterator[Case]:
    values = [f"value-{n:03}" for n in range(150)]
    for position in (0, 74, 149):
        fewer = values[:position] + values[position + 1 :]
        yield from both_ways(
            f"one of 150 missing ({position})", allow(equal(*fewer)), allow(equal(*values))
        )
        yield from both_ways(
            f"one of 150 not excluded ({position})",
            allow(unequal(*values)),
            allow(unequal(*fewer)),
        )
        odd = [*fewer, values[position].upper()]
        yield from apart(
            f"one of 150 in capitals ({position})", allow(equal(*odd)), allow(equal(*values))
        )
        spaced = [*fewer, values[position] + " "]
        yield from apart(
            f"one of 150 with a blank ({position})", allow(equal(*spaced)), allow(equal(*values))
        )
    yield from both_ways("150 values of a pattern", allow(equal(*values)), allow(like("value-???")))
    yield from both_ways(
        "a pattern but for one",
        allow({**like("value-*"), **unequal("value-074")}),
        allow(like("value-*")),
    )
    objects = [f"arn:aws:s3:::b/{each}" for each in values]
    yield from both_ways(
        "one of 150 resources missing", allow(resource=objects[:-1]), allow(resource=objects)
    )
    yield from both_ways(
        "one of 150 statements missing",
        allow(*(equal(each) for each in values[:-1])),
        allow(*(equal(each) for each in values)),
    )
    digits = [f"{n}" for n in range(10)]
    yield from both_ways("ten digits are not all texts", allow(equal(*digits)), allow(like("?")))


def wildcards() -> Iterator[Case]:
    pairs = [
        ("a?", "a*"),
        ("a??", "a?*"),
        ("?*?", "*?"),
        ("*a*b*", "*a*"),
        ("ab*ab", "ab*"),
        ("a*a", "a*"),
        ("*ab", "*b"),
        ("a*b*c", "a*c"),
        ("?a", "*a"),
        ("aa*", "a*"),
        ("a?c", "a*c"),
        ("abab*", "*ab*"),
        ("*.*.*", "*.*"),
    ]
    for small, large in pairs:
        yield from both_ways(f"`{small}` in `{large}`", allow(like(small)), allow(like(large)))
    for one, other in [("a?", "?b"), ("a*", "*b"), ("a*a", "aa"), ("ab*", "*ab"), ("a?a", "a*aa")]:
        if (one, other) != ("a*a", "aa"):
            yield from apart(f"`{one}` and `{other}`", allow(like(one)), allow(like(other)))
    for one, other in [("?*", "*?"), ("*??", "?*?"), ("a*?", "a?*"), ("***", "*")]:
        yield from same(f"`{one}` is `{other}`", allow(like(one)), allow(like(other)))
    yield from both_ways("`a*a` takes two letters", allow(like("a*a")), allow(like("a*a", "a")))
    yield from same("`*` by length", allow(like("*")), allow(like("", "?", "??", "???*")))
    yield from both_ways(
        "`*` by length, but for three",
        allow(like("", "?", "??", "????*")),
        allow(like("*")),
    )
    yield from same(
        "a pattern and its complement",
        allow(like("*a*"), unlike("*a*")),
        allow(),
    )
    yield from both_ways(
        "a pattern and nearly its complement",
        allow(like("*a*"), unlike("*a*", "zz")),
        allow(),
    )
    yield from same("StringEquals takes `*` as it stands", allow(equal("a*")), allow(like("a${*}")))
    yield from same("`${?}` is a question mark", allow(equal("a?")), allow(like("a${?}")))


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
    yield from same(
        "and all of one value",
        allow({"ForAllValues:StringEquals": {USER: ["a"]}}),
        allow({"StringEqualsIfExists": {USER: ["a"]}}),
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


def variables() -> Iterator[Case]:
    mine = "arn:aws:s3:::b/${aws:username}/*"
    yield from both_ways(
        "one's own folder", allow(resource=mine), allow(resource="arn:aws:s3:::b/*/*")
    )
    yield from apart(
        "a variable is no literal", allow(resource=mine), allow(resource="arn:aws:s3:::b/$*")
    )
    yield from apart(
        "nor its own text",
        allow(resource=mine),
        allow(resource="arn:aws:s3:::b/${*}{aws:username}/*"),
    )
    yield Case(
        "a name may have a letter",
        allow(resource=mine),
        allow(resource=["arn:aws:s3:::b/b*", "arn:aws:s3:::b/c*"]),
        EXCEEDS,
    )
    yield Case(
        "a name may be any folder",
        allow(resource=mine),
        document(said("Allow", {}), said("Deny", {}, resource="arn:aws:s3:::b/admin/*")),
        EXCEEDS,
    )
    yield Case(
        "a name may be the folder of another",
        document(
            said("Allow", {}, resource=mine),
            said("Deny", {}, resource="arn:aws:s3:::b/admin/*"),
        ),
        document(
            said("Allow", {}, resource="arn:aws:s3:::b/*/*"),
            said("Deny", {}, resource="arn:aws:s3:::b/admin/*"),
        ),
        WITHIN,
    )
    yield from both_ways(
        "one's own folder, or a file of one's own name",
        allow(resource=mine),
        allow(resource=["arn:aws:s3:::b/${aws:username}", mine]),
    )
    yield from both_ways(
        "one's own folder, or names that begin so",
        allow(resource=mine),
        allow(resource="arn:aws:s3:::b/${aws:username}*"),
    )
    yield Case(
        "only bob, only his folder",
        allow(equal("bob", key=USER), resource=mine),
        allow(resource="arn:aws:s3:::b/bob/*"),
        WITHIN,
    )
    yield Case(
        "his folder, for whomever",
        allow(resource="arn:aws:s3:::b/bob/*"),
        allow(equal("bob", key=USER), resource=mine),
        EXCEEDS,
    )
    yield Case(
        "those that begin with b, folders that do",
        allow(like("b*", key=USER), resource=mine),
        allow(resource="arn:aws:s3:::b/b*"),
        WITHIN,
    )
    yield Case(
        "an empty name leads to an empty folder",
        allow(like("*", key=USER), resource=mine),
        allow(resource="arn:aws:s3:::b/?*/*"),
        EXCEEDS,
    )
    yield from same(
        "the default of an absent key",
        allow(null("true", USER), resource="arn:aws:s3:::b/${aws:username, 'nobody'}"),
        allow(null("true", USER), resource="arn:aws:s3:::b/nobody"),
    )
    yield Case(
        "a default is only for an absent key",
        allow(resource="arn:aws:s3:::b/${aws:username, 'nobody'}"),
        allow(resource="arn:aws:s3:::b/nobody"),
        EXCEEDS,
    )
    yield Case(
        "without a value nothing is named",
        allow(null("true", USER), resource=mine),
        document(said("Deny", {})),
        WITHIN,
    )
    yield Case(
        "in the older version it is plain text",
        document(said("Allow", {}, resource=mine), version="2008-10-17"),
        allow(resource="arn:aws:s3:::b/$*"),
        WITHIN,
    )
    yield from both_ways(
        "tags of one's own name",
        allow(
            equal("${aws:username}", key="aws:ResourceTag/Owner"),
            action="ec2:StopInstances",
            resource="*",
        ),
        allow(null("false", "aws:ResourceTag/Owner"), action="ec2:StopInstances", resource="*"),
    )
    yield from both_ways(
        "tags that begin with one's own name",
        allow(
            equal("${aws:username}", key="aws:ResourceTag/Owner"),
            action="ec2:StopInstances",
            resource="*",
        ),
        allow(
            like("${aws:username}*", key="aws:ResourceTag/Owner"),
            action="ec2:StopInstances",
            resource="*",
        ),
    )
    yield Case(
        "a value's own star is no wildcard",
        allow(
            {**equal("*", key=USER), **like("${aws:username}")},
        ),
        allow(equal("*")),
        WITHIN,
    )
    yield from apart(
        "two people's folders",
        allow(resource=mine),
        allow(resource="arn:aws:s3:::b/${aws:userid}/*"),
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


def cases() -> list[Case]:
    families = (
        empty_texts, letter_case, long_lists, wildcards, several_values, variables, numbers,
        addresses, moments, presence, elements, arns, many_keys,
    )  # fmt: skip
    return [
        Case(f"{family.__name__}: {c.name}", c.candidate, c.reference, c.answer, c.boundary)
        for family in families
        for c in family()
    ]
