"""The principal of an account: its policies beside the site's, and whatever else it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cml_iam.audit._asking import Question
from cml_iam.audit._drift import actions_of, beyond, difference_asks, doubt, drift, wider
from cml_iam.audit._part import Part, add_up, found
from cml_iam.audit._report import Input, Spot
from cml_iam.catalogue import load_catalogue
from cml_iam.errors import NotFoundError, QuotaError
from cml_iam.policy import canonical
from cml_iam.render import MOST_PARTS, part_name, render_document, render_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.audit._report import AuditFinding
    from cml_iam.aws.port import Aws
    from cml_iam.policy import PolicyDocument
    from cml_iam.principal import Held, Holdings
    from cml_iam.prove import Difference
    from cml_iam.render import Profile
    from cml_iam.site import Site

DRIFT: Final = Question("drift", "The policies in AWS mean what the site renders", "principal")
EXTRAS: Final = Question("attachments", "Nothing else gives the principal permissions", "principal")
BOUNDS: Final = Question("boundary", "Something bounds what it can be given", "principal")
QUARANTINE: Final = Question("quarantine", "AWS has not quarantined the principal", "principal")

_QUARANTINE: Final = "AWSCompromisedKeyQuarantine"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the site renders, as it is to be attached: ARN and document."""

    policies: tuple[tuple[str, PolicyDocument], ...]
    boundary: PolicyDocument | None
    guard: PolicyDocument | None

    @property
    def documents(self) -> tuple[PolicyDocument, ...]:
        """The documents of the policy's parts."""
        return tuple(document for _, document in self.policies)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the principal holds, sorted: the site's own policies, its guard, and the rest."""

    holder: Holdings
    own: tuple[Held, ...]
    guard: tuple[Held, ...]
    quarantine: tuple[Held, ...]
    extra: tuple[Held, ...]

    @property
    def all(self) -> tuple[Held, ...]:
        """Everything that gives it permissions."""
        return (*self.own, *self.guard, *self.quarantine, *self.extra)


def wanted_of(site: Site, profile: Profile) -> Wanted:
    """Return what is to be attached in this profile; None for what the site does not render."""
    parts = render_parts(site, profile)
    names = [part_name(site.policy_arn, number) for number in range(1, len(parts) + 1)]
    policies = tuple(zip(names, (each.document for each in parts), strict=True))
    if not site.restrict.active:
        return Wanted(policies, None, None)
    return Wanted(policies, _rendered(site, "boundary"), _rendered(site, "guard"))


def _rendered(site: Site, name: str) -> PolicyDocument | None:
    try:
        return render_document(site, name).document
    except QuotaError:
        return None


def sort_held(site: Site, holder: Holdings) -> Seen:
    """Sort what the principal holds; a site's policy by way of a group is another's doing."""
    held = holder.policies
    parts = {part_name(site.policy_arn, number) for number in range(1, MOST_PARTS + 1)}
    direct = [each for each in held if each.group is None]
    own = tuple(each for each in direct if each.arn in parts)
    guard = tuple(each for each in direct if each.arn == site.guard_arn)
    quarantine = tuple(
        each for each in held if each.arn and f":aws:policy/{_QUARANTINE}" in each.arn
    )
    sorted_ = (*own, *guard, *quarantine)
    extra = tuple(each for each in held if each not in sorted_)
    return Seen(holder, own, guard, quarantine, extra)


def inputs_of(seen: Seen, account: str) -> tuple[Input, ...]:
    """Return the documents that were read, each by its ARN."""
    held = [*seen.all, *([seen.holder.boundary] if seen.holder.boundary else [])]
    return tuple(
        Input(each.arn or f"{seen.holder.arn}#{each.name}", "live", _digest(each), account)
        for each in held
    )


def text_of(seen: Seen) -> str:
    """Return everything that the principal's policies say, as one text to search."""
    boundary = seen.holder.boundary
    held = [*seen.all, *([boundary] if boundary else [])]
    return "\n".join(canonical(each.document) for each in held)


def _digest(held: Held) -> str:
    return hashlib.sha256(canonical(held.document).encode()).hexdigest()


def drift_of(site: Site, wanted: Wanted, seen: Seen, account: str) -> Part:
    """Return how the site's own policies, guard and boundary differ from the rendered ones."""
    arn, boundary = seen.holder.arn, seen.holder.boundary
    parts: list[Part] = []
    if not seen.own:
        said = f"`{site.policy_arn}` is not attached to `{arn}`"
        spot = Spot(resource=arn, account=account)
        parts.append(Part(findings=(found("CML707", said, spot, DRIFT.id),)))
    compared: list[tuple[str, Sequence[PolicyDocument], Sequence[PolicyDocument]]] = []
    if seen.own:
        live = tuple(each.document for each in seen.own)
        compared.append((site.policy_arn, wanted.documents, live))
    if seen.guard and wanted.guard:
        compared.append((site.guard_arn, (wanted.guard,), (seen.guard[0].document,)))
    if boundary and boundary.arn == site.boundary_arn and wanted.boundary:
        compared.append((site.boundary_arn, (wanted.boundary,), (boundary.document,)))
    for name, rendered, there in compared:
        spot = Spot(resource=name, account=account)
        parts.append(drift(rendered, there, spot, DRIFT.id, f"`{name}`"))
    named = ", ".join(name.rpartition("/")[2] for name, _, _ in compared) or "none attached"
    check = DRIFT.passed(account, len(compared), f"compared by meaning: {named}")
    return add_up([Part(checks=(check,)), *parts])


