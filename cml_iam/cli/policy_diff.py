"""`cml-iam policy diff`: what one policy allows and another does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cml_iam import prove
from cml_iam.cli._exit import Exit
from cml_iam.cli._files import parameter_option, read_policies
from cml_iam.cli._options import FILE, settings, shared_options
from cml_iam.cli._output import INFO, OK, UNKNOWN, WARN, answer, heading, progress, say, say_lines
from cml_iam.cli._proof_text import (
    IF_COLONS,
    assumption_lines,
    key_line,
    statement_name,
    statement_names,
)
from cml_iam.cli._site import find_site

if TYPE_CHECKING:
    from cml_iam.prove import Comparison, Difference, ExpectationChange

SIGNS = {
    "newly allowed": "+ newly allowed",
    "newly denied": "- newly denied",
    "no longer denied explicitly": "+ no longer denied explicitly (matters if others allow it)",
    "newly denied explicitly": "- newly denied explicitly (matters if others allow it)",
}
OUTCOMES = {
    "allowed": "allowed",
    "explicitDeny": "explicitly denied",
    "implicitDeny": "implicitly denied",
}
EXITS = {"same": Exit.OK, "undecided": Exit.UNCHECKED}
DETAIL = 12
"""The column in which the details of a difference begin."""
MAX_VALUES = 4
MAX_NAMES = 8
OTHER_READING = {
    "holds": "no request is {}",
    "broken": "some request is {}",
    "undecided": "it is undecided whether any request is {}",
}


@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@parameter_option
@shared_options("site", "output", "verbose")
def diff(old: Path, new: Path) -> None:
    """Show what the policy NEW allows or denies that OLD does not.

    Each difference comes with a request that shows it. If there is none, that is proved over every
    possible request. If there is a site file, its expectations are also checked against both
    policies. OLD and NEW are files, `-` for stdin, or folders whose files count as attached
    together. A file may be JSON, YAML, a CloudFormation template or a Terraform plan; FILE#NAME is
    one policy in it. -v prints the facts about AWS that a proof rests on.

    Exits with 0 when both mean the same, with 6 when NEW is wider or narrower, and with 8 when no
    difference was found but one could not be ruled out.

    Examples:
      cml-iam policy render | cml-iam policy diff attached.json -
    """
    before, after = map(prove.policies_of, (read_policies(old), read_policies(new)))
    with progress("comparing", only_on_terminal=True):
        comparison = prove.differences(before, after, find_site())
    unsure = comparison.verdict == "same" and comparison.other_reading
    code = Exit.UNCHECKED if unsure else EXITS.get(comparison.verdict, Exit.CHANGES)
    answer(comparison, lambda: _print(comparison, old, new), code)


def _print(comparison: Comparison, old: Path, new: Path) -> None:
    if comparison.same:
        say(f"{OK} same meaning: the statements are the same, except for order, spelling and names")
        return
    for change in prove.CHANGES:
        groups: dict[str, list[Difference]] = {}
        for difference in comparison.of(change):
            groups.setdefault(_actions(difference), []).append(difference)
        if groups:
            heading(f"{SIGNS[change]} ({len(comparison.of(change))})")
        for actions, group in groups.items():
            say(f"  {SIGNS[change][0]} {actions}")
            for difference in group:
                for line in _lines(difference):
                    say(line, hanging=DETAIL)
    if comparison.expectation_changes:
        count = len(comparison.expectation_changes)
        heading(f"expectations of the site with a different answer ({count})")
    say_lines(map(_expectation_line, comparison.expectation_changes))
    say_lines(_notes(comparison))
    say(_verdict(comparison, old, new))


def _actions(difference: Difference) -> str:
    names = difference.actions[:MAX_NAMES]
    hidden = len(difference.actions) - len(names) + difference.alike
    rest = f", and {hidden} more that no statement distinguishes" if hidden else ""
    if difference.others:
        rest = ", and all other actions that no statement names"
    return ", ".join(names) + rest


def _lines(difference: Difference) -> Iterator[str]:
    request = difference.witness
    by = f" by {request.principal}" if request.principal else ""
    yield f"      e.g.  {request.action} on {request.resource}{by}"
    for line in _context(difference):
        yield f"            {line}"
    if len(difference.found) > 1:
        values = ["(missing)" if value is None else value for value in difference.found]
        rest = ", …" if values[MAX_VALUES:] else ""
        yield f"      also  {', '.join(values[1:MAX_VALUES])}{rest}"
    outcomes = (difference.old.outcome, difference.new.outcome)
    decisive = "explicitDeny" if "explicitDeny" in outcomes else "allowed"
    for name, side in (("old", difference.old), ("new", difference.new)):
        by = f" by {statement_names(side)}" if side.statements else ""
        missed = None if side.outcome == decisive else difference.missed
        why = f"; not by {statement_name(missed)}: {missed.reason}" if missed else ""
        yield f"      {name}   {OUTCOMES[side.outcome]}{by}{why}"
    if difference.unlisted:
        yield f"      {WARN} AWS's service reference lists no such action; AWS may add one"


def _context(difference: Difference) -> Iterator[str]:
    """Yield the witness's condition keys that the statements concerned test."""
    from cml_iam.facts import names_of, same_key

    reasons = [*difference.old.statements, *difference.new.statements]
    if difference.missed:
        reasons.append(difference.missed)
    context = {same_key(key): value for key, value in difference.witness.context.items()}
    tested = {
        same_key(condition.key): condition.key
        for reason in reasons
        for condition in reason.conditions
    }
    for name, written in tested.items():
        # A key is shown under a name that requests for the action have it under.
        names = names_of(written, difference.witness.action)
        key = written if written.lower() in map(str.lower, names) else names[0]
        value = context.get(name)
        yield f"without {key}" if value is None else key_line(key, value)


