"""What policies mean beside the rendered ones and the site's promises, in files and in AWS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from cml_iam.audit import Ask, AuditFinding, Changed, Input, Spot
from cml_iam.catalogue import load_catalogue
from cml_iam.check.answer import Answer, ask_of
from cml_iam.check.checks import Check, failed, not_made
from cml_iam.errors import NotFoundError
from cml_iam.policy import PolicyDocument, canonical
from cml_iam.prove import (
    WIDER,
    Answered,
    Comparison,
    Difference,
    Policies,
    Proof,
    differences,
    policies_of,
    prove_site,
)
from cml_iam.report import plural
from cml_iam.site import Site

if TYPE_CHECKING:
    from cml_iam.aws.port import Aws
    from cml_iam.check.scene import AccountScene, Attached
    from cml_iam.principal import Held


MOST_CHANGES = 12
"""The maximum number of differences in the report; the finding counts all of them."""

MOST_WITNESSES = 3
MOST_ACTIONS = 6


def compared(
    check: Check,
    rendered: Sequence[PolicyDocument],
    there: Sequence[PolicyDocument],
    spot: Spot,
    name: str,
    partition: str = "",
) -> Answer:
    """Return how the meaning of the documents *there*, called *name*, differs from *rendered*.

    *partition* is the account's partition, if known. All differences together are one finding:
    first extra permissions, then missing ones, then doubts about equivalence.
    """
    comparison = differences(policies_of(rendered, partition), policies_of(there, partition))
    if comparison.verdict == "same":
        return Answer()
    most = shown(comparison)
    changes = tuple(_changed(difference, name, spot.account) for difference in most)
    finding = _finding(check, most, doubt(comparison), spot, name)
    return Answer(findings=(finding,), changes=changes)


def shown(comparison: Comparison) -> tuple[Difference, ...]:
    """Return the differences to show: extra permissions first, unlisted actions last."""
    ranked = sorted(
        comparison.differences, key=lambda difference: (not wider(difference), difference.unlisted)
    )
    return tuple(ranked[:MOST_CHANGES])


def wider(difference: Difference) -> bool:
    return difference.change in WIDER


def doubt(comparison: Comparison) -> str:
    """Describe the undecided parts of *comparison*; empty if there are none."""
    reasons = [f"{change}: {comparison.verdicts[change].reason}" for change in comparison.undecided]
    return f"could not decide whether any request is {'; or '.join(reasons)}" if reasons else ""


def difference_asks(differences: Sequence[Difference]) -> tuple[Ask, ...]:
    """Return a request for each of the first *differences*, as the new side decides it."""
    return tuple(
        _ask(difference, difference.new, f"{difference.change}: ")
        for difference in differences[:MOST_WITNESSES]
    )


def actions_of(differences: Sequence[Difference]) -> str:
    actions = list(
        dict.fromkeys(action for difference in differences for action in difference.actions)
    )
    hidden = len(actions[MOST_ACTIONS:]) + sum(difference.alike for difference in differences)
    rest = f" and {hidden} more" if hidden else ""
    if any(difference.others for difference in differences):
        rest = " and all other actions that no statement names"
    return ", ".join(f"`{action}`" for action in actions[:MOST_ACTIONS]) + rest


def _finding(
    check: Check, most: Sequence[Difference], doubts: str, spot: Spot, name: str
) -> AuditFinding:
    extra = [difference for difference in most if wider(difference)]
    missing = [difference for difference in most if not wider(difference)]
    if extra:
        rule = "CML704"
        message = f"{name} permits more than the rendered document: {actions_of(extra)}"
        message += f"; and refuses {actions_of(missing)}" if missing else ""
    elif missing:
        rule = "CML705"
        message = f"{name} refuses what the rendered document permits: {actions_of(missing)}"
    else:
        message = f"{name} has different statements from the rendered document; {doubts}"
        return check.finding("CML706", message, spot, about=name)
    message += f"; {doubts}" if doubts else ""
    return check.finding(rule, message, spot, about=name, witness=difference_asks(extra or missing))


def _changed(difference: Difference, name: str, account: str | None) -> Changed:
    return Changed(
        document=name,
        change=difference.change,
        actions=difference.actions,
        before=_ask(difference, difference.old),
        after=_ask(difference, difference.new),
        account=account,
    )


def _ask(difference: Difference, side: Answered, lead: str = "") -> Ask:
    labels = dict.fromkeys(statement.label for statement in side.statements)
    says = f"{lead}{', '.join(difference.actions[:4])}"
    return ask_of(difference.witness, side.outcome, labels, says=says)


def proved(check: Check, site: Site, policies: Policies, spot: Spot, *, explained: bool) -> Answer:
    """Prove *site*'s promises about *policies*, located at *spot*.

    If other findings have already *explained* the broken promises, the check only counts them.
    """
    proofs = prove_site(site, policies, remedies=False)
    broken = [proof for proof in proofs if proof.answer == "broken"]
    unsure = [proof for proof in proofs if proof.answer == "undecided"]
    if unsure and not broken:
        reason = f"{unsure[0].promise.title}: {unsure[0].reason}"
        remedy = "see `cml-iam policy prove`, or use simpler conditions"
        result = check.passed(len(proofs), "", spot.account)
        return Answer(checks=(not_made(result, reason, remedy),))
    count = f"{len(broken)} of {len(proofs)} broken" if broken else f"{len(proofs)} proved"
    result = check.passed(len(proofs), count, spot.account)
    findings = () if explained else tuple(_broken(check, proof, spot) for proof in broken)
    return Answer(checks=(failed(result) if broken else result,), findings=findings)


def _broken(check: Check, proof: Proof, spot: Spot) -> AuditFinding:
    sides = [(call.request, call.candidate) for call in proof.calls]
    witness = tuple(
        ask_of(request, side.outcome, (statement.label for statement in side.statements))
        for request, side in sides
    )
    labels = dict.fromkeys(label for ask in witness for label in ask.statements)
    by = f", by {', '.join(labels)}" if labels else ""
    message = f"could not prove{by}: {proof.promise.title}"
    return check.finding("CML717", message, spot, about=proof.promise.id, witness=witness)


def inputs_of(attached: Attached, account: str) -> tuple[Input, ...]:
    """Return the documents that were read, each with its ARN."""
    return tuple(
        Input(
            attached.name_of(held),
            "live",
            hashlib.sha256(canonical(held.document).encode()).hexdigest(),
            account,
        )
        for held in attached.with_boundary
    )


def drift(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Compare the site's policies, guardrail and boundary with the rendered ones, by meaning."""
    site, account, attached, limits = scene.site, scene.account, scene.attached, scene.limits
    arn, boundary = attached.holder.arn, attached.holder.boundary
    pairs: list[tuple[str, Sequence[PolicyDocument], Sequence[PolicyDocument]]] = []
    if attached.own:
        live = tuple(held.document for held in attached.own)
        pairs.append((site.policy_arn, scene.rendered, live))
    if attached.guard and "guard" in limits:
        pairs.append((site.guard_arn, (limits["guard"],), (attached.guard[0].document,)))
    if boundary and boundary.arn == site.boundary_arn and "boundary" in limits:
        pairs.append((site.boundary_arn, (limits["boundary"],), (boundary.document,)))
    named = ", ".join(name.rpartition("/")[2] for name, _, _ in pairs) or "none attached"
    parts = [check.answer(len(pairs), f"compared by meaning: {named}", account)]
    if not attached.own:
        message = f"`{site.policy_arn}` is not attached to `{arn}`"
        spot = Spot(resource=arn, account=account)
        parts.append(Answer(findings=(check.finding("CML707", message, spot),)))
    for name, ours, there in pairs:
        spot = Spot(resource=name, account=account)
        parts.append(compared(check, ours, there, spot, f"`{name}`", site.partition))
    return sum(parts, Answer())


