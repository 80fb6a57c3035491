"""What texts and patterns tell apart."""

from __future__ import annotations

from collections.abc import Iterator

from tests.prove.adversarial._build import (
    EXCEEDS,
    LABEL,
    USER,
    WITHIN,
    Case,
    allow,
    apart,
    both_ways,
    document,
    equal,
    like,
    null,
    said,
    same,
    unequal,
    unlike,
)


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
    objects = [f"arn:aws:s3:::b/{value}" for value in values]
    yield from both_ways(
        "one of 150 resources missing", allow(resource=objects[:-1]), allow(resource=objects)
    )
    yield from both_ways(
        "one of 150 statements missing",
        allow(*(equal(value) for value in values[:-1])),
        allow(*(equal(value) for value in values)),
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
