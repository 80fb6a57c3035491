"""The policies of the site's principal in an account, compared with the rendered ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.audit import Input, Spot
from cml_iam.catalogue import load_catalogue
from cml_iam.check._excerpts import document_text
from cml_iam.check._meaning import (
    actions_of,
    beyond,
    compared,
    difference_asks,
    doubt,
    proved,
    wider,
)
from cml_iam.check.answer import Answer, add_up
from cml_iam.errors import NotFoundError
from cml_iam.policy import canonical
from cml_iam.report import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.audit import AuditFinding
    from cml_iam.aws.port import Aws
    from cml_iam.check.asking import Check
    from cml_iam.check.scene import AccountScene, Attached
    from cml_iam.policy import PolicyDocument
    from cml_iam.principal import Held
    from cml_iam.prove import Difference
    from cml_iam.site import Site


def inputs_of(attached: Attached, account: str) -> tuple[Input, ...]:
    """Return the documents that were read, each with its ARN."""
    return tuple(
        Input(attached.name_of(each), "live", _digest(each), account)
        for each in attached.with_boundary
    )


def text_of(attached: Attached) -> str:
    """Return all policies of the principal as one text to search."""
    return "\n".join(canonical(each.document) for each in attached.with_boundary)


def texts_of(attached: Attached) -> dict[str, str]:
    """Return the documents that were read, formatted for people, by the names of `inputs_of`."""
    return {attached.name_of(each): document_text(each.document) for each in attached.with_boundary}


def _digest(held: Held) -> str:
    return hashlib.sha256(canonical(held.document).encode()).hexdigest()


def drift(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Compare the site's policies, guardrail and boundary with the rendered ones, by meaning."""
    site, account, attached, rendered = scene.site, scene.account, scene.attached, scene.rendered
    arn, boundary = attached.holder.arn, attached.holder.boundary
    pairs: list[tuple[str, Sequence[PolicyDocument], Sequence[PolicyDocument]]] = []
    if attached.own:
        live = tuple(each.document for each in attached.own)
        pairs.append((site.policy_arn, rendered.documents, live))
    if attached.guard and rendered.guard:
        pairs.append((site.guard_arn, (rendered.guard,), (attached.guard[0].document,)))
    if boundary and boundary.arn == site.boundary_arn and rendered.boundary:
        pairs.append((site.boundary_arn, (rendered.boundary,), (boundary.document,)))
    named = ", ".join(name.rpartition("/")[2] for name, _, _ in pairs) or "none attached"
    answer = check.answer(len(pairs), f"compared by meaning: {named}", account)
    if not attached.own:
        said = f"`{site.policy_arn}` is not attached to `{arn}`"
        spot = Spot(resource=arn, account=account)
        answer += Answer(findings=(check.finding("CML707", said, spot),))
    return add_up(
        [
            answer,
            *(
                compared(
                    check,
                    ours,
                    live,
                    Spot(resource=name, account=account),
                    f"`{name}`",
                    site.partition,
                )
                for name, ours, live in pairs
            ),
        ]
    )


