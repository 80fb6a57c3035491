"""The facts known about a request in advance: the caller, the time, and the conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cml_iam.facts import REGION, names_of, region_is_of_resource
from cml_iam.policy import PolicyDocument, pattern_matches

if TYPE_CHECKING:
    from cml_iam.space import Shape
    from cml_iam.who._account import Account, Member

TAGS: Final = "aws:principaltag/"
SETTLED: Final = frozenset({"stringequals", "arnequals", "bool"})
"""Operators that fix the value of their key in the request."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The values of condition keys, by lower case; None for a key known to be absent.

    With *tags*, requests have no other tags of the principal. *like* are the patterns of values
    that are not known exactly.
    """

    values: Mapping[str, str | None]
    tags: bool = False
    like: Mapping[str, str] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Return whether the value of *key*, or its absence, is known."""
        name = key.lower()
        return name in self.values or (self.tags and name.startswith(TAGS))

    def without_tags(self) -> Facts:
        """Return the same facts without those about the principal's tags."""
        values = {k: value for k, value in self.values.items() if not k.startswith(TAGS)}
        return Facts(values, tags=False, like=self.like)

    @property
    def context(self) -> dict[str, str]:
        """The known values as a request context."""
        return {key: value for key, value in self.values.items() if value is not None}


def facts_of(member: Member, account: Account, now: datetime) -> Facts:
    """Return the facts about requests of *member* at the time *now*.

    A role's session may have more tags if its trust policy lets somebody pass session tags.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    values: dict[str, str | None] = {
        "aws:principalarn": member.arn,
        "aws:principalaccount": account.number,
        "aws:principaltype": "User" if member.kind == "user" else "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:principalservicename": None,
        "aws:currenttime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:epochtime": str(int(now.timestamp())),
        "aws:username": member.name if member.kind == "user" else None,
    }
    if account.organization:
        values["aws:principalorgid"] = account.organization
    like = {}
    if member.kind == "user":
        values["aws:userid"] = member.id
    else:
        like["aws:userid"] = f"{member.id}:*"
    fixed = member.trust is None or not passes_tags(member.trust)
    if fixed:
        tags = member.holdings.tags.items()
        values |= {TAGS + key.lower(): value for key, value in tags}
    return Facts(values, fixed, like)


def passes_tags(trust: PolicyDocument) -> bool:
    """Return whether *trust* lets anybody pass session tags.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
    """
    for statement in trust.statements:
        if statement.effect == "Allow":
            named = statement.action or statement.not_action or ()
            matches = any(pattern_matches(each.lower(), "sts:tagsession") for each in named)
            if matches is (statement.action is not None):
                return True
    return False


def facts_of_question(shape: Shape) -> dict[str, str | None]:
    """Return the values that every request of *shape* has, by its conditions and its region.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-policies-ec2-console.html
    """
    values: dict[str, str | None] = {}
    actions = shape.actions if shape.not_actions is None else ()
    for operator, block in shape.conditions.items():
        for key, said in block.items():
            texts = (said,) if isinstance(said, str) else tuple(said)
            value = texts[0] if len(texts) == 1 else None
            absent = operator.lower() == "null" and value == "true"
            if not absent and (value is None or operator.lower() not in SETTLED or "${" in value):
                continue
            for action in actions or ("*",):
                values |= {
                    name.lower(): None if absent else value for name in names_of(key, action)
                }
    regions = {_region(resource) for resource in shape.resources}
    if actions and len(regions) == 1 and all(map(region_is_of_resource, actions)):
        region = regions.pop()
        if region:
            values |= {name.lower(): region for each in actions for name in names_of(REGION, each)}
    return values


def _region(resource: str) -> str | None:
    fields = resource.split(":", 5)
    named = fields[3] if len(fields) == 6 else ""
    return None if not named or {"*", "?", "$"} & set(named) else named
