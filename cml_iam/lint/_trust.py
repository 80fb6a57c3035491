"""Who may assume a role or use a resource: strangers, services for anybody, foreign tokens.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cml_iam.facts import EXAMPLE_ACCOUNT, is_provider_key
from cml_iam.lint._finding import Found, Step, listed
from cml_iam.lint._oidc import Token, by_application, host_of, issuer_of
from cml_iam.lint._strangers import (
    ROLE,
    Stranger,
    admitted,
    example_of,
    strangers,
    values_for_stranger,
    values_of_user,
)
from cml_iam.lint._subject import how_often

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.engine import Request
    from cml_iam.errors import Place
    from cml_iam.lint._subject import Item, Subject

WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"

_SOURCE_KEYS: Final = (
    "aws:sourcearn",
    "aws:sourceaccount",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "kms:calleraccount",
    "kms:viaservice",
    "kms:encryptioncontext:",
)
"""Keys, or their prefixes, that say for whom a service acts."""

_FOR_ROLES: Final = frozenset(
    {
        "bedrock",
        "config",
        "pipes",
        "scheduler",
        "states",
        "vpc-flow-logs",
    }
)
"""Services whose guides require a source in the trust policy of the role that they use."""


def anyone(subject: Subject) -> Iterator[Found]:
    """Yield Allows for everybody that let a stranger in."""
    for item in subject.allows:
        principals = item.written.principal
        if principals is None or not (principals.everyone or "*" in item.ids("AWS")):
            continue
        about = _about(subject, item)
        if about is None:
            continue
        for stranger in (*strangers(subject), *_acting(subject, item)):
            request = admitted(subject, item, about, stranger.principal, stranger.values)
            if request is None:
                continue
            actions = [*(item.written.action or ())]
            what = (
                "assume the role"
                if subject.kind == "trust"
                else "call " + (listed(actions) if actions else "everything except what is listed")
            )
            caller = request.principal or "an anonymous caller"
            yield item.found(
                f"anyone may {what}: {stranger.who}",
                item.place("Principal"),
                "name the intended accounts, roles or users, or require your own "
                'organization: `"StringEquals": {"aws:PrincipalOrgID": …}`, which also requires '
                "that the key is present",
                (_step(request, f"{caller} calls {request.action}"),),
            )
            break


def _acting(subject: Subject, item: Item) -> Iterator[Stranger]:
    """Yield a service that acts for a stranger, if a condition says for whom one may act."""
    if subject.kind == "resource" and _asks(item, "aws:sourcearn", "aws:sourceaccount"):
        sources = (
            value.split(":")[2:3]
            for condition in item.written.conditions
            for value in condition.values
            if condition.key.lower() == "aws:sourcearn"
        )
        name = next((part[0] for part in sources if part and part[0].isalnum()), "sns")
        values = values_for_stranger(subject)
        yield Stranger("AWS services that act for any account", f"{name}.amazonaws.com", values)


def _about(subject: Subject, item: Item) -> tuple[str, str] | None:
    """Return an action and a resource that the statement covers."""
    if subject.kind != "trust":
        return example_of(item)
    names = ("sts:AssumeRole", WEB_IDENTITY, "sts:AssumeRoleWithSAML")
    return next(((name, ROLE) for name in names if _says(item, name)), None)


def _says(item: Item, action: str) -> bool:
    return item.compiled.matches_action(action)


def strange_tokens(subject: Subject) -> Iterator[Found]:
    """Yield Allows for an OIDC provider that accept a stranger's token."""
    for item, host, principal, place in _providers(subject):
        request = _admitted(subject, item, principal, Token(host))
        if request is None:
            continue
        claim = by_application().get(host, "sub")
        key = f"{host}:{claim}"
        asked = any(condition.key.lower() == key.lower() for condition in item.written.conditions)
        why = (
            f"its condition on `{key}` also matches others" if asked else f"no `{key}` is required"
        )
        yield item.found(
            f"{issuer_of(host).holders} may assume the role: {why}",
            place,
            f"require exactly the intended values: `StringEquals` on `{key}`, or `StringLike` with "
            "wildcards only after the names of the owner and the project",
            (_step(request, _token_words(request, host)),),
        )