def extras_of(site: Site, wanted: Wanted, seen: Seen, account: str) -> Part:
    """Return what else the principal holds, each with what it permits beyond the site."""
    findings = tuple(_extra(site, wanted, each, seen, account) for each in seen.extra)
    detail = f"{len(seen.all)} policies read, {len(seen.extra)} not of the site"
    return Part(checks=(EXTRAS.passed(account, len(seen.all), detail),), findings=findings)


def _extra(site: Site, wanted: Wanted, held: Held, seen: Seen, account: str) -> AuditFinding:
    comparison = beyond(wanted.documents, (held.document,))
    more = sorted((each for each in comparison.differences if wider(each)), key=_by_weight)
    arn = seen.holder.arn
    spot = Spot(resource=arn, account=account)
    about = f"{held.arn or held.name} {held.group or ''}"
    if not more and "newly allowed" in comparison.undecided:
        said = f"{held.words} may permit what the site does not: {doubt(comparison)}"
        return found("CML709", said, spot, EXTRAS.id, about=about, remedy=_take_away(site, held))
    if not more:
        said = f"{held.words} is held by the principal, but is not the site's; it adds nothing"
        return found("CML710", said, spot, EXTRAS.id, about=about)
    said = f"{held.words} permits what the site does not: {actions_of(more)}"
    if seen.holder.boundary_arn == site.boundary_arn:
        said += "; the boundary alone holds it back"
    return found(
        "CML709",
        said,
        spot,
        EXTRAS.id,
        about=about,
        remedy=_take_away(site, held),
        witness=difference_asks(more),
    )


def _by_weight(difference: Difference) -> tuple[bool, bool, bool]:
    """Put first what no statement of the site names, then what the manager never needs."""
    known = load_catalogue().actions
    needed = all(each in known for each in difference.actions)
    return difference.unlisted, not difference.others, needed


def _take_away(site: Site, held: Held) -> str:
    kind, name = site.principal
    if held.group:
        return (
            f"`aws iam remove-user-from-group --user-name {name} --group-name {held.group}`, or"
            " take the policy off the group"
        )
    if held.arn:
        return f"`aws iam detach-{kind}-policy --{kind}-name {name} --policy-arn {held.arn}`"
    return f"`aws iam delete-{kind}-policy --{kind}-name {name} --policy-name {held.name}`"


def quarantine_of(seen: Seen, account: str) -> Part:
    """Return whether AWS's own quarantine policy is attached."""
    spot = Spot(resource=seen.holder.arn, account=account)
    findings = tuple(
        found("CML713", f"`{each.arn}` is attached", spot, QUARANTINE.id, about=each.name)
        for each in seen.quarantine
    )
    return Part(checks=(QUARANTINE.passed(account, 1, "looked for"),), findings=findings)


def bounds_of(aws: Aws, site: Site, wanted: Wanted, seen: Seen, account: str) -> Part:
    """Return whether the site's boundary or guard holds whatever else is attached later.

    One call for each of the two that is not there: whether it was made and left, or taken off.
    """
    findings = tuple(_unbounded(aws, site, wanted, seen, account))
    held = [
        name
        for name, there in (
            ("boundary", seen.holder.boundary_arn == site.boundary_arn),
            ("guard", bool(seen.guard)),
        )
        if there
    ]
    if not site.restrict.active:
        detail = "the site restricts nothing, so there is nothing to bound"
    else:
        detail = f"there: {', '.join(held) or 'neither boundary nor guard'}"
    return Part(checks=(BOUNDS.passed(account, 2, detail),), findings=findings)


def _unbounded(
    aws: Aws, site: Site, wanted: Wanted, seen: Seen, account: str
) -> Iterator[AuditFinding]:
    if not site.restrict.active:
        return
    holder = seen.holder
    spot = Spot(resource=holder.arn, account=account)
    bounded, guarded = holder.boundary_arn == site.boundary_arn, bool(seen.guard)
    idle_guard = not guarded and _is_there(aws, site.guard_arn)
    if holder.boundary_arn and not bounded:
        said = f"the principal is bounded by `{holder.boundary_arn}`, not by the site's boundary"
        yield found("CML711", said, spot, BOUNDS.id)
    elif not bounded and wanted.boundary and _is_there(aws, site.boundary_arn):
        said = f"the boundary `{site.boundary_arn}` was made, but the principal does not have it"
        yield found("CML711", said, spot, BOUNDS.id)
    elif not bounded and not guarded and not idle_guard:
        said = "the principal has neither the site's boundary nor its guard"
        yield found("CML711", said, spot, BOUNDS.id)
    if idle_guard:
        said = f"the guard `{site.guard_arn}` was made, but is not attached to the principal"
        yield found("CML712", said, spot, BOUNDS.id)


def _is_there(aws: Aws, arn: str) -> bool:
    try:
        aws.call("iam", "get_policy", PolicyArn=arn)
    except NotFoundError:
        return False
    return True
