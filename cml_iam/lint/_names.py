"""Names unknown to AWS (services, actions, operators, condition keys, variables), and bad ARNs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cml_iam import facts
from cml_iam.engine.parts import variable_keys
from cml_iam.facts import FIELDS, ArnPattern, arn_pattern
from cml_iam.lint._corrections import OPERATOR_NAMES, known_action, known_key, known_operator
from cml_iam.lint._finding import Fault, Kind
from cml_iam.lint._subject import Clause, Item, Subject
from cml_iam.policy import Path, did_you_mean, pattern_matches, patterns_overlap

SERVICE: Final = re.compile(
    r"([a-z0-9-]+(?:\.[a-z0-9-]+)*)\.(amazonaws\.com(?:\.cn)?|(?<!\.aws\.)amazon\.com|aws\.internal)"
)
"""The principal of a service: its names, and the domain."""

VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
_WHITE: Final = re.compile(r"\s")

HINTED: Final = 200
"""The maximum number of unknown actions per document with a suggestion; each search is slow."""


def actions(subject: Subject) -> Iterator[Fault]:
    left = HINTED
    for item in subject.items:
        for text, at in item.texts("Action", "NotAction"):
            if problem := _action_problem(text, hint=left > 0):
                correction = known_action(item, at, text) if left > 0 else None
                yield item.fault(*problem, at, correction=correction)
                left -= 1


def _action_problem(text: str, *, hint: bool) -> tuple[str, str | None] | None:
    prefix, colon, name = text.partition(":")
    if text in {"*", "*:*"}:
        return None
    if not colon:
        return (
            f"`{text}` names no service",
            "an action is `service:Name`, such as `ec2:RunInstances`",
        )
    if not name or _WHITE.search(text):
        return f"`{text}` is empty or has white space, so it names nothing", None
    if "*" in prefix or "?" in prefix:
        return f"`{text}` has a wildcard in its service, so it names nothing", (
            "name the service; only `*` by itself matches all services"
        )
    owner = facts.service(prefix)
    as_of = f"in AWS's reference of {facts.updated()}"
    if owner is None:
        meant = did_you_mean(prefix, facts.services()) if hint else None
        return f"there is no service `{prefix}` {as_of}", meant
    if owner.names_matching(name):
        return None
    if "*" in name or "?" in name:
        return f"`{text}` matches no action {as_of}", None
    full_names = (f"{owner.name}:{action}" for action in owner.action_names)
    return f"there is no action `{text}` {as_of}", did_you_mean(text, full_names) if hint else None


def operators(clause: Clause) -> Iterator[Fault]:
    operator = clause.condition.operator
    qualifier, colon, base = operator.rpartition(":")
    if clause.operator.known:
        return
    if colon and qualifier.lower() not in {"forallvalues", "foranyvalue"}:
        hint = did_you_mean(qualifier, ("ForAllValues", "ForAnyValue"))
    else:
        plain = base.lower().removesuffix("ifexists")
        hint = did_you_mean(base, OPERATOR_NAMES) or did_you_mean(plain, OPERATOR_NAMES)
    yield clause.item.fault(
        f"there is no condition operator `{operator}`",
        hint,
        ("Condition", operator),
        correction=known_operator(clause.item, operator),
    )


_OF_RESOURCES: Final = "aws:sourceowner"
"""A key that is missing from the reference but occurs in resource policies that AWS itself writes.

https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
"""


def keys(item: Item) -> Iterator[Fault]:
    reference = f"AWS's reference of {facts.updated()}"
    for clause in item.clauses:
        key = clause.key
        if item.subject.kind == "resource" and clause.name == _OF_RESOURCES:
            continue
        if key.endswith("/"):
            yield clause.fault(
                f"`{key}` names no tag: the tag's key must follow the slash",
                f"write `{key}` and the tag's key, such as `{key}ManagedBy`",
            )
        elif facts.is_unknown_key(key):
            yield clause.fault(
                f"{reference} has no condition key `{key}`: unless AWS has added it since, the "
                f"condition {clause.how_often} holds",
                facts.key_hint(key),
                correction=known_key(clause),
            )
    for text, at in _with_variables(item):
        unknown = next(filter(facts.is_unknown_key, variable_keys(text)), None)
        if unknown is not None and _malformed_variable(text) is None:
            yield item.fault(
                f"{reference} has no key `{unknown}`, so the variable in `{text}` has no value",
                facts.key_hint(unknown),
                at,
            )


def variables(item: Item) -> Iterator[Fault]:
    for text, at in _with_variables(item):
        if problem := _malformed_variable(text):
            yield item.fault(f"`{text}` {problem}", _VARIABLE_FORM, at)
    for text, at in item.texts("Action", "NotAction") if item.variables else ():
        if "${" in text:
            yield item.fault(
                f"`{text}`: {at[0]} has no policy variables",
                "name the action; only Resource, NotResource and values of conditions have "
                "variables",
                at,
            )


_VARIABLE_FORM: Final = (
    "a variable is `${aws:username}`, or with a default `${aws:PrincipalTag/team, 'none'}`"
)
_BEGUN: Final = re.compile(r"\$\{([^{}]*)(\}?)")


def _malformed_variable(text: str) -> str | None:
    for key, closed in _BEGUN.findall(text):
        name, comma, default = key.partition(",")
        if not closed:
            return "has a variable without a closing `}`"
        if not key.strip():
            return "has a variable without a name"
        if comma and not re.fullmatch(r"""\s*('[^']*'|"[^"]*")\s*""", default):
            return "has a default that is not in quotation marks"
        if _WHITE.search(name.rstrip() if comma else name):
            return "has white space in the name of a variable, so it is none"
    return None


