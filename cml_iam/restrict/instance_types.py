"""Only these instance types are launched."""

from __future__ import annotations

from collections.abc import Iterator

from cml_iam.policy import pattern_matches
from cml_iam.restrict._options import Restricted, listed
from cml_iam.restrict._row import Case, KeyTest, Restriction, Rule

_OTHER_TYPES = ("t2.micro", "p5.48xlarge", "u-24tb1.metal", "mac2.metal", "x1e.32xlarge")


def _rules(site: Restricted) -> Iterator[Rule]:
    types = KeyTest("ec2:InstanceType", site.restrict.instance_types, "StringLike")
    yield Rule("DenyOtherInstanceTypes", (types,))


def _cases(site: Restricted) -> Iterator[Case]:
    """Yield the launch of a type that the site does not list, if there is one."""
    patterns = site.restrict.instance_types
    for kind in _OTHER_TYPES:
        if not any(pattern_matches(each, kind) for each in patterns):
            yield Case(f"a {kind}", {"instance_type": kind}, situation="other type", name=kind)
            return


def _concrete(pattern: str) -> str:
    """Return an instance type that *pattern* matches."""
    family, _, size = pattern.partition(".")
    family = family.replace("*", "m5").replace("?", "5")
    return f"{family}.{size.replace('*', 'large' if size == '*' else '').replace('?', '2')}"


def _variants(site: Restricted, _: str) -> Iterator[dict[str, str]]:
    for pattern in site.restrict.instance_types:
        yield {"instance_type": _concrete(pattern)}


INSTANCE_TYPES = Restriction(
    name="instance_types",
    main=True,
    options=(
        listed(
            "instance_types",
            "Instance types that may be launched; * and ? are wildcards.",
            r"^[a-z0-9*?-]+\.[a-z0-9*?-]+$",
            'an instance type is a family and a size in lower case, such as "c5.large", "c5.*" or'
            ' "*.metal"',
        ),
    ),
    title="instances are launched only as {}",
    rules=_rules,
    usual=lambda site, region: next(iter(_variants(site, region)), {"instance_type": "c5.2xlarge"}),
    variants=_variants,
    cases=_cases,
)
