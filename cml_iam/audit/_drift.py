"""A document beside the rendered one, by what both permit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cml_iam.audit._part import Part, ask_of, found
from cml_iam.audit._report import Changed
from cml_iam.compare import compare_policies

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cml_iam.audit._report import Ask, AuditFinding, Spot
    from cml_iam.compare import Answered, Comparison, Difference
    from cml_iam.policy import PolicyDocument
    from cml_iam.site import Site

MOST_CHANGES = 12
"""Differences of one document kept in the report; the finding counts them all."""

MOST_WITNESSES = 3


def drift(
    wanted: Sequence[PolicyDocument],
    there: Sequence[PolicyDocument],
    site: Site,
    spot: Spot,
    check: str,
    name: str,
) -> Part:
    """Return how the documents *there*, called *name*, differ from those *wanted*, by meaning.

    One finding, whatever the number of differences: of what is permitted beyond, else of what is
    refused, else that the statements differ and no request was found that shows it.
    """
    comparison = compare_policies(wanted, there, site)
    if comparison.same:
        return Part()
    changes = tuple(_changed(each, name, spot.account) for each in told(comparison))
    return Part(findings=(_finding(comparison, spot, check, name),), changes=changes)


def beyond(
    without: Sequence[PolicyDocument], extra: Sequence[PolicyDocument], site: Site
) -> Comparison:
    """Return what *extra* permits that the policies *without* it do not."""
    return compare_policies(without, (*without, *extra), site)


def told(comparison: Comparison) -> tuple[Difference, ...]:
    """Return the differences to show: what is permitted beyond first, the unusual ones last."""
    ranked = sorted(comparison.differences, key=lambda each: (not wider(each), each.unusual))
    return tuple(ranked[:MOST_CHANGES])


def wider(difference: Difference) -> bool:
    """Say whether the difference is something that is permitted beyond."""
    return difference.change in ("newly allowed", "no longer denied explicitly")


def difference_asks(differences: Iterable[Difference]) -> tuple[Ask, ...]:
    """Return a request for each of the first *differences*, as the new side decides it."""
    return tuple(
        _ask(each, each.new, f"{each.change}: {', '.join(each.actions[:4])}")
        for each in list(differences)[:MOST_WITNESSES]
    )


def actions_of(differences: Iterable[Difference], most: int = 6) -> str:
    """Return the actions of *differences* in words."""
    actions = list(dict.fromkeys(action for each in differences for action in each.actions))
    alike = sum(each.alike for each in differences)
    hidden = len(actions[most:]) + alike
    more = f" and {hidden} more" if hidden else ""
    return ", ".join(f"`{each}`" for each in actions[:most]) + more


def _finding(comparison: Comparison, spot: Spot, check: str, name: str) -> AuditFinding:
    differences = told(comparison)
    more = [each for each in differences if wider(each)]
    less = [each for each in differences if not wider(each)]
    if not differences:
        said = f"{name} has other statements than the rendered document; no request shows it"
        return found("CML706", said, spot, check, about=name)
    if not more:
        said = f"{name} refuses what the rendered document permits: {actions_of(less)}"
        return found("CML705", said, spot, check, about=name, witness=difference_asks(less))
    said = f"{name} permits more than the rendered document: {actions_of(more)}"
    if less:
        said += f"; and refuses {actions_of(less)}"
    return found("CML704", said, spot, check, about=name, witness=difference_asks(more))


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
