"""Whether AWS sends a request, by the facts that a verdict lists: judged from their text.

Nothing of the proof is used here, so that its attackers read its facts with other eyes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cml_iam.engine import Request
from cml_iam.facts import Assumption, key_type

REGION = re.compile(r"[a-z][a-z-]*-[a-z-]*[a-z]-[0-9]")
PRINCIPAL = re.compile(
    r"arn:[^:]+:(iam::[0-9]{12}:(root|user/.+|role/.+)|sts::[0-9]{12}:federated-user/.+)", re.DOTALL
)
ACCOUNTS = {"aws:principalaccount", "aws:resourceaccount", "aws:sourceaccount"}
ENDPOINTS = {"us-east-1", "cn-north-1", "us-gov-west-1"}
PARTITIONS = {"aws", "aws-cn", "aws-us-gov"}


def is_sent(request: Request, facts: Iterable[Assumption]) -> bool:
    """Say whether *facts* leave *request*; those of other kinds are ignored."""
    context = {_name(key): value for key, value in request.context.items()}
    fields = request.resource.split(":", 5)
    fields = fields if len(fields) == 6 else [""] * 6
    return all(_respects(fact, request, context, fields) for fact in facts)


def _name(key: str) -> str:
    lower = key.lower().replace("ec2:resourcetag/", "aws:resourcetag/")
    return "aws:requestedregion" if lower == "ec2:region" else lower


def _respects(
    each: Assumption, request: Request, context: Mapping[str, Any], fields: list[str]
) -> bool:
    region = context.get("aws:requestedregion")
    value = context.get(each.about)
    if each.kind == "typed" and each.about == "arn:region":
        return not fields[3] or REGION.fullmatch(fields[3]) is not None
    if each.kind == "typed" and each.about == "aws:requestedregion":
        return value is None or REGION.fullmatch(value) is not None
    if each.kind == "typed" and each.about == "aws:principalarn":
        return value is None or value == "not-documented" or PRINCIPAL.fullmatch(value) is not None
    if each.kind == "typed" and each.about in ACCOUNTS:
        return (
            value is None or re.fullmatch(r"[0-9]{12}|anonymous|not-documented", value) is not None
        )
    if each.kind == "global":
        service, _, name = request.action.lower().partition(":")
        return service != "iam" or name == "passrole" or region in {None, *ENDPOINTS}
    if each.kind == "least":
        return value is None or not value.startswith("-")
    if each.kind == "account":
        arn = context.get("aws:principalarn")
        return arn is None or value is None or arn.split(":")[4:5] == [value]
    if each.kind == "always" and each.about == "ec2:instancetype":
        return value is not None or not fields[5].startswith("instance/")
    return each.kind != "partitions" or _is_in_one(context, fields, request.principal)


def _is_in_one(context: Mapping[str, Any], fields: list[str], caller: str | None) -> bool:
    arns = [value for key, value in context.items() if key_type(key) == "ARN"]
    named = [fields[1], *(arn.split(":")[1] for arn in arns if arn.startswith("arn:"))]
    named += [caller.split(":")[1]] if caller and caller.startswith("arn:") else []
    regions = [each for each in (fields[3], context.get("aws:requestedregion")) if each]
    own = all(_partition(region) == fields[1] for region in regions) or not fields[1]
    return own and {each for each in named if each} <= PARTITIONS


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
