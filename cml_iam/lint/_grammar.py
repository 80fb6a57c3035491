"""Policies that AWS refuses to store, or reads differently than intended.

https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from cml_iam.facts import published
from cml_iam.lint._corrections import latest_version
from cml_iam.lint._finding import Fault
from cml_iam.lint._subject import Item, Subject
from cml_iam.policy import MANAGED_POLICY_CHARACTERS, VERSION_2012, PolicyDocument, policy_size

LARGEST_TRUST_POLICY: Final = 4096
"""The highest quota of an account for a role's trust policy, in characters."""

QUOTAS: Final = {
    "identity": (MANAGED_POLICY_CHARACTERS, "IAM stores"),
    "boundary": (MANAGED_POLICY_CHARACTERS, "IAM stores"),
    "trust": (2048, "IAM stores by default"),
    "scp": (5120, "AWS Organizations stores"),
    "rcp": (5120, "AWS Organizations stores"),
}
"""The maximum size of each kind of policy in characters, and whose limit it is.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
"""

RESOURCE_QUOTAS: Final = {"s3": 20_480, "kms": 32_768, "secretsmanager": 20_480, "lambda": 20_480}
"""The maximum size of a resource policy in bytes, by the prefix of its service's actions.

https://docs.aws.amazon.com/general/latest/gr/s3.html
https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


def size(subject: Subject) -> Iterator[Fault]:
    for document in subject.documents:
        quota, keeper = QUOTAS.get(subject.kind) or _quota_of_resource(document)
        characters = policy_size(document.located.source.text) if document.located else 0
        if quota and document.located and characters > quota:
            yield Fault(
                f"{characters:,} characters without white space, {characters - quota:,} more than "
                f"the {quota:,} {keeper}",
                document.located.place(()),
                _smaller(subject.kind, characters),
            )


def _smaller(kind: str, characters: int) -> str:
    if kind == "trust" and characters <= LARGEST_TRUST_POLICY:
        return (
            "shorten it, or request a higher quota of the account: "
            f"{LARGEST_TRUST_POLICY:,} at most"
        )
    if kind in {"trust", "resource"}:
        return "shorten it: use wildcards, or conditions instead of lists"
    return "split it into several policies, or use wildcards"


def _quota_of_resource(document: PolicyDocument) -> tuple[int, str]:
    actions = (text for statement in document.statements for text in statement.action or ())
    services = {text.partition(":")[0].lower() for text in actions}
    quota = RESOURCE_QUOTAS.get(services.pop(), 0) if len(services) == 1 else 0
    return quota, "the service stores"


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


def elements(item: Item) -> Iterator[Fault]:
    kind, written = item.subject.kind, item.written
    on_principal = written.principal is not None or written.not_principal is not None
    on_resource = written.resource is not None or written.not_resource is not None
    if on_principal and kind in _WITHOUT_PRINCIPAL:
        name = "NotPrincipal" if written.principal is None else "Principal"
        yield item.fault(
            f"`{name}` is not allowed in {_WITHOUT_PRINCIPAL[kind]}",
            "remove it; if this is a role's trust policy or a resource's policy, "
            "pass `--kind trust` or `--kind resource`",
            (name,),
        )
    if not on_principal and kind in _WITH_PRINCIPAL:
        yield item.fault(
            f"the statement has no `Principal`, which {_WITH_PRINCIPAL[kind]} must have",
            "add `Principal` with the principals to which it applies",
        )
    if on_resource and kind == "trust":
        name = "NotResource" if written.resource is None else "Resource"
        yield item.fault(
            f"`{name}` is not allowed in a trust policy: its resource is the role itself",
            "remove it",
            (name,),
        )
    meant = kind == "rcp" or (kind in _WITHOUT_PRINCIPAL and not on_principal)
    if not on_resource and meant:
        yield item.fault(
            "the statement has neither `Resource` nor `NotResource`",
            'add the resources it applies to, `"Resource": "*"` for all',
        )


def control(item: Item) -> Iterator[Fault]:
    written, principal = item.written, item.written.principal
    if item.allows:
        yield item.fault(
            "a resource control policy of your own can have only `Deny` statements: AWS's "
            "`RCPFullAWSAccess` allows",
            "make it a Deny of what must be forbidden",
            ("Effect",),
        )
    if not principal or not (principal.everyone or principal.ids == (("AWS", ("*",)),)):
        yield item.fault(
            'a resource control policy applies to everybody: `"Principal": "*"` and nothing else',
            "exempt callers with a condition, for example on `aws:PrincipalArn`",
            ("NotPrincipal" if principal is None else "Principal",),
        )
    if written.not_action is not None:
        yield item.fault(
            "a resource control policy has no `NotAction`",
            "list the actions in `Action`",
            ("NotAction",),
        )
    for text, at in item.texts("Action"):
        prefix, colon, _ = text.lower().partition(":")
        if not colon or prefix not in published("control"):
            yield item.fault(
                f"`{text}`: AWS's list of services that support resource control policies does "
                f"not include {f'`{prefix}`' if colon else 'every service'}",
                "name the actions with the prefixes of services that support such policies, "
                "such as `s3:*`",
                at,
            )


def sids(subject: Subject) -> Iterator[Fault]:
    seen = set()
    for item in subject.items:
        sid = item.statement.sid
        if sid and (id(item.document), sid) in seen:
            yield item.fault(
                f"the Sid `{sid}` is used twice in this document",
                "give each statement its own Sid",
                ("Sid",),
            )
        seen.add((id(item.document), sid))
        # The services that store resource policies differ in what they accept.
        if sid and subject.kind != "resource" and not re.fullmatch("[A-Za-z0-9]*", sid):
            yield item.fault(
                f"the Sid `{sid}` has characters other than letters and digits",
                "use letters of the English alphabet and digits only",
                ("Sid",),
            )


def variables_version(item: Item) -> Iterator[Fault]:
    if item.variables:
        return
    texts = (*item.texts("Resource", "NotResource"), *item.condition_values())
    variable = next((text for text, _ in texts if "${" in text), None)
    if variable:
        yield item.fault(
            f"`{variable}` is plain text here: a document of Version {item.document.version} has "
            "no policy variables",
            f'set `"Version": "{VERSION_2012}"`',
            correction=latest_version(item),
        )


def no_version(subject: Subject) -> Iterator[Fault]:
    for document in subject.documents:
        if document.located is not None and "Version" not in document.located.value:
            yield Fault(
                "the document has no `Version`, so IAM treats it as Version 2008-10-17",
                document.located.place(()),
                f'add `"Version": "{VERSION_2012}"`',
            )


def empty(item: Item) -> Iterator[Fault]:
    hollow: list[tuple[str, ...]] = [("Sid",)] if item.written.sid == "" else []
    hollow += [("Condition",)] if item.raw.get("Condition") == {} else []
    blocks = item.raw.get("Condition", {})
    hollow += [("Condition", operator) for operator, block in blocks.items() if block == {}]
    for path in hollow:
        yield item.fault(
            f"`{path[-1]}` is empty and has no effect",
            "remove it, or write the intended content",
            path,
        )