def _expectation_line(changed: ExpectationChange) -> str:
    expectation = changed.expectation
    sign = "+" if changed.new == "allowed" else "-"
    means = "as the site intends" if changed.new == expectation.expected else "against the site"
    change = f"{changed.old} -> {changed.new}, {means}"
    return f"  {sign} {expectation.description}: {change} [{expectation.id}]"


def _notes(comparison: Comparison) -> Iterator[str]:
    """Yield what is uncertain, and what the result rests on."""
    for change in comparison.undecided:
        reason = comparison.verdicts[change].reason
        yield f"{UNKNOWN} could not decide whether any request is {change}: {reason}"
    for change, reading in comparison.other_reading.items():
        yield f"{WARN} {OTHER_READING[reading].format(change)}, {IF_COLONS}"
    if comparison.more:
        yield f"{WARN} there may be more differences than these"
    if comparison.expectations:
        same = comparison.expectations - len(comparison.expectation_changes)
        yield f"{INFO} unchanged: {same} of {comparison.expectations} expectations of the site"
    if comparison.beside_everything:
        both = "both were compared together with a policy that allows everything"
        yield f"{INFO} neither allows anything: {both}"
    yield from assumption_lines(comparison.assumptions, every=bool(settings().verbose))


def _verdict(comparison: Comparison, old: Path, new: Path) -> str:
    if comparison.verdict == "same" and comparison.other_reading:
        return f"{WARN} same meaning in this reading of ARN wildcards, see above"
    if comparison.verdict == "same":
        return f"{OK} same meaning: proved for every possible request"
    if comparison.verdict == "undecided":
        return f"{UNKNOWN} found no difference, but could not prove that there is none"
    if comparison.allows_the_same:
        return f"{WARN} {new} allows the same as {old}; they differ in explicit denies only"
    if comparison.verdict == "wider and narrower":
        return f"{WARN} {new} is wider in some and narrower in other ways than {old}"
    return f"{WARN} {new} is {comparison.verdict} than {old}"
