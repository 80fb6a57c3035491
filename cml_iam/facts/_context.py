"""The context of a request as AWS sends it, with the keys that follow from other parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cml_iam.errors import InputError
from cml_iam.facts._arns import arn_pattern, covers, first_region
from cml_iam.facts._keys import Keys
from cml_iam.facts._partitions import PARTITIONS
from cml_iam.facts._requests import (
    REGION,
    REQUEST_TAG,
    TAG_KEYS,
    id_of,
    names_of,
    never_with,
    only_with,
    region_is_of_resource,
    region_of_endpoint,
    same_key,
)
from cml_iam.facts._service import Target, service, updated
from cml_iam.policy import FIELDS

_PRINCIPAL: Final = re.compile(r"arn:([^:]*):(?:iam|sts)::([^:]*):(.*)", re.DOTALL)


def principal_arn(caller: str | None) -> str | None:
    """Return the value of aws:PrincipalArn for *caller*; for a session, it is the role's ARN.

    None for an anonymous caller, and for services and identity providers: AWS documents none.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
    """
    match = _PRINCIPAL.fullmatch(caller or "")
    if not match or "-provider/" in match[3]:
        return None
    if match[3].startswith("assumed-role/"):
        role = match[3].split("/")[1]
        return f"arn:{match[1]}:iam::{match[2]}:role/{role}"
    return caller


def principal_account(caller: str | None) -> str | None:
    """Return the account of *caller*, or None if `principal_arn` is None.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalaccount
    """
    arn = principal_arn(caller)
    return arn.split(":", FIELDS - 1)[4] if arn else None


def sent_context(
    action: str, resource: str, given: Mapping[str, Any], principal: str | None = None
) -> dict[str, Any]:
    """Return the condition keys *given* for a request, under all names, and what AWS derives.

    These are the region and an instance's id in the resource's ARN, the keys of the requested tags,
    and what *principal* is. Raises InputError for a key, or a value, that the request cannot have.
    """
    sent: dict[str, Any] = {}
    for key, value in given.items():
        names = names_of(key, action)
        if key.lower() not in {name.lower() for name in names}:
            raise InputError(
                f"requests for {action} have no condition key `{key}`",
                remedy=f"give `{names[0]}`",
            )
        for name in names if len(names) > 1 else (key,):
            if sent.setdefault(name, value) != value:
                raise InputError(f"`{key}` is `{sent[name]}` under its other name, not `{value}`")
    for key, value, why in _follows(action, resource, sent, principal):
        spellings = {name.lower(): name for name in sent}
        for name in names_of(key, action):
            present = sent.setdefault(spellings.get(name.lower(), name), value)
            if present != value:
                raise InputError(f"`{name}` is `{present}`; {why} `{value}`")
    values = {same_key(key): value for key, value in sent.items()}
    for key in sent:
        needed = only_with(key)
        if needed and str(values.get(needed[0], "")).lower() != needed[1]:
            raise InputError(needed[2].text, remedy="give both, or neither")
    return sent


def never_sent(action: str, resource: str, context: Mapping[str, Any]) -> Iterator[str]:
    """Yield reasons why AWS never sends this request, with these keys in its *context*."""
    prefix, _, name = action.partition(":")
    owner = service(prefix)
    listed = owner.action(name) if owner else None
    fits = [target for target in listed.targets if _is_of(resource, target)] if listed else []
    if listed and listed.targets and not fits:
        named = (
            f"a resource of type {target.type}" if target.type else "`*`"
            for target in listed.targets
        )
        types = " or ".join(dict.fromkeys(named))
        yield (
            f"AWS authorizes {action} on {types}, not on `{resource}` "
            f"(service reference of {updated()})"
        )
    keys = Keys(frozenset().union(*(fit.keys.patterns for fit in fits))) if fits else None
    facts = (never_with(key, action, keys) for key in context)
    yield from dict.fromkeys(fact.text for fact in facts if fact)
    endpoint = region_of_endpoint(action)
    region = next((value for key, value in context.items() if same_key(key) == REGION), None)
    if endpoint and region and region not in map(first_region, PARTITIONS):
        yield endpoint.text


def _is_of(resource: str, target: Target) -> bool:
    if not target.type or not target.arns:
        return (resource == "*") is not bool(target.type)
    fields = arn_pattern(resource, variables=False) if resource != "*" else None
    return fields is not None and any(covers(arn, fields) for arn in target.arns)


def _follows(
    action: str, resource: str, sent: Mapping[str, Any], principal: str | None
) -> Iterator[tuple[str, Any, str]]:
    """Yield condition keys, the value that each must have, and the reason."""
    fields = resource.split(":", FIELDS - 1)
    if len(fields) == FIELDS and fields[3] and region_is_of_resource(action):
        yield "aws:RequestedRegion", fields[3], "in the ARN of the resource it is"
    kind, _, name = fields[-1].partition("/")
    if name and id_of("ec2:InstanceID", kind) and action.lower().startswith("ec2:"):
        yield "ec2:InstanceID", name, "in the ARN of the resource it is"
    tags = [key[len(REQUEST_TAG) :] for key in sent if key.lower().startswith(REQUEST_TAG)]
    listed = next((value for key, value in sent.items() if same_key(key) == TAG_KEYS), None)
    if tags and listed is None:
        yield "aws:TagKeys", tags, "of the tags requested it is"
    elif tags and listed is not None:
        keys = [listed] if isinstance(listed, str) else list(listed)
        missing = [tag for tag in tags if tag.lower() not in map(str.lower, keys)]
        if missing:
            raise InputError(f"`aws:TagKeys` lacks `{missing[0]}`, which is a requested tag")
    if arn := principal_arn(principal):
        yield "aws:PrincipalArn", arn, "of this principal it is"
        yield "aws:PrincipalAccount", principal_account(principal), "of this principal it is"