def strange_projects(subject: Subject) -> Iterator[Found]:
    """Yield Allows for an OIDC provider that accept every project of one owner."""
    for item, host, principal, place in _providers(subject):
        if issuer_of(host).owner is None:  # whose tokens name no project
            continue
        request = _further(subject, item, principal, Token(host, inside=True))
        if request is not None:
            yield item.found(
                "other repositories or projects of the same owner may assume the role too, "
                "including those created later",
                place,
                f"name the repositories or projects in `{host}:sub`",
                (_step(request, _token_words(request, host)),),
            )


def guests(subject: Subject) -> Iterator[Found]:
    """Yield Allows for a provider that accept the token of a user who did not sign in.

    A statement that mentions the claim is taken to mean them.
    """
    for item, host, principal, place in _providers(subject):
        claim, value = issuer_of(host).guests or ("", "")
        if not claim or _asks(item, f"{host}:{claim}"):
            continue
        request = _further(subject, item, principal, Token(host, guest=True))
        if request is not None:
            yield item.found(
                "anybody may assume the role without signing in, if the identity pool allows "
                f"guests: no `{host}:{claim}` is required",
                place,
                f'add `"ForAnyValue:StringLike": {{"{host}:{claim}": "authenticated"}}`, or '
                f"`{value}` in a role for guests",
                (_step(request, _token_words(request, host)),),
            )


def keys_of_others(subject: Subject) -> Iterator[Found]:
    """Yield conditions on claims of a provider that the statement does not name.

    Where it names several, also a condition that keeps out the tokens of the others.
    """
    hosts: dict[Item, list[str]] = {}
    for item, host, _, _ in _providers(subject):
        hosts.setdefault(item, []).append(host)
    for item, named in hosts.items():
        for asked in item.asked:
            key = asked.condition.key
            owner, _, claim = key.lower().rpartition(":")
            lacking = next((host for host in named if host.lower() != owner), None)
            own = any(host.lower() == owner for host in named)
            if not is_provider_key(key) or lacking is None or (own and asked.test({})):
                continue
            yield item.found(
                f"a token of `{lacking}` has no `{key}`, so the condition {how_often(asked)} holds",
                item.condition_place(asked.condition),
                "give each provider a statement of its own"
                if own
                else f"write `{lacking}:{claim}`, as in the name of the provider",
            )


def unclaimed(subject: Subject) -> Iterator[Found]:
    """Yield Allows for an OIDC or SAML provider that do not check the token's audience."""
    for item, host, _, place in _providers(subject):
        claims = {c.key.rpartition(":")[2].lower() for c in item.written.conditions}
        if host in by_application() or claims & {"aud", "azp"}:
            continue  # of another provider: a rule of its own says so
        yield item.found(
            "a token that the provider issued for anything else matches too: no "
            f"`{host}:aud` is required",
            place,
            f'add `"StringEquals": {{"{host}:aud": "sts.amazonaws.com"}}`, or whatever the '
            "tokens are issued for",
        )
    for item in subject.allows:
        named = item.ids("Federated")
        saml = any(":saml-provider/" in name for name in named)
        if saml and _says(item, "sts:AssumeRoleWithSAML") and not _asks(item, "saml:aud"):
            yield item.found(
                "an assertion that the provider issued for anything else matches too: no "
                "`SAML:aud` is required",
                item.place("Principal"),
                'add `"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}`',
            )


def sourceless(subject: Subject) -> Iterator[Found]:
    """Yield Allows that do not restrict for whom a service may act (confused deputy).

    A trust policy is reported only if the service's guide requires a source: only the role's own
    account can give it to a service, and many services send no source.
    """
    for item in subject.allows:
        services = [
            name
            for name in item.ids("Service")
            if subject.kind == "resource" or name.partition(".")[0] in _FOR_ROLES
        ]
        about = _about(subject, item)
        if not services or about is None:
            continue
        asked = _asks(item, *_SOURCE_KEYS)
        values = values_for_stranger(subject)
        request = admitted(subject, item, about, services[0], values) if asked else None
        if request is not None or not asked:
            silent = "the statement does not restrict the source"
            why = "its condition also matches others" if asked else silent
            yield item.found(
                f"`{services[0]}` may act here for any account, because {why}",
                item.place("Principal"),
                f'add `"StringEquals": {{"aws:SourceAccount": "{EXAMPLE_ACCOUNT}"}}` with your '
                "account, or `aws:SourceArn` with the resource that the service acts for",
                (_step(request, f"{services[0]} calls {request.action}"),) if request else (),
            )


