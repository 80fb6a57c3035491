"""Compare what policies permit with the rendered ones, and with the site's promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.audit import Changed
from cml_iam.check.answer import Answer, ask_of
from cml_iam.check.checks import failed, not_made
from cml_iam.prove import WIDER, differences, policies_of, prove_site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cml_iam.audit import Ask, AuditFinding, Spot
    from cml_iam.check.checks import Check
    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Answered, Comparison, Difference, Policies, Proof
    from cml_iam.site import Site

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
    changes = tuple(_changed(difference, name, spot.account) for difference in shown(comparison))
    return Answer(findings=(_finding(check, comparison, spot, name),), changes=changes)


def shown(comparison: Comparison) -> tuple[Difference, ...]:
    """Return the differences to show: extra permissions first, unlisted actions last."""
    ranked = sorted(comparison.differences, key=lambda each: (not wider(each), each.unlisted))
    return tuple(ranked[:MOST_CHANGES])


def wider(difference: Difference) -> bool:
    """Return whether the difference is an extra permission."""
    return difference.change in WIDER


def doubt(comparison: Comparison) -> str:
    """Describe the undecided parts of *comparison*; empty if there are none."""
    reasons = [f"{each}: {comparison.verdicts[each].reason}" for each in comparison.undecided]
    return f"could not decide whether any request is {'; or '.join(reasons)}" if reasons else ""


def difference_asks(differences: Sequence[Difference]) -> tuple[Ask, ...]:
    """Return a request for each of the first *differences*, as the new side decides it."""
    return tuple(
        _ask(each, each.new, f"{each.change}: {', '.join(each.actions[:4])}")
        for each in differences[:MOST_WITNESSES]
    )


def actions_of(differences: Sequence[Difference]) -> str:
    """Return the actions of *differences* in words."""
    actions = list(dict.fromkeys(action for each in differences for action in each.actions))
    hidden = len(actions[MOST_ACTIONS:]) + sum(each.alike for each in differences)
    more = f" and {hidden} more" if hidden else ""
    if any(each.others for each in differences):
        more = " and all other actions that no statement names"
    return ", ".join(f"`{each}`" for each in actions[:MOST_ACTIONS]) + more


def _finding(check: Check, comparison: Comparison, spot: Spot, name: str) -> AuditFinding:
    doubts = doubt(comparison)
    more = [difference for difference in shown(comparison) if wider(difference)]
    less = [difference for difference in shown(comparison) if not wider(difference)]
    if more:
        rule, said = "CML704", f"{name} permits more than the rendered document: {actions_of(more)}"
        said += f"; and refuses {actions_of(less)}" if less else ""
    elif less:
        rule = "CML705"
        said = f"{name} refuses what the rendered document permits: {actions_of(less)}"
    else:
        said = f"{name} has different statements from the rendered document; {doubts}"
        return check.finding("CML706", said, spot, about=name)
    said += f"; {doubts}" if doubts else ""
    return check.finding(rule, said, spot, about=name, witness=difference_asks(more or less))


def _changed(difference: Difference, name: str, account: str | None) -> Changed:
    said = ", ".join(difference.actions[:4])
    return Changed(
        document=name,
        change=difference.change,
        actions=difference.actions,
        before=_ask(difference, difference.old, said),
        after=_ask(difference, difference.new, said),
        account=account,
    )


def _ask(difference: Difference, side: Answered, says: str) -> Ask:
    labels = dict.fromkeys(statement.label for statement in side.statements)
    return ask_of(difference.witness, side.outcome, labels, says=says)


def proved(check: Check, site: Site, policies: Policies, spot: Spot, *, explained: bool) -> Answer:
    """Prove the promises of *site*'s restrictions about *policies*, located at *spot*.

    If another finding has already *explained* a broken promise, the check only counts it.
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
    witness = tuple(
        ask_of(
            call.request,
            call.candidate.outcome,
            (reason.label for reason in call.candidate.statements),
        )
        for call in proof.calls
    )
    labels = dict.fromkeys(label for ask in witness for label in ask.statements)
    by = f", by {', '.join(labels)}" if labels else ""
    said = f"could not prove{by}: {proof.promise.title}"
    return check.finding("CML717", said, spot, about=proof.promise.id, witness=witness)