def attachments(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report what each further policy of the principal permits that the site does not."""
    attached = scene.attached
    findings = (_extra(check, scene, each) for each in attached.extra)
    detail = f"{plural(len(attached.all), 'policy')} read, {len(attached.extra)} not of the site"
    return check.answer(len(attached.all), detail, scene.account, findings)


def _extra(check: Check, scene: AccountScene, held: Held) -> AuditFinding:
    site, holder = scene.site, scene.attached.holder
    comparison = beyond(scene.rendered.documents, (held.document,), scene.site.partition)
    more = sorted(
        (difference for difference in comparison.differences if wider(difference)), key=_by_weight
    )
    spot = Spot(resource=holder.arn, account=scene.account)
    about = f"{held.arn or held.name} {held.group or ''}"
    if not more and "newly allowed" in comparison.undecided:
        said = f"{held.words} may permit what the site does not: {doubt(comparison)}"
        return check.finding("CML709", said, spot, about=about, remedy=_take_away(site, held))
    if not more:
        said = f"the principal has {held.words}, which is not the site's; it adds nothing"
        return check.finding("CML710", said, spot, about=about)
    said = f"{held.words} permits what the site does not: {actions_of(more)}"
    if holder.boundary_arn == site.boundary_arn:
        said += "; only the boundary prevents it"
    remedy, witness = _take_away(site, held), difference_asks(more)
    return check.finding("CML709", said, spot, about=about, remedy=remedy, witness=witness)


def _by_weight(difference: Difference) -> tuple[bool, bool, bool]:
    """Sort actions that no statement of the site names first, then unneeded ones."""
    known = load_catalogue().actions
    needed = all(action in known for action in difference.actions)
    return difference.unlisted, not difference.others, needed


def _take_away(site: Site, held: Held) -> str:
    kind, name = site.principal
    if held.group:
        return (
            f"`aws iam remove-user-from-group --user-name {name} --group-name {held.group}`, or "
            "remove the policy from the group"
        )
    if held.arn:
        return f"`aws iam detach-{kind}-policy --{kind}-name {name} --policy-arn {held.arn}`"
    return f"`aws iam delete-{kind}-policy --{kind}-name {name} --policy-name {held.name}`"


def quarantine(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Look for AWS's quarantine policy."""
    attached = scene.attached
    spot = Spot(resource=attached.holder.arn, account=scene.account)
    findings = [
        check.finding("CML713", f"`{each.arn}` is attached", spot, about=each.name)
        for each in attached.quarantine
    ]
    return check.answer(1, f"{len(findings)} attached", scene.account, findings)


def boundary(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report whether the site's boundary or guardrail limits policies that are attached later.

    If one is missing, ask AWS whether it exists and is merely not attached.
    """
    site, attached = scene.site, scene.attached
    if not site.restrict.active:
        detail = "the site has no restrictions, so it needs no boundary"
        return check.answer(2, detail, scene.account)
    on = [
        *(["boundary"] if attached.holder.boundary_arn == site.boundary_arn else []),
        *(["guard"] if attached.guard else []),
    ]
    detail = f"there: {', '.join(on) or 'neither boundary nor guard'}"
    return check.answer(2, detail, scene.account, _unbounded(check, scene, on))


def _unbounded(check: Check, scene: AccountScene, on: Sequence[str]) -> Iterator[AuditFinding]:
    aws, site, holder = scene.aws, scene.site, scene.attached.holder
    spot = Spot(resource=holder.arn, account=scene.account)
    idle_guard = "guard" not in on and _is_there(aws, site.guard_arn)
    if holder.boundary_arn and "boundary" not in on:
        said = f"the principal's boundary is `{holder.boundary_arn}`, not the site's boundary"
        yield check.finding("CML711", said, spot)
    elif "boundary" not in on and scene.rendered.boundary and _is_there(aws, site.boundary_arn):
        said = f"the boundary `{site.boundary_arn}` exists, but the principal does not have it"
        yield check.finding("CML711", said, spot)
    elif not on and not idle_guard:
        said = "the principal has neither the site's boundary nor its guardrail"
        yield check.finding("CML711", said, spot)
    if idle_guard:
        said = f"the guardrail `{site.guard_arn}` exists, but is not attached to the principal"
        yield check.finding("CML712", said, spot)


def _is_there(aws: Aws, arn: str) -> bool:
    try:
        aws.call("iam", "get_policy", PolicyArn=arn)
    except NotFoundError:
        return False
    return True


def proof(check: Check, scene: AccountScene, before: Answer) -> Answer:
    """Prove the site's promises for all policies of the principal, within its boundary.

    If its policies are not the site's, another check reports that already.
    """
    if scene.profile == "base":  # which promises no restriction
        return Answer()
    from cml_iam.prove import Policies

    attached = scene.attached
    limit = attached.holder.boundary
    policies = Policies(
        tuple(each.document for each in attached.all), (limit.document,) if limit else None
    )
    spot = Spot(resource=attached.holder.arn, account=scene.account)
    explained = any(finding.rule in _UNLIKE_THE_SITE for finding in before.findings)
    return proved(check, scene.site, policies, spot, explained=explained)


_UNLIKE_THE_SITE: Final = frozenset({"CML704", "CML705", "CML706", "CML707", "CML709"})
