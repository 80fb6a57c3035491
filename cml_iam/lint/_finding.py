"""The results of rules: findings and the requests that prove them; the kinds of policies."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cml_iam.engine import Request
    from cml_iam.errors import Place
    from cml_iam.lint._corrections import Correction


Kind = Literal["identity", "boundary", "resource", "trust", "scp", "rcp"]
"""What a document is attached to.

A principal, as its policy or its permissions boundary; a resource; a role, as its trust policy; or
an account, as a service control policy or a resource control policy.
"""

KINDS: tuple[Kind, ...] = ("identity", "boundary", "resource", "trust", "scp", "rcp")


class Severity(IntEnum):
    """The severity of a finding; `ERROR` is the highest."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The printed name: `error`, `warning`, `info`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Step:
    """A request of a witness, and how the documents decide it: `allowed` or `…Deny`.

    *says* describes the step in words.
    """

    request: Request
    outcome: str
    says: str

    def as_json(self) -> dict[str, Any]:
        """Return the step as parsed JSON."""
        return {
            "says": self.says,
            "principal": self.request.principal,
            "action": self.request.action,
            "resource": self.request.resource,
            "context": _plain(self.request.context),
            "outcome": self.outcome,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule's function yields: a finding without the properties of its rule."""

    message: str
    place: Place | None
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a policy.

    *rule* is the rule's id, whose meaning never changes, and *name* its name. *place* is its
    position, *statement* the label of the statement, *witness* the requests that prove it, as
    decided by the engine, and *page* AWS's page on the subject. *correction* is the fix, if there
    is exactly one.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    place: Place | None
    page: str
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as parsed JSON."""
        place = self.place
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": self.severity.word,
            "message": self.message,
            "file": place.file if place else None,
            "line": place.line or None if place else None,
            "column": place.column or None if place else None,
            "statement": self.statement,
            "remedy": self.remedy,
            "page": self.page,
            "witness": [step.as_json() for step in self.witness],
            "corrected": self.correction.as_json() if self.correction else None,
            "correction": self.correction.claim if self.correction else None,
        }


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: list(value) if isinstance(value, list | tuple) else value
        for key, value in context.items()
    }


SHOWN: Final = 4
"""The maximum number of names listed before `and N more`."""


def listed(names: Sequence[str], *, most: int = SHOWN) -> str:
    """Join *names* into a phrase, cut short if there are more than *most*."""
    quoted = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        quoted.append(f"{len(names) - most} more")
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def are(names: Sequence[str]) -> str:
    """Return the verb for *names*."""
    return "are" if len(names) > 1 else "is"


EVERYONE: Final = ("*", {"AWS": "*"}, {"AWS": ["*"]})
"""The values of a principal that match everybody."""

JUDGED_AS: Final[Mapping[str, str]] = {
    "resource": "a resource policy; further requirements of its service are not checked",
    "trust": "a trust policy; the permissions of the role itself are not checked",
    "scp": "a service control policy; the accounts it is attached to are not checked",
    "rcp": "a resource control policy; the accounts it is attached to are not checked",
}
"""The output's note on a policy that is not attached to a principal, by kind."""

_WITHOUT_RESOURCE: Final = ("ecr:", "ecr-public:")
"""Services whose resource policies have no `Resource`."""


def recognized_kind(value: Any) -> Kind:
    """Return the kind of the policy in the parsed JSON *value*, which may be a single statement.

    A statement with principals belongs to a resource policy, to a trust policy (STS actions,
    without `Resource`), or to a resource control policy (only Deny, for everybody, on every
    resource). A service control policy and a permissions boundary look like any identity-based
    policy, so they are never recognized.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
    """
    statements = _statements(value)
    named = [
        statement
        for statement in statements
        if "Principal" in statement or "NotPrincipal" in statement
    ]
    if not named:
        lone_trust = statements and all(_about_sts(e) and not _on_resource(e) for e in statements)
        return "trust" if lone_trust else "identity"
    if all(_of_organization(statement) for statement in statements):
        return "rcp"
    if all(_about_sts(each) for each in named):
        return "trust"
    if any(_on_resource(each) for each in named):
        return "resource"
    actions = [action for each in named for action in _actions(each)]
    without = any(action.startswith(_WITHOUT_RESOURCE) for action in actions)
    return "resource" if without else "trust"


def _statements(value: Any) -> list[Mapping[str, Any]]:
    raw = value.get("Statement", value) if isinstance(value, dict) else ()
    listed = raw if isinstance(raw, list) else [raw]
    return [each for each in listed if isinstance(each, dict)]


def _about_sts(statement: Mapping[str, Any]) -> bool:
    return any(action.startswith("sts:") for action in _actions(statement))


def _of_organization(statement: Mapping[str, Any]) -> bool:
    denied = statement.get("Effect") == "Deny" and statement.get("Resource") in ("*", ["*"])
    return denied and statement.get("Principal") in EVERYONE


def _on_resource(statement: Mapping[str, Any]) -> bool:
    return "Resource" in statement or "NotResource" in statement


def _actions(statement: Mapping[str, Any]) -> list[str]:
    raw = statement.get("Action", statement.get("NotAction", ()))
    listed: Iterable[Any] = raw if isinstance(raw, list) else [raw]
    return [each.lower() for each in listed if isinstance(each, str)]
