"""Who may assume a role or use a resource: strangers, services for anybody, foreign tokens.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cml_iam.engine import Request
from cml_iam.facts import EXAMPLE_ACCOUNT, is_provider_key
from cml_iam.lint._finding import Fault, Step, listed
from cml_iam.lint._principals import SOURCES, Issuer, by_application, host_of, issuer_of
from cml_iam.lint._strangers import (
    ROLE,
    Stranger,
    Values,
    admitted,
    example_of,
    filled,
    meeting,
    strangers,
    values_for_stranger,
)
from cml_iam.lint._subject import Clause, Item, Subject
from cml_iam.policy import Path

WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
SAML: Final = "sts:AssumeRoleWithSAML"

_SOURCE_KEYS: Final = (
    *SOURCES,
    "aws:sourceowner",
    "kms:calleraccount",
    "kms:viaservice",
    "kms:encryptioncontext:",
)
"""Keys, or their prefixes, that say for whom a service acts."""

_FOR_ROLES: Final = ("bedrock", "config", "pipes", "scheduler", "states", "vpc-flow-logs")
"""Services whose guides require a source in the trust policy of the role that they use."""

TRIED: Final = 64
"""The maximum number of subjects tried for one statement."""

_OF_PROJECTS: Final = (
    "project_id",
    "project_path",
    "repository",
    "repository_id",
    "terraform_workspace_id",
    "workflow_ref",
)
"""Claims that differ between the projects of one owner.

https://docs.github.com/en/actions/reference/security/oidc
"""

_NOT_OF_TOKENS: Final = ("aws:requesttag/", "aws:tagkeys", "aws:principal", "aws:user")


class Token(NamedTuple):
    """Whose tokens to try: a stranger's.

    If *inside*, those of the owner's other projects; if *guest*, those of the application's users
    who did not sign in.
    """

    host: str
    inside: bool = False
    guest: bool = False

    def values(self, others: Values) -> Values:
        """Return the values that a request with this token may send for a key.

        *others* returns the values for keys that are not in a token. The token has no tags and no
        claims of other providers, and the request has no user yet.
        """
        issuer, prefix = issuer_of(self.host), f"{self.host.lower()}:"

        def values(key: str, conditions: Sequence[Clause]) -> Sequence[Any]:
            if key in issuer.who and not self.inside:
                return _foreign(conditions)
            if not key.startswith(prefix):
                foreign = is_provider_key(key) or key.startswith(_NOT_OF_TOKENS)
                return (None,) if foreign else others(key, conditions)
            claim = key.removeprefix(prefix)
            if self.guest and issuer.guests and claim == issuer.guests[0]:
                return ([issuer.guests[1]],)
            if claim == "sub":
                return self._subjects(issuer, conditions)
            strange = not self.inside and not self.guest
            if claim in issuer.who and (strange or claim in _OF_PROJECTS):
                return _foreign(conditions, inside=self.inside)
            return meeting(key, conditions)

        return values

    def _subjects(self, issuer: Issuer, conditions: Sequence[Clause]) -> Sequence[str | None]:
        patterns = [value for clause in conditions for value in clause.values]
        if not patterns:
            return (None,) if self.inside else (issuer.subject,)
        own = {owner for owner in map(issuer.owner_of, patterns) if owner}
        fillable = patterns if issuer.owner else [text for text in patterns if text[:1] in "*?"]
        whose = {
            text: owner
            for pattern in fillable
            for text in filled(pattern, _fills(issuer))
            if issuer.issues(text) and (owner := issuer.owner_of(text))
        }
        others = [text for text, owner in whose.items() if self._is_other(owner, own)]
        # Those with an obvious stranger first, then short ones.
        others.sort(key=lambda text: ("stranger" not in whose[text][0], len(text)))
        return others[:TRIED] if self.inside else [*others[:TRIED], issuer.subject]

    def _is_other(self, whose: tuple[str, str], own: Iterable[tuple[str, str]]) -> bool:
        """Return whether *whose* token it is: of none of the owners, or projects, in *own*."""
        owners = {name for name, _ in own if not _open(name)}
        if not self.inside:
            return whose[0] not in owners
        return whose[0] in owners and whose not in own


def _open(text: str) -> bool:
    return "*" in text or "?" in text


def _fills(issuer: Issuer) -> tuple[str, ...]:
    """Return candidates for a wildcard in a subject: parts of a stranger's subject, and nothing."""
    subject = issuer.subject
    marks = list(re.finditer(r"//|[:/]", subject))
    starts = [0, *(mark.end() for mark in marks)]
    ends = [*(mark.start() for mark in marks), len(subject)]
    parts = [subject[start:end] for start in starts for end in reversed(ends) if start < end]
    behind = [f"-{subject[starts[1] :]}" if marks else "", "-stranger"]
    return tuple(dict.fromkeys(("stranger", *parts, *behind, "")))


