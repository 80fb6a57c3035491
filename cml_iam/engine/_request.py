"""The request, its condition keys, and how directly a resource policy names its caller.

Condition keys ignore case but are looked up as fast as exact ones: the first spelling that a policy
uses becomes the only one inside an authorizer; others are searched only if it is missing.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-request.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple

from cml_iam.errors import InputError
from cml_iam.policy import Arn, Principals, Statement, scalar_text

PolicyType = Literal["identity", "boundary", "session", "resource", "scp", "rcp", "endpoint"]

_NO_CONTEXT: Final[Mapping[str, Any]] = {}


class Request(NamedTuple):
    """One authorization question; a named tuple, because millions of them are created.

    *action* is `service:Name` in any case. *resource* is an ARN, or `*` for actions without a
    specific resource. *principal* is an ARN, a service name, a federated provider or a canonical
    user id; None is an anonymous caller. *context* maps condition keys (any case, each once) to a
    string, or to a list or tuple of strings for a key with several values; numbers and booleans are
    converted as in JSON policies, and None means that the key is absent. Do not change it later.
    *resource_account* owns the resource; None means the principal's own account, or with a resource
    policy the account in the ARN.
    """

    action: str
    resource: str = "*"
    principal: str | None = None
    context: Mapping[str, Any] = _NO_CONTEXT
    resource_account: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the request as JSON values, without the owner of the resource."""
        return {
            "action": self.action,
            "resource": self.resource,
            "principal": self.principal,
            "context": dict(self.context),
        }


def single_text(value: Any) -> str | None:
    """Return the one string of a context value, or None if the key is multi-valued.

    A list is multi-valued even with a single element, because the type of the key counts.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return None
    return _scalar(value)


def all_texts(value: Any) -> tuple[str, ...]:
    """Return the strings of a context value; a single value becomes a list of one."""
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(map(_scalar, value))
    return (_scalar(value),)


def _scalar(value: Any) -> str:
    if isinstance(value, str | bool | int | float):
        return scalar_text(value)
    raise InputError(f"a context value cannot be of the type `{type(value).__name__}`")


MAX_KNOWN: Final = 4096
"""The maximum number of cached context keys, so that memory stays bounded."""


class Keys:
    """The condition keys that a set of policies tests."""

    __slots__ = ("_by_lower", "_known")

    def __init__(self) -> None:
        self._by_lower: dict[str, str] = {}
        self._known: set[str] = set()

    def spell(self, key: str) -> str:
        """Return the single spelling of *key*; only used while compiling."""
        return self._by_lower.setdefault(key.lower(), key)

    def get(self, context: Mapping[str, Any], key: str) -> Any:
        """Return the value of *key*, in its single spelling; None if it is absent."""
        value = context.get(key)
        return self.search(context, key) if value is None else value

    def search(self, context: Mapping[str, Any], key: str) -> Any:
        """Return the value of *key* under another spelling; None if it is absent."""
        known = self._known
        if known.issuperset(context):
            return None
        values = [
            value
            for name, value in context.items()
            if name not in known and self._spelling(name) == key
        ]
        if len(values) > 1:
            raise InputError(f"the context has `{key}` in several spellings")
        return values[0] if values else None

    def _spelling(self, name: str) -> str:
        """Return the single spelling of *name*; caches names already right and names not used."""
        spelling = self._by_lower.get(name.lower(), name)
        if spelling == name and len(self._known) < MAX_KNOWN:
            self._known.add(name)
        return spelling


PROVIDERS: Final = ("oidc-provider/", "saml-provider/")
SERVICE_LINKED: Final = "role/aws-service-role/"


class Naming(IntEnum):
    """How a policy names the caller; higher values are more direct."""

    NOT = 0
    ACCOUNT = 1
    """The account: it only delegates, so the account's own policies must allow too."""
    IDENTITY = 2
    """The role, or the user behind a federated user's session."""
    DIRECTLY = 3
    """The user or session ARN, service, identity provider or canonical id itself, or everyone."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The request's principal; *arn* is None if it belongs to no account.

    Such are a service, an anonymous caller, and an identity provider: its ARN names only the
    account in which it is registered.
    """

    text: str | None
    arn: Arn | None = None

    @classmethod
    def parse(cls, text: str | None) -> Caller:
        """Parse the principal *text* of a request."""
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
        """Whether this is a service-linked role, which SCPs and RCPs do not affect."""
        return self.arn is not None and self.arn.resource.startswith(
            (SERVICE_LINKED, "assumed-role/AWSServiceRoleFor")
        )


def names_principals(kind: PolicyType) -> bool:
    """Return whether statements of policies of the type *kind* name principals."""
    return kind in {"resource", "rcp", "endpoint"}


def naming(statement: Statement, caller: Caller, *, bounded: bool) -> Naming:
    """Return how *statement* names *caller*, who is *bounded* if it has a permissions boundary.

    A statement with neither Principal nor NotPrincipal names nobody. An account in the NotPrincipal
    of a Deny exempts the account itself, not the users and roles in it.
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
    namings = (
        _aws(name, caller)
        if kind == "AWS"
        else (Naming.DIRECTLY if name == caller.text else Naming.NOT)
        for kind, names in principals.ids
        for name in names
    )
    return max(namings, default=Naming.NOT)


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
    prefix = f"arn:{caller.arn.partition}:iam::{caller.account}:"
    if name in {caller.account, f"{prefix}root"}:
        return Naming.ACCOUNT
    return Naming.IDENTITY if _is_behind(name, prefix, caller.arn) else Naming.NOT


def _is_behind(name: str, prefix: str, session: Arn) -> bool:
    """Return whether *name* is the role or user behind *session*, which has no path."""
    kind, _, rest = session.resource.partition("/")
    if session.service == "sts" and kind == "assumed-role" and name.startswith(f"{prefix}role/"):
        return name.rpartition("/")[2] == rest.partition("/")[0]
    return session.service == "sts" and kind == "federated-user" and name == f"{prefix}user/{rest}"
