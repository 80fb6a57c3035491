"""The token formats of shared identity providers, and how tokens name their owners.

https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cml_iam.facts import is_provider_key
from cml_iam.files import shipped_text
from cml_iam.lint._strangers import filled, meeting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.lint._strangers import Values
    from cml_iam.lint._subject import Asked


TRIED: Final = 64
"""The maximum number of subjects tried for one statement."""


class Issuer(NamedTuple):
    """An identity provider, by the beginning of its address.

    *subject* is the `sub` of a stranger's token. *owner* matches the owner in a token's `sub`, and
    the project if there is one; it is None if the whole text identifies the owner. *token* is the
    form of the tokens that the provider issues. *who* are claims other than `sub` that identify the
    owner. *holders* says who can get a token from the provider. *guests* are the claim, and its
    value, of tokens for users who did not sign in. *application* is the claim that names the
    application to which the provider's users belong.
    """

    prefix: str
    subject: str
    holders: str
    owner: re.Pattern[str] | None = None
    token: re.Pattern[str] | None = None
    who: frozenset[str] = frozenset()
    guests: tuple[str, str] | None = None
    application: str | None = None

    def owner_of(self, subject: str) -> tuple[str, str] | None:
        """Return the owner and the project in *subject*; None for one that is not there."""
        if self.owner is None:
            return subject, ""
        match = self.owner.match(subject)
        return (match[1], match[2] or "*") if match else None

    def issues(self, subject: str) -> bool:
        """Return whether the provider may issue a token with *subject*."""
        return self.token is None or self.token.fullmatch(subject) is not None


@cache
def issuers() -> tuple[Issuer, ...]:
    """Return the providers in `policies/oidc-providers.toml`, each with the page on its tokens."""
    import tomllib  # few trust policies name a provider

    data = tomllib.loads(shipped_text("policies", "oidc-providers.toml"))
    claims = {"build-claims": data["build-claims"]}
    return tuple(
        Issuer(
            row["host"],
            row["subject"],
            row["holders"],
            re.compile(row["owner"]) if "owner" in row else None,
            re.compile(row["token"]) if "token" in row else None,
            frozenset(claim for name in row.get("who", ()) for claim in claims.get(name, [name])),
            tuple(row["guests"]) if "guests" in row else None,
            row.get("application"),
        )
        for row in data["provider"]
    )


@cache
def by_application() -> dict[str, str]:
    """Return the providers whose users belong to an application, and the claim that names it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_manual.html
    """
    return {issuer.prefix: issuer.application for issuer in issuers() if issuer.application}


def host_of(principal: str) -> str | None:
    """Return the provider's address as used in its keys, or None if it is not OIDC."""
    if principal in by_application():
        return principal
    _, slash, host = principal.partition(":oidc-provider/")
    return host.removeprefix("https://") if slash else None


def issuer_of(host: str) -> Issuer:
    """Return the known facts about the provider at *host*."""
    known = (issuer for issuer in issuers() if host.lower().startswith(issuer.prefix))
    return next(known, Issuer("", "stranger", f"every holder of a token of {host}"))


_OF_PROJECTS: Final = frozenset(
    {
        "project_id",
        "project_path",
        "repository",
        "repository_id",
        "terraform_workspace_id",
        "workflow_ref",
    }
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

        def values(key: str, conditions: Sequence[Asked]) -> Sequence[Any]:
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

    def _subjects(self, issuer: Issuer, conditions: Sequence[Asked]) -> Sequence[str | None]:
        """Return strangers' subjects that match the patterns of *conditions*, and any other."""
        patterns = [value for asked in conditions for value in asked.values]
        if not patterns:
            return (None,) if self.inside else (issuer.subject,)
        own = {owner for owner in map(issuer.owner_of, patterns) if owner}
        fillable = patterns if issuer.owner else [text for text in patterns if text[:1] in "*?"]
        texts = dict.fromkeys(
            text
            for pattern in fillable
            for text in filled(pattern, _fills(issuer))
            if issuer.issues(text) and self._is_other(issuer.owner_of(text), own)
        )
        # Those with an obvious stranger first, then short ones.
        others = sorted(texts, key=lambda text: (not _by_stranger(issuer, text), len(text)))[:TRIED]
        return others if self.inside else [*others, issuer.subject]

    def _is_other(self, whose: tuple[str, str] | None, own: Iterable[tuple[str, str]]) -> bool:
        """Return whether *whose* token it is: of none of the owners, or projects, in *own*."""
        if whose is None:
            return False
        owners = {name for name, _ in own if not _open(name)}
        if not self.inside:
            return whose[0] not in owners
        return whose[0] in owners and whose not in own


def _by_stranger(issuer: Issuer, subject: str) -> bool:
    owner = issuer.owner_of(subject)
    return owner is not None and "stranger" in owner[0]


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


def _foreign(conditions: Sequence[Asked], *, inside: bool = False) -> tuple[Any, ...]:
    """Return a stranger's values of an identifying claim that match the patterns.

    If *inside*, those of the owner's other projects.
    """
    end = "/.github/" if inside else "/"  # of the project or the owner
    patterns = [value for asked in conditions for value in asked.values]
    texts = [text for p in patterns if _open(p.partition(end)[0]) for text in filled(p)]
    several = any(asked.operator.qualifier for asked in conditions)
    return tuple([text] if several else text for text in (*texts, "stranger"))
