"""Principals as written, the actions a trust policy lets them call, and whom a Deny hits.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_update-role-trust-policy.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

from cml_iam.facts import DOMAINS, PARTITIONS, known_regions, published, services
from cml_iam.files import shipped_text
from cml_iam.lint._finding import Fault, Kind
from cml_iam.lint._names import SERVICE, placeholder
from cml_iam.lint._subject import Item, Principal
from cml_iam.policy import did_you_mean, patterns_overlap

_UNIQUE_ID: Final = re.compile(r"A(?:ROA|IDA|GPA|NPA|IPA)[A-Z0-9]{12,}")
_AWS: Final = re.compile(
    r"\*|[0-9]{12}"
    rf"|{_UNIQUE_ID.pattern}"
    r"|arn:aws[a-z-]*:(?:"
    r"iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)"
    r"|iam::cloudfront:user/CloudFront Origin Access Identity \w+"
    r"|sts::[0-9]{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+|self)"
    r")"
)
_PROVIDER: Final = re.compile(
    r"arn:aws[a-z-]*:iam::[0-9]{12}:(?:saml-provider/[\w+=,.@-]+|oidc-provider/(?!https?:)[\w.:/-]+)"
)
_CANONICAL: Final = re.compile(r"[0-9a-f]{64}")

ASSUME: Final = {
    "AWS": ("sts:AssumeRole", "an account, user or role"),
    "OIDC": ("sts:AssumeRoleWithWebIdentity", "a user of an OIDC provider"),
    "SAML": ("sts:AssumeRoleWithSAML", "a user of a SAML provider"),
    "Service": ("sts:AssumeRole", "a service"),
}
"""The action with which each kind of principal assumes a role, and how messages name the kind.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_request.html
"""

_ASSUMING: Final = frozenset(action for action, _ in ASSUME.values())
_TRUST_ACTIONS: Final = (*_ASSUMING, "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext")

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

_ANYWHERE: Final = ("sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
"""What IAM Roles Anywhere calls."""


def malformed(principal: Principal) -> Iterator[Fault]:
    if refusal := _refusal(principal.kind, principal.name, principal.item.subject.kind):
        yield principal.item.fault(*refusal, principal.at)


def _refusal(kind: str, name: str, of: Kind) -> tuple[str, str] | None:
    if kind == "AWS":
        return _refusal_of_aws(name)
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
    if of == "resource":
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


def _refusal_of_aws(name: str) -> tuple[str, str] | None:
    if left := placeholder(name):
        return f"`{left}` in `{name}` is a placeholder for a name", "write the intended name"
    if _AWS.fullmatch(name):
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


def unknown_services(principal: Principal) -> Iterator[Fault]:
    name = principal.name
    match = SERVICE.fullmatch(name) if principal.kind == "Service" else None
    if match is None:
        return
    regions = {region for partition in DOMAINS for region in known_regions(partition)}
    labels = [label for label in match[1].split(".") if label not in regions]
    names = services() | published("principal")
    if labels and names.isdisjoint(labels):
        yield principal.item.fault(
            f"`{name}`: AWS's reference lists no service `{labels[-1]}` (principals end with "
            f"`.{match[2]}`)",
            did_you_mean(labels[-1], sorted(names)) or "use the name in its guide",
            principal.at,
        )


def deleted(principal: Principal) -> Iterator[Fault]:
    if principal.kind == "AWS" and _UNIQUE_ID.fullmatch(principal.name):
        yield principal.item.fault(
            f"`{principal.name}` is the id of a deleted user or role: a new one of the same name "
            "has a different id",
            "name the user or role by its ARN",
            principal.at,
        )


def unfit_actions(item: Item) -> Iterator[Fault]:
    for text, at in item.texts("Action", "NotAction"):
        lower = text.lower()
        fits = lower.startswith("sts:") and any(
            patterns_overlap(lower, action.lower()) for action in _TRUST_ACTIONS
        )
        if at[0] == "NotAction" or not fits:
            yield item.fault(
                f"`{text}` in {at[0]} is not allowed in a trust policy, which says who may assume "
                "the role",
                "put what the role may do into a policy attached to it; a document without "
                "`Resource` counts as a trust policy unless `--kind` says otherwise",
                at,
            )
    if item.allows:
        yield from _unfit(item)
        yield from _lacking(item)


def _unfit(item: Item) -> Iterator[Fault]:
    named = {_assuming_kind(kind, name) for kind, names in item.principals() for name in names}
    kinds = sorted(ASSUME.keys() & named)
    fitting = {ASSUME[kind][0].lower(): ASSUME[kind][0] for kind in kinds}
    for text, at in item.texts("Action") if kinds else ():
        lower = text.lower()
        if lower in {action.lower() for action in _ASSUMING} and lower not in fitting:
            fit = min(fitting.values())
            yield item.fault(
                f"no principal of the statement can call `{text}`: {ASSUME[kinds[0]][1]} assumes "
                f"a role with `{fit}`",
                f"use `{fit}`",
                at,
            )


def _assuming_kind(kind: str, name: str) -> str:
    """Return the kind of a principal as in `ASSUME`; with which action `*` does is open."""
    if kind == "Federated":
        return "SAML" if ":saml-provider/" in name else "OIDC"
    return "*" if name == "*" else kind


def _lacking(item: Item) -> Iterator[Fault]:
    """Yield conditions on values that belong to an action which no statement allows."""

    def lacks(action: str) -> bool:
        return not any(allow.compiled.matches_action(action) for allow in item.subject.allows)

    missing = [action for action in _ANYWHERE if lacks(action)]
    if "rolesanywhere.amazonaws.com" in item.ids("Service") and missing:
        yield item.fault(
            f"IAM Roles Anywhere also needs `{'`, `'.join(missing)}`",
            "allow the three actions: `sts:AssumeRole`, `sts:TagSession` and "
            "`sts:SetSourceIdentity`",
            ("Action",),
        )
    for clause in item.clauses:
        action = next(
            (action for prefix, action in _NEEDED if clause.name.startswith(prefix)), None
        )
        if action and lacks(action):
            yield clause.fault(
                f"`{clause.key}` needs `{action}`, which no statement allows: a session with tags "
                "or a source identity is refused",
                f"add `{action}` to `Action`",
            )


SOURCES: Final = ("aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths")
"""Keys that say for whom a service acts."""

_IS_SERVICE: Final = "aws:principalisawsservice"
_OF_CALLERS: Final = re.compile(rf"(?s)(?!{_IS_SERVICE}\Z)aws:(principal|userid|username).*")
_OF_SOURCES: Final = re.compile("|".join(SOURCES))
_HIT: Final = (
    (
        _OF_CALLERS,
        "true",
        "AWS services that act for your organization, because their calls belong to no principal",
        'add `"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}` to the condition',
    ),
    (
        _OF_SOURCES,
        "false",
        "your own users and roles, because only calls of services have that key",
        'add `"Bool": {"aws:PrincipalIsAWSService": "true"}` to the condition',
    ),
    (
        _OF_SOURCES,
        "true",
        "services that act without naming a source",
        'add `"Null": {"aws:SourceAccount": "false"}` to the condition',
    ),
)
"""For keys and a value of aws:PrincipalIsAWSService: the callers, and a remedy."""


def hit_by_control(item: Item) -> Iterator[Fault]:
    """Yield a Deny of strangers that also refuses AWS's services or your own principals."""
    prefixes = ("aws:principal", *SOURCES)
    about = [clause for clause in item.clauses if clause.name.startswith(prefixes)]
    for keys, is_service, callers, remedy in () if item.allows else _HIT:
        clause = next((one for one in item.clauses if keys.fullmatch(one.name)), None)
        if clause and all(other.test({_IS_SERVICE: is_service}) for other in about):
            yield clause.fault(f"the condition on `{clause.key}` also refuses {callers}", remedy)