def _with_variables(item: Item) -> Iterator[tuple[str, Path]]:
    texts = [*item.texts("Resource", "NotResource"), *item.condition_values()]
    return ((text, at) for text, at in texts if item.variables and "${" in text)


_OPEN: Final = re.compile(r"[*?]|\$\{")
_ARN_FORMS: Final = (
    ("partition", 1, re.compile(r"aws(-[a-z]+)*")),
    ("region", 3, re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+|global|", re.IGNORECASE)),
    ("account", 4, re.compile(r"[0-9]{12}|amazon|aws|aws-marketplace|cloudfront|")),
)
"""The forms of an ARN's fields; names stand for the account of what AWS or a service owns."""

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


def malformed_arns(item: Item) -> Iterator[Fault]:
    values = ((text, at) for text, at in item.condition_values() if placeholder(text))
    for text, at in (*item.texts("Resource", "NotResource"), *values):
        if problem := _arn_problem(text, item.subject.kind):
            yield item.fault(
                problem, "an ARN is `arn:partition:service:region:account:resource`", at
            )


def incomplete_arns(item: Item) -> Iterator[Fault]:
    for text, pattern, at in _patterns(item):
        if text == "*" or _arn_problem(text, item.subject.kind):
            continue
        missing = [
            name
            for index, name in ((3, "region"), (4, "account"))
            if pattern[index] == "" and _always_has(item, pattern, index)
        ]
        if missing:
            yield item.fault(
                f"`{text}` has no {' and no '.join(missing)}, but according to AWS's reference of "
                f"{facts.updated()} every ARN of this type has {'both' if missing[1:] else 'one'}, "
                "so it names nothing",
                "name what is missing, or put `*` in its place",
                at,
            )


def _patterns(item: Item) -> Iterator[tuple[str, ArnPattern, Path]]:
    for text, at in item.texts("Resource", "NotResource"):
        pattern = arn_pattern(text, variables=item.variables)
        if pattern is not None:
            yield text, pattern, at


def _always_has(item: Item, pattern: ArnPattern, index: int) -> bool:
    """Return whether the resource types that *pattern* can match always have the field *index*.

    The formats of the reference are no answer about the account of what AWS owns.
    """
    named = tuple(item.actions.values())
    if item.unlisted:
        owner = facts.service(pattern[2])
        named = owner.matching("*") if owner else ()
    owned = [action for action in named if index == 3 or action.service not in _OWNED_BY_AWS]
    formats = {arn for action in owned for target in action.targets for arn in target.arns}
    alike = [
        arn
        for arn in formats
        if all(patterns_overlap(pattern[field], arn[field]) for field in (1, 2, 5))
    ]
    return bool(alike) and all(arn[index] == "*" for arn in alike)


def unknown_regions(item: Item) -> Iterator[Fault]:
    known = (*facts.all_regions(), "aws-global")
    for region, pattern, at in _regions(item):
        if not any(pattern_matches(pattern, name) for name in known):
            yield item.fault(
                f"AWS's list of regions, as of this release, has no `{region}`",
                facts.meant_region(region, facts.all_regions())
                or "use the code of the region, such as `eu-central-1`",
                at,
            )


def _regions(item: Item) -> Iterator[tuple[str, str, Path]]:
    """Yield each region that a resource or a condition names, and the pattern that it is."""
    for _, pattern, at in _patterns(item):
        partition, service, region = pattern[1:4]
        regional = region != "global" or service in facts.EXACT_SERVICES
        if region and regional and partition in (*facts.PARTITIONS, "*"):
            yield region, region, at
    for clause in item.clauses:
        if facts.is_region(clause.key) and clause.operator.base.startswith("string"):
            fold = "ignorecase" in clause.operator.base
            for index, value in enumerate(clause.values):
                if "${" not in value:
                    yield value, value.lower() if fold else value, (*clause.at, index)


def _arn_problem(text: str, kind: Kind) -> str | None:
    if text == "*":
        return None
    if left := placeholder(text):
        return f"`{left}` in `{text}` is a placeholder for a name, so it names nothing"
    plain = VARIABLE.sub("*", text)  # the colons of a variable separate no fields
    fields = plain.split(":", FIELDS - 1)
    if fields[0] != "arn":
        return f"`{text}` is neither an ARN nor `*`, so it names nothing"
    if len(fields) < FIELDS:
        missing = f"`{text}` has {len(fields)} of the six fields of an ARN"
        if kind in _COMPLETED:
            return f"{missing}: AWS adds `*` for the missing ones, so it matches more than it seems"
        return f"{missing}, and AWS completes it in identity-based policies only"
    if fields[2] != fields[2].lower():
        return f"`{fields[2]}` in `{text}` has capital letters, but a service in an ARN has none"
    for name, index, form in _ARN_FORMS:
        if not _OPEN.search(fields[index]) and not form.fullmatch(fields[index]):
            return f"`{fields[index]}` in `{text}` is not a valid {name}"
    return None
