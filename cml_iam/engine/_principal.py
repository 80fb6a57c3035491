"""Whom a resource-side policy names, and how directly: it decides what else must allow.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-request.html
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from cml_iam.errors import InputError
from cml_iam.policy import Arn

if TYPE_CHECKING:
    from cml_iam.engine._resource import PolicyType
    from cml_iam.policy import Principals, Statement

PROVIDERS: Final = ("oidc-provider/", "saml-provider/")
SERVICE_LINKED: Final = "role/aws-service-role/"


class Naming(IntEnum):
    """How a policy names the caller; a higher one is more direct."""

    NOT = 0
    ACCOUNT = 1
    """Its account: that only delegates; the account's own policies must allow too."""
    IDENTITY = 2
    """Its role, or the user behind a federated user's session."""
    DIRECTLY = 3
    """Its user or session ARN, its service, provider or canonical id, or everyone."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The request's principal, taken apart.

    *arn* is None for a principal that belongs to no account: a service, an identity provider
    (whose ARN names the account it is registered in), an anonymous caller.
    """

    text: str | None
    arn: Arn | None = None

    @classmethod
    def parse(cls, text: str | None) -> Caller:
        """Take the principal *text* of a request apart."""
        if text is None or not text.startswith("arn:"):
            return cls(text)
        try:
            arn = Arn.parse(text)
        except InputError:
            return cls(text)
        return cls(text) if arn.resource.startswith(PROVIDERS) else cls(text, arn)

    @property
    def account(self) -> str | None:
        """The account the caller belongs to, if any."""
        return self.arn.account if self.arn else None

    @property
    def service_linked(self) -> bool:
        """Say whether this is a service-linked role, which SCPs and RCPs leave alone."""
        return self.arn is not None and self.arn.resource.startswith(
            (SERVICE_LINKED, "assumed-role/AWSServiceRoleFor")
        )

    @property
    def identity(self) -> tuple[str, str] | None:
        """What is behind a session: ("role", name) or ("user", name); None for no session."""
        if self.arn is None or self.arn.service != "sts":
            return None
        kind, _, rest = self.arn.resource.partition("/")
        if kind == "assumed-role":
            return "role", rest.partition("/")[0]
        return ("user", rest) if kind == "federated-user" else None


def names_principals(kind: PolicyType) -> bool:
    """Say whether statements of policies of the type *kind* name principals."""
    return kind in {"resource", "rcp", "endpoint"}


def naming(statement: Statement, caller: Caller, *, bounded: bool) -> Naming:
    """Say how *statement* names *caller*; *bounded* is whether it has a permissions boundary.

    A statement with neither Principal nor NotPrincipal names nobody. An account in the NotPrincipal
    of a Deny excepts the account itself, not the users and roles in it.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
    """
    if statement.principal is not None:
        return _naming(statement.principal, caller)
    if statement.not_principal is None:
        return Naming.NOT
    if bounded and statement.effect == "Deny":
        return Naming.DIRECTLY  # AWS: such a statement always denies who has a boundary
    least = Naming.IDENTITY if statement.effect == "Deny" else Naming.ACCOUNT
    excepted = _naming(statement.not_principal, caller) >= least
    return Naming.NOT if excepted else Naming.DIRECTLY


def _naming(principals: Principals, caller: Caller) -> Naming:
    if principals.everyone:
        return Naming.DIRECTLY
    return max(
        (_names(kind, name, caller) for kind, names in principals.ids for name in names),
        default=Naming.NOT,
    )


def _names(kind: str, name: str, caller: Caller) -> Naming:
    if kind == "AWS":
        return _aws(name, caller)
    return Naming.DIRECTLY if name == caller.text else Naming.NOT


def _aws(name: str, caller: Caller) -> Naming:
    if name == "*":
        return Naming.DIRECTLY
    if caller.arn is None:
        return Naming.NOT
    if name == caller.account and caller.arn.resource == "root":
        # An account's id means the ARN of its root, and this caller is the root itself.
        return Naming.DIRECTLY
    if name == caller.text:
        return Naming.IDENTITY if caller.arn.resource.startswith("role/") else Naming.DIRECTLY
    if name in {caller.account, f"arn:{caller.arn.partition}:iam::{caller.account}:root"}:
        return Naming.ACCOUNT
    return Naming.IDENTITY if _is_behind(name, caller) else Naming.NOT


def _is_behind(name: str, caller: Caller) -> bool:
    """Say whether *name* is the role or user behind the caller's session (which has no path)."""
    identity = caller.identity
    if identity is None or caller.arn is None or not name.startswith("arn:"):
        return False
    kind, own_name = identity
    prefix = f"arn:{caller.arn.partition}:iam::{caller.account}:{kind}/"
    if not name.startswith(prefix):
        return False
    return (name.rpartition("/")[2] if kind == "role" else name.removeprefix(prefix)) == own_name
