"""Resources that match nothing: not an ARN, or an ARN that no AWS resource has.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam import facts
from cml_iam.facts import arn_pattern
from cml_iam.lint._finding import Found
from cml_iam.policy import pattern_matches, patterns_overlap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cml_iam.errors import Place
    from cml_iam.facts import ArnPattern
    from cml_iam.lint._finding import Kind
    from cml_iam.lint._subject import Item, Subject

FIELDS: Final = 6
_OPEN: Final = re.compile(r"[*?]|\$\{")
_PARTITION: Final = re.compile(r"aws(-[a-z]+)*")
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+|global|", re.IGNORECASE)
_OWNERS: Final = ("amazon", "aws", "aws-marketplace", "cloudfront")
"""Names that replace the account id in ARNs of resources that AWS or a service owns."""

_ACCOUNT: Final = re.compile(rf"[0-9]{{12}}|{'|'.join(_OWNERS)}|")


_OWNED_BY_AWS: Final = ("resource-explorer-2", "ssm")
"""Services with resources that AWS owns: their ARNs have no account, as for documents and views."""

_COMPLETED: Final = ("identity", "boundary")
"""The kinds of policies in which AWS completes an ARN without its last fields.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
"""


_NOUN: Final = (
    "account|bucket|cluster|domain|function|group|instance|key|object|policy|queue|repository|role"
    "|secret|stack|table|topic|user"
)
_PLACEHOLDER: Final = re.compile(
    rf"<[^<>]*>|\{{\{{[^{{}}]*\}}\}}|(?<![a-z0-9])(?i:your[-_](?:{_NOUN})|(?:replace|change)[-_]?me)\b"
    rf"|(?<=[:/])(?:{_NOUN.upper()})[-_](?:NAME|ID)(?![\w-])"
)
"""What people write in place of a name: `<bucket>`, `{{bucket}}`, `YOUR_BUCKET`, `BUCKET_NAME`."""


def placeholder(text: str) -> str | None:
    """Return the placeholder left in an ARN; names of parameters may look like one."""
    match = _PLACEHOLDER.search(text) if text.startswith("arn:") else None
    return match[0] if match and ":ssm:" not in text else None


def malformed(subject: Subject) -> Iterator[Found]:
    """Yield elements of Resource and NotResource that are neither `*` nor an ARN.

    Also ARNs with a placeholder, there or in a condition.
    """
    values = (
        (item, value, item.condition_place(condition, index))
        for item in subject.items
        for condition in item.written.conditions
        for index, value in enumerate(condition.values)
        if placeholder(value)
    )
    for item, text, place in (*_resources(subject), *values):
        if problem := _problem(text, subject.kind):
            yield item.found(
                problem,
                place,
                "an ARN is `arn:partition:service:region:account:resource`",
            )


def incomplete(subject: Subject) -> Iterator[Found]:
    """Yield ARNs without a region or account that all resource types they can match have."""
    for item, text, place in _resources(subject):
        pattern = arn_pattern(text, variables=item.variables)
        if pattern is None or text == "*" or _problem(text, subject.kind):
            continue
        missing = []
        for field, name in ((3, "region"), (4, "account")):
            formats = [each for each in _formats(item, pattern, field) if _alike(pattern, each)]
            if pattern[field] == "" and formats and all(each[field] == "*" for each in formats):
                missing.append(name)
        if missing:
            yield item.found(
                f"`{text}` has no {' and no '.join(missing)}, but according to AWS's reference of "
                f"{facts.updated()} every ARN of this type has {'both' if missing[1:] else 'one'}, "
                "so it names nothing",
                place,
                "name what is missing, or put `*` in its place",
            )


def unknown_regions(subject: Subject) -> Iterator[Found]:
    """Yield regions in ARNs and conditions that are not in AWS's list."""
    for item, text, place in _resources(subject):
        pattern = arn_pattern(text, variables=item.variables)
        if pattern is None or pattern[1] not in (*facts.PARTITIONS, "*"):
            continue
        regional = pattern[2] in facts.EXACT_SERVICES
        if pattern[3] and (pattern[3] != "global" or regional) and _is_unknown(pattern[3]):
            yield _unknown_region(pattern[3], item, place)
    for item, asked in subject.asked():
        condition = asked.condition
        if not facts.is_region(condition.key) or not asked.operator.base.startswith("string"):
            continue
        for index, value in enumerate(condition.values):
            folded = value.lower() if "ignorecase" in asked.operator.base else value
            if "${" not in value and _is_unknown(folded):
                yield _unknown_region(value, item, item.condition_place(condition, index))


def _is_unknown(region: str) -> bool:
    """Return whether *region*, which may have wildcards, matches no region of AWS."""
    return not any(pattern_matches(region, each) for each in (*facts.all_regions(), "aws-global"))


def _unknown_region(region: str, item: Item, place: Place | None) -> Found:
    return item.found(
        f"AWS's list of regions, as of this release, has no `{region}`",
        place,
        facts.meant_region(region, facts.all_regions())
        or "use the code of the region, such as `eu-central-1`",
    )


def _resources(subject: Subject) -> Iterator[tuple[Item, str, Place | None]]:
    """Yield each element of Resource and NotResource, with its place."""
    for item in subject.items:
        for _, text, place in item.texts("Resource", "NotResource"):
            yield item, text, place


def _formats(item: Item, pattern: ArnPattern, field: int) -> Iterable[ArnPattern]:
    """Return the ARN formats of the resource types that the statement's actions use.

    Its formats are no answer about the account of what AWS owns.
    """
    named = tuple(item.actions.values())
    if item.unlisted:
        owner = facts.service(pattern[2])
        named = owner.matching("*") if owner else ()
    known = [each for each in named if field == 3 or each.service not in _OWNED_BY_AWS]
    return dict.fromkeys(
        arn for action in known for target in action.targets for arn in target.arns
    )


def _alike(pattern: ArnPattern, arn: ArnPattern) -> bool:
    """Return whether both can match the same resource, ignoring region and account."""
    return all(patterns_overlap(pattern[field], arn[field]) for field in (1, 2, 5))


def _problem(text: str, kind: Kind) -> str | None:
    if text == "*":
        return None
    if left := placeholder(text):
        return f"`{left}` in `{text}` is a placeholder for a name, so it names nothing"
    fields = _plain(text).split(":", FIELDS - 1)
    if fields[0] != "arn":
        return f"`{text}` is neither an ARN nor `*`, so it names nothing"
    if len(fields) < FIELDS:
        missing = f"`{text}` has {len(fields)} of the six fields of an ARN"
        if kind in _COMPLETED:
            return f"{missing}: AWS adds `*` for the missing ones, so it matches more than it seems"
        return f"{missing}, and AWS completes it in identity-based policies only"
    if fields[2] != fields[2].lower():
        return f"`{fields[2]}` in `{text}` has capital letters, but a service in an ARN has none"
    forms = (("partition", 1, _PARTITION), ("region", 3, _REGION), ("account", 4, _ACCOUNT))
    for name, field, form in forms:
        value = fields[field]
        if not _OPEN.search(value) and not form.fullmatch(value):
            return f"`{value}` in `{text}` is not a valid {name}"
    return None


def _plain(text: str) -> str:
    """Return *text* with one character for each policy variable: its colons separate no fields."""
    return re.sub(r"\$\{[^}]*\}", "*", text)