def attachments(check: Check, scene: AccountScene, _before: Answer) -> Answer:
    """Report what each further policy of the principal permits that the site does not."""
    attached = scene.attached
    findings = (_extra(check, scene, held) for held in attached.extra)
    detail = f"{plural(len(attached.all), 'policy')} read, {len(attached.extra)} not of the site"
    return check.answer(len(attached.all), detail, scene.account, findings)


def _extra(check: Check, scene: AccountScene, held: Held) -> AuditFinding:
    site, holder = scene.site, scene.attached.holder
    both = policies_of((*scene.rendered, held.document), site.partition)
    comparison = differences(policies_of(scene.rendered, site.partition), both)
    wider_ones = sorted(filter(wider, comparison.differences), key=_by_weight)
    spot = Spot(resource=holder.arn, account=scene.account)
    about, remedy = f"{held.arn or held.name} {held.group or ''}", _take_away(site, held)
    if not wider_ones and "newly allowed" in comparison.undecided:
        message = f"{held.words} may permit what the site does not: {doubt(comparison)}"
        return check.finding("CML709", message, spot, about=about, remedy=remedy)
    if not wider_ones:
        message = f"the principal has {held.words}, which is not the site's; it adds nothing"
        return check.finding("CML710", message, spot, about=about)
    message = f"{held.words} permits what the site does not: {actions_of(wider_ones)}"
    if holder.boundary_arn == site.boundary_arn:
        message += "; only the boundary prevents it"
    witness = difference_asks(wider_ones)
    return check.finding("CML709", message, spot, about=about, remedy=remedy, witness=witness)


def _by_weight(difference: Difference) -> tuple[bool, bool, bool]:
    """Sort actions that no statement of the site names first, then unneeded ones."""
    catalogued = load_catalogue().actions
    needed = all(action in catalogued for action in difference.actions)
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
    attached = scene.attached
    spot = Spot(resource=attached.holder.arn, account=scene.account)
    findings = [
        check.finding("CML713", f"`{held.arn}` is attached", spot, about=held.name)
        for held in attached.quarantine
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
        message = f"the principal's boundary is `{holder.boundary_arn}`, not the site's boundary"
        yield check.finding("CML711", message, spot)
    elif "boundary" not in on and "boundary" in scene.limits and _is_there(aws, site.boundary_arn):
        message = f"the boundary `{site.boundary_arn}` exists, but the principal does not have it"
        yield check.finding("CML711", message, spot)
    elif not on and not idle_guard:
        message = "the principal has neither the site's boundary nor its guardrail"
        yield check.finding("CML711", message, spot)
    if idle_guard:
        message = f"the guardrail `{site.guard_arn}` exists, but is not attached to the principal"
        yield check.finding("CML712", message, spot)


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
    if scene.profile == "base":  # the base policy promises no restriction
        return Answer()
    attached = scene.attached
    policies = Policies(attached.documents, (attached.boundary,) if attached.boundary else None)
    spot = Spot(resource=attached.holder.arn, account=scene.account)
    explained = any(finding.rule in _UNLIKE_THE_SITE for finding in before.findings)
    return proved(check, scene.site, policies, spot, explained=explained)


_UNLIKE_THE_SITE: Final = frozenset({"CML704", "CML705", "CML706", "CML707", "CML709"})
