"""A document beside the rendered one, by what both permit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.audit._part import Part, ask_of, found
from cml_iam.audit._report import Changed
from cml_iam.prove import WIDER, differences, policies_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.audit._report import Ask, AuditFinding, Spot
    from cml_iam.policy import PolicyDocument
    from cml_iam.prove import Answered, Comparison, Difference

MOST_CHANGES = 12
"""Differences of one document kept in the report; the finding counts them all."""

MOST_WITNESSES = 3


def drift(
    wanted: Sequence[PolicyDocument],
    there: Sequence[PolicyDocument],
    spot: Spot,
    check: str,
    name: str,
) -> Part:
    """Return how the documents *there*, called *name*, differ from those *wanted*, by meaning.

    One finding, whatever the number of differences: of what is permitted beyond, else of what is
    refused, else that it could not be decided whether both mean the same.
    """
    comparison = differences(policies_of(wanted), policies_of(there))
    if comparison.verdict == "same":
        return Part()
    changes = tuple(_changed(each, name, spot.account) for each in told(comparison))
    return Part(findings=(_finding(comparison, spot, check, name),), changes=changes)


def beyond(without: Sequence[PolicyDocument], extra: Sequence[PolicyDocument]) -> Comparison:
    """Return what *extra* permits that the policies *without* it do not."""
    return differences(policies_of(without), policies_of((*without, *extra)))


def told(comparison: Comparison) -> tuple[Difference, ...]:
    """Return the differences to show: what is permitted beyond first, unlisted actions last."""
    ranked = sorted(comparison.differences, key=lambda each: (not wider(each), each.unlisted))
    return tuple(ranked[:MOST_CHANGES])


def wider(difference: Difference) -> bool:
    """Say whether the difference is something that is permitted beyond."""
    return difference.change in WIDER


def doubt(comparison: Comparison) -> str:
    """Return what could not be decided about *comparison*, in words; empty if nothing."""
    reasons = [f"{each}: {comparison.verdicts[each].reason}" for each in comparison.undecided]
    return f"could not decide whether any request is {'; or '.join(reasons)}" if reasons else ""


def difference_asks(differences: Iterable[Difference]) -> tuple[Ask, ...]:
    """Return a request for each of the first *differences*, as the new side decides it."""
    return tuple(
        _ask(each, each.new, f"{each.change}: {', '.join(each.actions[:4])}")
        for each in list(differences)[:MOST_WITNESSES]
    )


def actions_of(differences: Iterable[Difference], most: int = 6) -> str:
    """Return the actions of *differences* in words."""
    differences = tuple(differences)
    actions = list(dict.fromkeys(action for each in differences for action in each.actions))
    hidden = len(actions[most:]) + sum(each.alike for each in differences)
    more = f" and {hidden} more" if hidden else ""
    if any(each.others for each in differences):
        more = " and every other action that no statement names"
    return ", ".join(f"`{each}`" for each in actions[:most]) + more


def _finding(comparison: Comparison, spot: Spot, check: str, name: str) -> AuditFinding:
    shown, doubts = told(comparison), doubt(comparison)
    more = [each for each in shown if wider(each)]
    less = [each for each in shown if not wider(each)]
    if more:
        rule, said = "CML704", f"{name} permits more than the rendered document: {actions_of(more)}"
        said += f"; and refuses {actions_of(less)}" if less else ""
    elif less:
        rule = "CML705"
        said = f"{name} refuses what the rendered document permits: {actions_of(less)}"
    else:
        return found(
            "CML706",
            f"{name} has other statements than the rendered document; {doubts}",
            spot,
            check,
            about=name,
        )
    said += f"; {doubts}" if doubts else ""
    return found(rule, said, spot, check, about=name, witness=difference_asks(more or less))


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
    labels = dict.fromkeys(each.label for each in side.statements)
    return ask_of(difference.witness, side.outcome, labels, says=says)