class Issuer(NamedTuple):
    """An identity provider: a row of `policies/oidc-providers.toml`, which describes its members.

    *owner* is None if the whole `sub` identifies the owner. *who* names each claim.
    """

    host: str
    subject: str
    holders: str
    owner: str | None = None
    token: str | None = None
    who: frozenset[str] = frozenset()
    guests: tuple[str, ...] = ()
    application: str | None = None
    page: str | None = None
    unread: bool = False

    def owner_of(self, subject: str) -> tuple[str, str] | None:
        """Return the owner and the project in *subject*; None for one that is not there."""
        if self.owner is None:
            return subject, ""
        match = re.match(self.owner, subject)
        return (match[1], match[2] or "*") if match else None

    def issues(self, subject: str) -> bool:
        """Return whether the provider may issue a token with *subject*."""
        return self.token is None or re.fullmatch(self.token, subject) is not None


@cache
def issuers() -> tuple[Issuer, ...]:
    """Return the providers in `policies/oidc-providers.toml`."""
    import tomllib  # few trust policies name a provider

    data = tomllib.loads(shipped_text("policies", "oidc-providers.toml"))
    claims = {"build-claims": data["build-claims"]}
    for row in data["provider"]:
        names = row.get("who", ())
        row["guests"] = tuple(row.get("guests", ()))
        row["who"] = frozenset(claim for name in names for claim in claims.get(name, [name]))
    return tuple(Issuer(**row) for row in data["provider"])


@cache
def by_application() -> dict[str, str]:
    """Return the providers whose users belong to an application, and the claim that names it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_manual.html
    """
    return {issuer.host: issuer.application for issuer in issuers() if issuer.application}


def host_of(principal: str) -> str | None:
    """Return the provider's address as used in its keys, or None if it is not OIDC."""
    if principal in by_application():
        return principal
    _, slash, host = principal.partition(":oidc-provider/")
    return host.removeprefix("https://") if slash else None


def issuer_of(host: str) -> Issuer:
    """Return the known facts about the provider at *host*."""
    matching = (issuer for issuer in issuers() if host.lower().startswith(issuer.host))
    return next(matching, Issuer("", "stranger", f"every holder of a token of {host}"))
