"""Principals as written in policies, and the actions a trust policy lets them call.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.facts import DOMAINS, PARTITIONS, known_regions, published, services
from cml_iam.lint._arns import placeholder
from cml_iam.lint._finding import Found
from cml_iam.lint._oidc import by_application
from cml_iam.policy import did_you_mean, patterns_overlap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Item, Subject

_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:(?:"
    r"iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)"
    r"|iam::cloudfront:user/CloudFront Origin Access Identity \w+"
    r"|sts::[0-9]{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+|self)"
    r")"
)
_PROVIDER: Final = re.compile(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:(?:saml-provider/[\w+=,.@-]+|oidc-provider/(?!https?:)[\w.:/-]+)"
)
_UNIQUE_ID: Final = re.compile(r"A(?:ROA|IDA|GPA|NPA|IPA)[A-Z0-9]{12,}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_CANONICAL: Final = re.compile(r"[0-9a-f]{64}")
SERVICE: Final = re.compile(
    r"([a-z0-9-]+(?:\.[a-z0-9-]+)*)\.(amazonaws\.com(?:\.cn)?|(?<!\.aws\.)amazon\.com|aws\.internal)"
)

ASSUME: Final = {
    "AWS": "sts:AssumeRole",
    "Service": "sts:AssumeRole",
    "OIDC": "sts:AssumeRoleWithWebIdentity",
    "SAML": "sts:AssumeRoleWithSAML",
}
"""The action with which each kind of principal assumes a role.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
"""

_BESIDE: Final = ("sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext")
_TRUST_ACTIONS: Final = (*dict.fromkeys(ASSUME.values()), *_BESIDE)

_NEEDED: Final = (
    ("aws:requesttag/", "sts:TagSession"),
    ("aws:tagkeys", "sts:TagSession"),
    ("sts:transitivetagkeys", "sts:TagSession"),
    ("sts:sourceidentity", "sts:SetSourceIdentity"),
)
"""For prefixes of condition keys, the only action whose requests have these keys.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
"""

_ANYWHERE: Final = "rolesanywhere.amazonaws.com"


def malformed(subject: Subject) -> Iterator[Found]:
    """Yield principals that IAM refuses, or that match nobody."""
    for item, element, kind, name, index in _named(subject):
        reason = _fault(kind, name, subject)
        if reason is not None:
            message, remedy = reason
            yield item.found(message, item.place(element, kind, index), remedy)


def unknown_services(subject: Subject) -> Iterator[Found]:
    """Yield service principals of unknown services."""
    for item, element, kind, name, index in _named(subject):
        match = SERVICE.fullmatch(name) if kind == "Service" else None
        if match is None:
            continue
        regions = {region for partition in DOMAINS for region in known_regions(partition)}
        labels = [label for label in match[1].split(".") if label not in regions]
        known = services() | published("principal")
        if labels and known.isdisjoint(labels):
            domain = match[2]
            remedy = did_you_mean(labels[-1], sorted(known)) or "use the name in its guide"
            yield item.found(
                f"`{name}`: AWS's reference lists no service `{labels[-1]}` (principals end with "
                f"`.{domain}`)",
                item.place(element, kind, index),
                remedy,
            )


def deleted(subject: Subject) -> Iterator[Found]:
    """Yield unique ids of users or roles, which IAM leaves in place of deleted principals."""
    for item, element, kind, name, index in _named(subject):
        if kind == "AWS" and _UNIQUE_ID.fullmatch(name):
            yield item.found(
                f"`{name}` is the id of a deleted user or role: a new one of the same name has a "
                "different id",
                item.place(element, kind, index),
                "name the user or role by its ARN",
            )


def unfit_actions(subject: Subject) -> Iterator[Found]:
    """Yield actions that a trust policy cannot have, that do not fit, or that are missing."""
    for item in subject.items:
        for element, text, place in item.texts("Action", "NotAction"):
            if element == "NotAction" or not _of_trust(text):
                yield item.found(
                    f"`{text}` in {element} is not allowed in a trust policy, which says who may "
                    "assume the role",
                    place,
                    "put what the role may do into a policy attached to it; a document without "
                    "`Resource` counts as a trust policy unless `--kind` says otherwise",
                )
        if item.allows:
            yield from _unfit(item)
            yield from _lacking(item, subject)


def _of_trust(text: str) -> bool:
    lower = text.lower()
    return lower.startswith("sts:") and any(
        patterns_overlap(lower, action.lower()) for action in _TRUST_ACTIONS
    )


def _unfit(item: Item) -> Iterator[Found]:
    """Yield actions with which none of the statement's principals can assume the role."""
    kinds = {kind for kind in _kinds(item) if kind in ASSUME}
    if not kinds:
        return
    fitting = {ASSUME[kind] for kind in kinds}
    for index, text in enumerate(item.written.action or ()):
        assuming = {
            action
            for action in ASSUME.values()
            if text.lower() == action.lower() and action not in fitting
        }
        if assuming:
            yield item.found(
                f"no principal of the statement can call `{text}`: "
                f"{_words(kinds)} assumes a role with `{min(fitting)}`",
                item.place("Action", index),
                f"use `{min(fitting)}`",
            )


