"""What policies tell instances apart by: ARNs, regions, and the tags that they test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final

from cml_iam.engine import OperatorName
from cml_iam.facts import (
    EXAMPLE_ACCOUNT,
    EXAMPLE_IDS,
    EXAMPLE_REGIONS,
    OTHER_ACCOUNT,
    arn_pattern,
    covers,
)
from cml_iam.policy import Statement
from cml_iam.prove._tagging import REQUEST, RESOURCE
from cml_iam.space import Glob, Shape, glob, representatives

if TYPE_CHECKING:
    from cml_iam.site import Tag

MAX_INSTANCES: Final = 100
"""Instances that a sequence is looked for about, one of each kind."""

ARN_FIELDS: Final = 6
REGION_KEYS: Final = frozenset({"aws:requestedregion", "ec2:region"})
INSTANCE_ID: Final = "ec2:instanceid"
HINTS: Final = (
    ("aws",),
    EXAMPLE_REGIONS["aws"],
    (EXAMPLE_ACCOUNT, OTHER_ACCOUNT),
    (f"instance/{EXAMPLE_IDS['instance']}",),
)
UNIVERSES: Final = (glob("?*"), glob("?*"), glob("????????????"), glob("instance/?*"))
EC2_RESOURCE: Final = "ec2:resourcetag/"


def is_among(arn: str, goal: Shape) -> bool:
    """Say whether the resource *arn* is one of those that *goal* is about."""
    fields = arn_pattern(arn, variables=False)
    named = goal.resources if goal.not_resources is None else goal.not_resources
    found = any(
        fields is not None and pattern is not None and covers(pattern, fields)
        for pattern in map(arn_pattern, named)
    )
    return found is (goal.not_resources is None)


def followed_tags(statements: Sequence[Statement], tag: Tag) -> list[str]:
    """Return the keys of the tags that some statement tests on a resource; the guard tag first."""
    found = {tag.key.lower(): tag.key}
    for name in (each.key for statement in statements for each in statement.conditions):
        for prefix in (RESOURCE.lower(), EC2_RESOURCE):
            if name.lower().startswith(prefix):
                found.setdefault(name[len(prefix) :].lower(), name[len(prefix) :])
    return list(found.values())


def tag_patterns(statements: Sequence[Statement], key: str) -> tuple[list[Glob], bool]:
    """Return the patterns by which *statements* test the tag *key*, wherever it is.

    And whether that is all they tell of it: as numbers or with policy variables they tell more.
    """
    names = {prefix + key.lower() for prefix in (RESOURCE.lower(), REQUEST.lower(), EC2_RESOURCE)}
    found: list[Glob] = []
    exact = True
    for each in (each for said in statements for each in said.conditions):
        if each.key.lower() not in names:
            continue
        base = OperatorName.parse(each.operator).base
        exact = exact and (base == "null" or base.startswith("string"))
        exact = exact and "${" not in "".join(each.values)
        for value in each.values:
            made = glob(value) if "like" in base else Glob(tuple(value))
            found.append(replace(made, fold="ignorecase" in base))
    return found, exact


def instance_arns(statements: Sequence[Statement]) -> tuple[list[str], bool]:
    """Return an instance of each kind that *statements* tell apart by ARN or region.

    And whether these are all: policy variables, or too many kinds, leave some out.
    """
    patterns: list[list[Glob]] = [[], [], [], []]
    complete = True
    for statement in statements:
        for text in (*(statement.resource or ()), *(statement.not_resource or ())):
            complete = complete and "${" not in text
            fields = arn_pattern(text, variables=False) or ()
            for place, index in enumerate((1, 3, 4, 5) if fields else ()):
                patterns[place].append(glob(fields[index], inside=index != ARN_FIELDS - 1))
        for each in statement.conditions:
            if each.key.lower() in REGION_KEYS:
                complete = complete and "${" not in "".join(each.values)
                fold = "ignorecase" in each.operator.lower()
                patterns[1] += [replace(glob(value), fold=fold) for value in each.values]
            if each.key.lower() == INSTANCE_ID:
                complete = complete and "${" not in "".join(each.values)
                fold = "ignorecase" in each.operator.lower()
                ids = (glob(f"instance/{value}") for value in each.values)
                patterns[3] += [replace(each_id, fold=fold) for each_id in ids]
    choices = []
    for made, hints, universe in zip(patterns, HINTS, UNIVERSES, strict=True):
        texts, all_of_them = representatives(made, hints, universe)
        complete = complete and all_of_them
        choices.append(texts)
    arns = [f"arn:{p}:ec2:{r}:{a}:{i}" for p, r, a, i in product(*choices)]
    return arns[:MAX_INSTANCES], complete and len(arns) <= MAX_INSTANCES
