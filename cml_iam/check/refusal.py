"""Why a request was refused: no statement allows it, one denies it, or a condition fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.catalogue import granting
from cml_iam.engine import compile_policies
from cml_iam.policy import PolicyDocument

if TYPE_CHECKING:
    from cml_iam.engine import Decision, Request, StatementReason

_BEYOND: Final = (
    "these policies allow it, so something else refuses it: a service control policy, a session "
    "policy, or a change that has not taken effect everywhere yet"
)
ELSEWHERE: Final = (
    "the site file's policy allows it, so the attached policy differs from it, or a boundary or a "
    "service control policy refuses it"
)
"""Why a request is refused that the policy as rendered allows."""

COMPARE: Final = "see what differs with `cml-iam bootstrap plan`"
_LOOK: Final = "check the organization's service control policies, and try again in a minute"
_LIMITS: Final = {"boundary": "the permissions boundary", "session": "the session policy"}


@dataclass(frozen=True, slots=True)
class Deciding:
    """The policies that decide what a principal may do: *live* from IAM, or as rendered.

    *unread* names attached policies that could not be read; empty if all were.
    """

    identity: tuple[PolicyDocument, ...]
    boundary: PolicyDocument | None = None
    live: bool = True
    unread: str = ""

    @property
    def where(self) -> str:
        """The origin of the policies, in words."""
        if self.live:
            return "attached now"
        if self.unread:
            return f"of the site file; could not read {self.unread}"
        return "of the site file; these credentials may not read the attached policies"


@dataclass(frozen=True, slots=True)
class Why:
    """Why a request is refused, and what to change.

    *sure* is False if none of the policies that were read refuses the request.
    """

    said: str
    remedy: str
    sure: bool = True


def why_refused(requests: Sequence[Request], deciding: Deciding) -> tuple[Why, ...]:
    """Explain why the policies *deciding* refuse some of *requests*, or that they do not."""
    authorizer = compile_policies(identity=list(deciding.identity), boundary=deciding.boundary)
    decisions = map(authorizer.decide, requests)
    refusals = [why(decision) for decision in decisions if not decision.allowed]
    if refusals:
        return tuple(dict.fromkeys(refusals))
    if deciding.live:
        return (Why(_BEYOND, _LOOK, sure=False),)
    return (Why(ELSEWHERE, f"{COMPARE}, or pass --admin-profile NAME", sure=False),)


def why(decision: Decision) -> Why:
    """Explain why a request is refused (by a Deny, a limit, or no Allow), and what to change."""
    action = decision.request.action
    resource = decision.request.resource.rpartition(":")[2]
    request = f"`{action}`" + ("" if resource == "*" else f" on `{resource}`")
    if decision.outcome == "explicitDeny":
        deny = decision.statements[0]
        conditions = f" ({'; '.join(map(str, deny.conditions))})" if deny.conditions else ""
        return Why(
            f"{request}: {_name(deny)} denies it{conditions}",
            f"remove `{action}` from that Deny, or narrow its conditions",
        )
    for gate in decision.explanation.gates:
        if gate.kind in _LIMITS and not gate.allowed:
            limit = _LIMITS[gate.kind]
            return Why(
                f"{request}: {limit} does not allow it, even if other policies do",
                f"also allow `{action}` in {limit}",
            )
    near = [
        reason
        for reason in decision.reasons
        if reason.effect == "Allow" and not any(map(_is_action, reason.failed))
    ]
    if not near:
        return Why(f"{request}: no statement allows it", granting(action))
    closest = min(near, key=_distance)
    return Why(
        f"{request}: {_name(closest)} does not allow it: {closest.reason}",
        f"change {_name(closest)}, or make a request that it allows",
    )


def _is_action(part: Any) -> bool:
    return "Action" in getattr(part, "element", "")


def _distance(reason: StatementReason) -> tuple[int, int]:
    """Return how far a statement is from applying; a different resource counts the most."""
    return sum(not element.matched for element in reason.elements), len(reason.failed)


def _name(reason: StatementReason) -> str:
    return f"statement `{reason.label}` of `{reason.policy}`"