def _lacking(item: Item, subject: Subject) -> Iterator[Found]:
    """Yield conditions on values that belong to an action which no statement allows."""
    allowed = list(subject.allows)
    services_named = item.ids("Service")
    if _ANYWHERE in services_named:
        needed = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
        missing = [a for a in needed if not any(e.compiled.matches_action(a) for e in allowed)]
        if missing:
            yield item.found(
                f"IAM Roles Anywhere also needs `{'`, `'.join(missing)}`",
                item.place("Action"),
                "allow the three actions: `sts:AssumeRole`, `sts:TagSession` and "
                "`sts:SetSourceIdentity`",
            )
    for condition in item.written.conditions:
        for prefix, action in _NEEDED:
            if not condition.key.lower().startswith(prefix):
                continue
            if any(each.compiled.matches_action(action) for each in allowed):
                continue
            yield item.found(
                f"`{condition.key}` needs `{action}`, which no statement allows: a session with "
                "tags or a source identity is refused",
                item.condition_place(condition),
                f"add `{action}` to `Action`",
            )


def _fault(kind: str, name: str, subject: Subject) -> tuple[str, str] | None:
    """Return why IAM refuses the principal *name*, and a remedy; None if IAM accepts it."""
    if kind == "AWS":
        return _aws_fault(name)
    if kind == "Service":
        if SERVICE.fullmatch(name):
            return None
        guess = f"`{name}.amazonaws.com`" if re.fullmatch(r"[a-z0-9-]+", name) else "its guide's"
        return (
            f"`{name}` is not a service principal: its name must end with `.amazonaws.com`",
            f"use {guess} name",
        )
    if kind == "CanonicalUser":
        if _CANONICAL.fullmatch(name):
            return None
        return f"`{name}` is not a canonical user id, which has 64 hexadecimal digits", "correct it"
    return _federated_fault(name, subject)


def _aws_fault(name: str) -> tuple[str, str] | None:
    fits = (_ARN, _ACCOUNT, _UNIQUE_ID)
    if left := placeholder(name):
        return f"`{left}` in `{name}` is a placeholder for a name", "write the intended name"
    if name == "*" or any(form.fullmatch(name) for form in fits):
        return None
    if "*" in name or "?" in name:
        return (
            f"`{name}`: a principal cannot have wildcards; it is `*` or one name",
            'name the account and add a condition: `"ArnLike": {"aws:PrincipalArn": …}`',
        )
    partitions = ", ".join(f"arn:{partition}" for partition in PARTITIONS)
    return (
        f"`{name}` is not a principal: neither an account of 12 digits nor the ARN of an account, "
        f"user, role or session ({partitions})",
        "correct it, as in `arn:aws:iam::111122223333:role/NAME`",
    )


def _federated_fault(name: str, subject: Subject) -> tuple[str, str] | None:
    if subject.kind == "resource":
        return (
            f"`Federated` (`{name}`) is allowed only in trust policies",
            "name the role that its users assume under `AWS`",
        )
    if name in by_application() or _PROVIDER.fullmatch(name):
        return None
    return (
        f"`{name}` is not an identity provider",
        "use its ARN: `arn:aws:iam::111122223333:saml-provider/NAME`, or `oidc-provider/HOST` "
        "without `https://`",
    )


def _kinds(item: Item) -> Iterator[str]:
    """Yield the kinds of the statement's principals, as in `ASSUME`."""
    if item.written.principal is None:
        return
    if item.written.principal.everyone:
        yield "*"  # by which action depends on the caller
    for kind, names in item.written.principal.ids:
        for name in names:
            if kind != "Federated":
                yield "*" if name == "*" else kind
            else:
                yield "SAML" if ":saml-provider/" in name else "OIDC"


def _words(kinds: set[str]) -> str:
    words = {
        "AWS": "an account, user or role",
        "Service": "a service",
        "OIDC": "a user of an OIDC provider",
        "SAML": "a user of a SAML provider",
    }
    return words[min(kinds)]


def _named(subject: Subject) -> Iterator[tuple[Item, str, str, str, int]]:
    """Yield each principal of a statement: element, kind, name, place."""
    for item in subject.items:
        for element, principals in (
            ("Principal", item.written.principal),
            ("NotPrincipal", item.written.not_principal),
        ):
            for kind, names in principals.ids if principals else ():
                for index, name in enumerate(names):
                    yield item, element, kind, name, index