def _foreign(conditions: Sequence[Clause], *, inside: bool = False) -> tuple[Any, ...]:
    """Return a stranger's values that match the patterns.

    If *inside*, those of the owner's other projects.
    """
    end = "/.github/" if inside else "/"  # of the project or the owner
    patterns = [value for clause in conditions for value in clause.values]
    texts = [text for p in patterns if _open(p.partition(end)[0]) for text in filled(p)]
    several = any(clause.operator.qualifier for clause in conditions)
    return tuple([text] if several else text for text in (*texts, "stranger"))


def anyone(item: Item) -> Iterator[Fault]:
    subject, principal = item.subject, item.written.principal
    everybody = principal is not None and (principal.everyone or "*" in item.ids("AWS"))
    about = _about(item) if item.allows and everybody else None
    if about is None:
        return
    for stranger in (*strangers(subject), *_acting(item)):
        request = admitted(item, about, stranger.principal, stranger.values)
        if request is None:
            continue
        actions = item.elements["Action"]
        call = f"call {listed(actions) if actions else 'everything except what is listed'}"
        caller = request.principal or "an anonymous caller"
        yield item.fault(
            f"anyone may {'assume the role' if subject.kind == 'trust' else call}: {stranger.who}",
            "name the intended accounts, roles or users, or require your own organization: "
            '`"StringEquals": {"aws:PrincipalOrgID": …}`, which also requires that the key is '
            "present",
            ("Principal",),
            (Step(request, "allowed", f"{caller} calls {request.action}"),),
        )
        return


def _acting(item: Item) -> Iterator[Stranger]:
    """Yield a service that acts for a stranger, if a condition says for whom one may act."""
    if item.subject.kind == "resource" and _asks(item, "aws:sourcearn", "aws:sourceaccount"):
        sources = (
            value.split(":")[2:3]
            for clause in item.clauses
            for value in clause.values
            if clause.name == "aws:sourcearn"
        )
        name = next((part[0] for part in sources if part and part[0].isalnum()), "sns")
        values = values_for_stranger(item.subject)
        yield Stranger("AWS services that act for any account", f"{name}.amazonaws.com", values)


def _about(item: Item) -> tuple[str, str] | None:
    if item.subject.kind != "trust":
        return example_of(item)
    names = filter(item.compiled.matches_action, ("sts:AssumeRole", WEB_IDENTITY, SAML))
    return next(((name, ROLE) for name in names), None)


def strange_tokens(subject: Subject) -> Iterator[Fault]:
    for item, host, principal in _providers(subject):
        if request := _admitted(item, principal, Token(host)):
            key = f"{host}:{by_application().get(host, 'sub')}"
            also = f"its condition on `{key}` also matches others"
            why = also if _asks(item, key) else f"no `{key}` is required"
            yield item.fault(
                f"{issuer_of(host).holders} may assume the role: {why}",
                f"require exactly the intended values: `StringEquals` on `{key}`, or `StringLike` "
                "with wildcards only after the names of the owner and the project",
                *_by_token(request, host),
            )


def strange_projects(subject: Subject) -> Iterator[Fault]:
    for item, host, principal in _providers(subject):
        # Without an owner, the tokens name no project.
        token = Token(host, inside=True) if issuer_of(host).owner else None
        if request := _further(item, principal, token):
            yield item.fault(
                "other repositories or projects of the same owner may assume the role too, "
                "including those created later",
                f"name the repositories or projects in `{host}:sub`",
                *_by_token(request, host),
            )


def guests(subject: Subject) -> Iterator[Fault]:
    """Yield Allows that accept a user who did not sign in, unless they mention the claim."""
    for item, host, principal in _providers(subject):
        claim, value = issuer_of(host).guests or ("", "")
        token = Token(host, guest=True) if claim and not _asks(item, f"{host}:{claim}") else None
        if request := _further(item, principal, token):
            yield item.fault(
                "anybody may assume the role without signing in, if the identity pool allows "
                f"guests: no `{host}:{claim}` is required",
                f'add `"ForAnyValue:StringLike": {{"{host}:{claim}": "authenticated"}}`, or '
                f"`{value}` in a role for guests",
                *_by_token(request, host),
            )


def keys_of_others(subject: Subject) -> Iterator[Fault]:
    """Yield conditions on claims that tokens of one of the statement's providers do not have."""
    hosts: dict[Item, list[str]] = {}
    for item, host, _ in _providers(subject):
        hosts.setdefault(item, []).append(host)
    for clause in (
        clause for item in hosts for clause in item.clauses if is_provider_key(clause.key)
    ):
        owner, _, claim = clause.name.rpartition(":")
        named = hosts[clause.item]
        lacking = next((host for host in named if host.lower() != owner), None)
        own = any(host.lower() == owner for host in named)
        if lacking is None or (own and clause.test({})):
            continue
        yield clause.fault(
            f"a token of `{lacking}` has no `{clause.key}`, so the condition {clause.how_often} "
            "holds",
            "give each provider a statement of its own"
            if own
            else f"write `{lacking}:{claim}`, as in the name of the provider",
        )