def all_but(subject: Subject) -> Iterator[Found]:
    """Yield NotPrincipal with Allow, or in a trust policy, which cannot have it."""
    for item in subject.items:
        if item.written.not_principal is None:
            continue
        if item.allows:
            yield item.found(
                "everybody except those listed is allowed: every other AWS account, and anonymous "
                "callers",
                item.place("NotPrincipal"),
                "name the intended principals in `Principal`; refuse the others in a Deny with a "
                "condition "
                "on `aws:PrincipalArn`",
            )
        elif subject.kind == "trust":
            yield item.found(
                "`NotPrincipal` is not allowed in a trust policy",
                item.place("NotPrincipal"),
                'use `"Principal": "*"` with a condition on `aws:PrincipalArn`',
            )


def _providers(subject: Subject) -> Iterator[tuple[Item, str, str, Place | None]]:
    """Yield each OIDC provider that a trust policy allows: statement, address, principal, place."""
    for item in subject.allows:
        if not _says(item, WEB_IDENTITY):
            continue
        for name in item.ids("Federated"):
            host = host_of(name)
            if host is not None:
                yield item, host, name, item.place("Principal")


def _further(subject: Subject, item: Item, principal: str, token: Token) -> Request | None:
    """Return a request with *token*, if the document allows none with a stranger's token."""
    strange = _admitted(subject, item, principal, Token(token.host))
    return _admitted(subject, item, principal, token) if strange is None else None


@lru_cache(16)
def _admitted(subject: Subject, item: Item, principal: str, token: Token) -> Request | None:
    """Return a request with a *token* that the document allows."""
    sent = ["sub", by_application().get(token.host, "aud")]
    sent += (issuer_of(token.host).guests or ())[: token.guest]
    claims = [f"{token.host}:{claim}" for claim in sent]
    values = token.values(values_of_user(subject))
    return admitted(subject, item, (WEB_IDENTITY, ROLE), principal, values, always=claims)


def _token_words(request: Request, host: str) -> str:
    claims = ", ".join(
        f"{key.rpartition(':')[2]} `{value if isinstance(value, str) else value[0]}`"
        for key, value in request.context.items()
        if key.lower().startswith(f"{host.lower()}:")
    )
    return f"a token of {host} with {claims}" if claims else f"any token of {host}"


def _step(request: Request, says: str) -> Step:
    return Step(request, "allowed", says)


def _asks(item: Item, *keys: str) -> bool:
    """Return whether a condition tests one of *keys*; a key that ends with `:` is a prefix."""
    names = [condition.key.lower() for condition in item.written.conditions]
    return any(
        name.startswith(key.lower()) if key.endswith(":") else name == key.lower()
        for name in names
        for key in keys
    )


_OF_THE_RESOURCE: Final = (
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "s3:resourceaccount",
)


def own_account(subject: Subject) -> Iterator[Found]:
    """Yield conditions on the resource's account in the policy of that resource: they always hold.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    for item in subject.items:
        for condition in item.written.conditions:
            if condition.key.lower() in _OF_THE_RESOURCE:
                yield item.found(
                    f"`{condition.key}` is the same in every request, because this is the policy "
                    "of that resource",
                    item.condition_place(condition),
                    "remove it; for the caller, use `aws:PrincipalAccount` or `aws:PrincipalOrgID`",
                )


_OF_CALLERS: Final = (
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principaltag/",
    "aws:userid",
    "aws:username",
)
"""Keys, or their prefixes, that requests of AWS services do not have."""

_CERTIFICATE: Final = "aws:principaltag/x509"
"""The prefix of tags that only IAM Roles Anywhere sends: the fields of the client's certificate.

https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
"""


def keys_of_nobody(subject: Subject) -> Iterator[Found]:
    """Yield conditions on the caller's identity where only services are allowed.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    for item in subject.allows:
        principals = dict(item.written.principal.ids if item.written.principal else ())
        if set(principals) != {"Service"}:
            continue
        by_certificate = set(principals["Service"]) == {"rolesanywhere.amazonaws.com"}
        for asked in item.asked:
            key = asked.condition.key
            if by_certificate and key.lower().startswith(_CERTIFICATE):
                continue
            if key.lower().startswith(_OF_CALLERS):
                yield item.found(
                    f"a service calls without `{key}`, so the condition {how_often(asked)} holds",
                    item.condition_place(asked.condition),
                    "use `aws:SourceAccount`, `aws:SourceArn` or `aws:SourceOrgID`, which say "
                    "for whom the service acts",
                )
