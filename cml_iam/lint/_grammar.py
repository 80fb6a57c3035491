"""Policies that IAM refuses to store, or reads differently than intended."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from cml_iam.lint._corrections import latest_version
from cml_iam.lint._finding import Found
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, VERSION_2012, policy_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Item, Subject
    from cml_iam.policy import PolicyDocument

TRUST_POLICY_CHARACTERS: Final = 2048
"""The default quota of a role's trust policy, in characters; it can be raised to 4,096.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

LARGEST_TRUST_POLICY: Final = 4096

CONTROL_POLICY_CHARACTERS: Final = 5120
"""The quota of a service control policy and of a resource control policy, in characters.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
"""

QUOTAS: Final = {
    "identity": MANAGED_POLICY_CHARACTERS,
    "boundary": MANAGED_POLICY_CHARACTERS,
    "trust": TRUST_POLICY_CHARACTERS,
    "scp": CONTROL_POLICY_CHARACTERS,
    "rcp": CONTROL_POLICY_CHARACTERS,
}

RESOURCE_QUOTAS: Final = {"s3": 20_480, "kms": 32_768, "secretsmanager": 20_480, "lambda": 20_480}
"""The maximum size of a resource policy in bytes, by the prefix of its service's actions.

https://docs.aws.amazon.com/general/latest/gr/s3.html
https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
_SID: Final = re.compile(r"[A-Za-z0-9]*")


def size(subject: Subject) -> Iterator[Found]:
    """Yield documents that are too large for IAM, not counting white space."""
    for document in subject.documents:
        quota = QUOTAS.get(subject.kind) or _quota_of_resource(document)
        if quota is None or document.located is None:
            continue
        found = policy_size(document.located.source.text)
        if found > quota:
            yield Found(
                f"{found:,} characters without white space, {found - quota:,} more than the "
                f"{quota:,} {_KEEPERS.get(subject.kind, 'IAM stores')}",
                document.located.place(()),
                _smaller(subject.kind, found),
            )


_KEEPERS: Final = {
    "scp": "AWS Organizations stores",
    "rcp": "AWS Organizations stores",
    "resource": "the service stores",
    "trust": "IAM stores by default",
}


def _smaller(kind: str, characters: int) -> str:
    if kind == "trust" and characters <= LARGEST_TRUST_POLICY:
        return (
            "shorten it, or request a higher quota of the account: "
            f"{LARGEST_TRUST_POLICY:,} at most"
        )
    if kind in {"trust", "resource"}:
        return "shorten it: use wildcards, or conditions instead of lists"
    return "split it into several policies, or use wildcards"


def _quota_of_resource(document: PolicyDocument) -> int | None:
    """Return the quota of a resource's policy; its actions determine the service."""
    actions = (text for statement in document.statements for text in statement.action or ())
    services = {text.partition(":")[0].lower() for text in actions}
    return RESOURCE_QUOTAS.get(services.pop()) if len(services) == 1 else None


def elements(subject: Subject) -> Iterator[Found]:
    """Yield elements that a policy of this kind cannot have, or lacks."""
    for item in subject.items:
        yield from _principal(item, subject)
        yield from _resource(item, subject)


def _principal(item: Item, subject: Subject) -> Iterator[Found]:
    statement = item.written
    name = "NotPrincipal" if statement.principal is None else "Principal"
    has = statement.principal is not None or statement.not_principal is not None
    if has and subject.kind in _WITHOUT_PRINCIPAL:
        yield item.found(
            f"`{name}` is not allowed in {_WITHOUT_PRINCIPAL[subject.kind]}",
            item.place(name),
            "remove it; if this is a role's trust policy or a resource's policy, "
            "pass `--kind trust` or `--kind resource`",
        )
    if not has and subject.kind in _WITH_PRINCIPAL:
        what = _WITH_PRINCIPAL[subject.kind]
        yield item.found(
            f"the statement has no `Principal`, which {what} must have",
            item.place(),
            "add `Principal` with the principals to which it applies",
        )