def unclaimed(subject: Subject) -> Iterator[Fault]:
    for item, host, _ in _providers(subject):
        # The audience of another provider is said by a rule of its own.
        claims = {clause.name.rpartition(":")[2] for clause in item.clauses}
        if host not in by_application() and not claims & {"aud", "azp"}:
            yield item.fault(
                "a token that the provider issued for anything else matches too: no "
                f"`{host}:aud` is required",
                f'add `"StringEquals": {{"{host}:aud": "sts.amazonaws.com"}}`, or whatever the '
                "tokens are issued for",
                ("Principal",),
            )
    for item in subject.allows:
        saml = any(":saml-provider/" in name for name in item.ids("Federated"))
        if saml and item.compiled.matches_action(SAML) and not _asks(item, "saml:aud"):
            yield item.fault(
                "an assertion that the provider issued for anything else matches too: no "
                "`SAML:aud` is required",
                'add `"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}`',
                ("Principal",),
            )


def sourceless(item: Item) -> Iterator[Fault]:
    """Yield an Allow that does not restrict for whom a service may act (confused deputy).

    A trust policy is reported only if the service's guide requires a source: only the role's own
    account can give it to a service, and many services send no source.
    """
    services = [
        name
        for name in item.ids("Service")
        if item.subject.kind == "resource" or name.partition(".")[0] in _FOR_ROLES
    ]
    about = _about(item) if services and item.allows else None
    if about is None:
        return
    service, asks = services[0], _asks(item, *_SOURCE_KEYS)
    values = values_for_stranger(item.subject)
    request = admitted(item, about, service, values) if asks else None
    if request is not None or not asks:
        silent = "the statement does not restrict the source"
        yield item.fault(
            f"`{service}` may act here for any account, because "
            f"{'its condition also matches others' if asks else silent}",
            f'add `"StringEquals": {{"aws:SourceAccount": "{EXAMPLE_ACCOUNT}"}}` with your '
            "account, or `aws:SourceArn` with the resource that the service acts for",
            ("Principal",),
            (Step(request, "allowed", f"{service} calls {request.action}"),) if request else (),
        )


def all_but(item: Item) -> Iterator[Fault]:
    if item.written.not_principal is None:
        return
    if item.allows:
        yield item.fault(
            "everybody except those listed is allowed: every other AWS account, and anonymous "
            "callers",
            "name the intended principals in `Principal`; refuse the others in a Deny with a "
            "condition on `aws:PrincipalArn`",
            ("NotPrincipal",),
        )
    elif item.subject.kind == "trust":
        yield item.fault(
            "`NotPrincipal` is not allowed in a trust policy",
            'use `"Principal": "*"` with a condition on `aws:PrincipalArn`',
            ("NotPrincipal",),
        )


def _providers(subject: Subject) -> Iterator[tuple[Item, str, str]]:
    """Yield each OIDC provider that a trust policy allows: statement, address, principal."""
    for item in subject.allows:
        for name in item.ids("Federated") if item.compiled.matches_action(WEB_IDENTITY) else ():
            host = host_of(name)
            if host is not None:
                yield item, host, name


def _further(item: Item, principal: str, token: Token | None) -> Request | None:
    """Return a request with *token*, if the document allows none with a stranger's token.

    None without a *token*: then there is no such request to try.
    """
    if token is None or _admitted(item, principal, Token(token.host)):
        return None
    return _admitted(item, principal, token)


@lru_cache(16)
def _admitted(item: Item, principal: str, token: Token) -> Request | None:
    sent = ["sub", by_application().get(token.host, "aud")]
    sent += issuer_of(token.host).guests[: token.guest]
    claims = [f"{token.host}:{claim}" for claim in sent]
    values = token.values(next(strangers(item.subject)).values)
    return admitted(item, (WEB_IDENTITY, ROLE), principal, values, always=claims)


def _by_token(request: Request, host: str) -> tuple[Path, tuple[Step, ...]]:
    """Return the place and the witness of a finding about a token."""
    claims = ", ".join(
        f"{key.rpartition(':')[2]} `{value if isinstance(value, str) else value[0]}`"
        for key, value in request.context.items()
        if key.lower().startswith(f"{host.lower()}:")
    )
    says = f"a token of {host} with {claims}" if claims else f"any token of {host}"
    return ("Principal",), (Step(request, "allowed", says),)


def _asks(item: Item, *keys: str) -> bool:
    """Return whether a condition tests one of *keys*; a key that ends with `:` is a prefix."""
    return any(
        clause.name.startswith(key.lower()) if key.endswith(":") else clause.name == key.lower()
        for clause in item.clauses
        for key in keys
    )