def _resource(item: Item, subject: Subject) -> Iterator[Found]:
    statement = item.written
    has = statement.resource is not None or statement.not_resource is not None
    if subject.kind == "trust" and has:
        name = "Resource" if statement.resource is not None else "NotResource"
        yield item.found(
            f"`{name}` is not allowed in a trust policy: its resource is the role itself",
            item.place(name),
            "remove it",
        )
    meant_otherwise = statement.principal is not None or statement.not_principal is not None
    lacks = not meant_otherwise if subject.kind in _WITHOUT_PRINCIPAL else subject.kind == "rcp"
    if lacks and not has:
        yield item.found(
            "the statement has neither `Resource` nor `NotResource`",
            item.place(),
            'add the resources it applies to, `"Resource": "*"` for all',
        )


_WITH_PRINCIPAL: Final = {
    "resource": "a resource's policy",
    "trust": "a trust policy",
    "rcp": "a resource control policy",
}
_WITHOUT_PRINCIPAL: Final = {
    "identity": "a policy attached to a principal: it applies to that principal",
    "boundary": "a permissions boundary: it applies to the principal that has it",
    "scp": "a service control policy",
}


def sids(subject: Subject) -> Iterator[Found]:
    """Yield Sids that are used twice in a document or have invalid characters."""
    for document in subject.documents:
        yield from _repeated_sids(document, subject)
    if subject.kind == "resource":
        return  # the services that keep such policies differ in what they take
    for item in subject.items:
        sid = item.statement.sid
        if sid is not None and not _SID.fullmatch(sid):
            yield item.found(
                f"the Sid `{sid}` has characters other than letters and digits",
                item.place("Sid"),
                "use letters of the English alphabet and digits only",
            )


def _repeated_sids(document: PolicyDocument, subject: Subject) -> Iterator[Found]:
    counts = Counter(statement.sid for statement in document.statements if statement.sid)
    seen: set[str] = set()
    for item in (each for each in subject.items if each.document is document):
        sid = item.statement.sid
        if sid in seen and counts[sid] > 1:
            yield Found(
                f"the Sid `{sid}` is used twice in this document",
                item.place("Sid"),
                "give each statement its own Sid",
                sid,
            )
        if sid:
            seen.add(sid)


def variables_version(subject: Subject) -> Iterator[Found]:
    """Yield policy variables in a document whose version treats them as plain text."""
    for item in subject.items:
        if item.document.version == VERSION_2012:
            continue
        texts = [
            *(item.statement.resource or ()),
            *(item.statement.not_resource or ()),
            *(value for condition in item.statement.conditions for value in condition.values),
        ]
        found = next((text for text in texts if "${" in text), None)
        if found:
            yield item.found(
                f"`{found}` is plain text here: a document of Version {item.document.version} "
                "has no policy variables",
                item.place(),
                f'set `"Version": "{VERSION_2012}"`',
                correction=latest_version(item),
            )


def no_version(subject: Subject) -> Iterator[Found]:
    """Yield documents without Version, which IAM treats as version 2008-10-17."""
    for document in subject.documents:
        if document.located is not None and "Version" not in document.located.value:
            yield Found(
                "the document has no `Version`, so IAM treats it as Version 2008-10-17",
                document.located.place(()),
                f'add `"Version": "{VERSION_2012}"`',
            )


def empty(subject: Subject) -> Iterator[Found]:
    """Yield empty Sids and empty conditions."""
    for item in subject.items:
        conditions = item.raw.get("Condition", None)
        blocks = conditions if isinstance(conditions, dict) else {}
        hollow: list[tuple[str, ...]] = [("Sid",)] if item.written.sid == "" else []
        hollow += [("Condition",)] if conditions == {} else []
        hollow += [("Condition", name) for name, block in blocks.items() if block == {}]
        for path in hollow:
            yield item.found(
                f"`{path[-1]}` is empty and has no effect",
                item.place(*path),
                "remove it, or write the intended content",
            )
