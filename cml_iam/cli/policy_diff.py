"""`cml-iam policy diff`: what a policy means that another does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cml_iam.cli._exit import Exit
from cml_iam.cli._files import read_policy
from cml_iam.cli._output import INFO, OK, WARN, heading, print_json, progress, say, wants_json
from cml_iam.cli._settings import shared_options
from cml_iam.cli._site import find_site
from cml_iam.errors import InputError

if TYPE_CHECKING:
    from cml_iam.compare import Answered, Comparison, Difference, ExpectationChange
    from cml_iam.engine import Request, StatementReason
    from cml_iam.policy import PolicyDocument

SIGNS = {
    "newly allowed": "+ newly allowed",
    "newly denied": "- newly denied",
    "no longer denied explicitly": "+ no longer denied explicitly (matters where others allow it)",
    "newly denied explicitly": "- newly denied explicitly (matters where others allow it)",
}
OUTCOMES = {
    "allowed": "allowed",
    "explicitDeny": "explicitly denied",
    "implicitDeny": "implicitly denied",
}
MAX_VALUES = 4
EXAMPLE = "Example:  cml-iam policy render | cml-iam policy diff attached.json -"


@click.command(epilog=EXAMPLE)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@shared_options("site", "output")
@click.pass_context
def diff(context: click.Context, old: Path, new: Path) -> None:
    """Say what the policy NEW allows or refuses that OLD did not, whatever the two look like.

    Both are asked the site's expectations, where there is a site file, and requests made from all
    that their statements name; each difference comes with a request that shows it. OLD and NEW are
    files, `-` for stdin, or folders whose .json files are taken as attached together.

    Exits with 0 when no request tells them apart, with 6 when NEW is wider or narrower.
    """
    from cml_iam.compare import compare_policies

    before, after = _documents(old), _documents(new)
    with progress("comparing", only_on_terminal=True):
        found = compare_policies(before, after, find_site())
    if wants_json():
        print_json(as_json(found))
    else:
        _show(found, old, new)
    context.exit(Exit.CHANGES if found.differences else Exit.OK)


def _documents(path: Path) -> tuple[PolicyDocument, ...]:
    if not path.is_dir():
        return (read_policy(path),)
    files = sorted(path.glob("*.json"))
    if not files:
        raise InputError(f"no .json file in `{path}`")
    return tuple(map(read_policy, files))


def _show(found: Comparison, old: Path, new: Path) -> None:
    from cml_iam.compare import CHANGES

    if found.same:
        say(f"{OK} same meaning: the statements are the same, but for order, spelling and names")
        return
    for change in CHANGES:
        differences = found.of(change)
        if differences:
            heading(f"{SIGNS[change]} ({len(differences)})")
        for each in differences:
            for line in _lines(each):
                say(line)
    if found.expectation_changes:
        heading(f"expectations of the site answered otherwise ({len(found.expectation_changes)})")
        for changed in found.expectation_changes:
            say(_expectation_line(changed))
    for line in _counts(found):
        say(line)
    say(_verdict(found, old, new))


def _lines(difference: Difference) -> Iterator[str]:
    request = difference.witness
    sign = "+" if SIGNS[difference.change].startswith("+") else "-"
    yield f"  {sign} {_actions(difference)}"
    yield f"      e.g.  {request.action} on {request.resource}{_by(request)}"
    for line in _context(difference):
        yield f"            {line}"
    if len(difference.found) > 1:
        values = ["(missing)" if each is None else each for each in difference.found]
        more = ", …" if values[MAX_VALUES:] else ""
        yield f"      also  {', '.join(values[1:MAX_VALUES])}{more}"
    for name, side in (("old", difference.old), ("new", difference.new)):
        missed = None if _decides(difference, side) else difference.missed
        yield f"      {name}   {_side(side, missed)}"
    if difference.unusual:
        yield f"      {WARN} AWS's service reference does not know of such requests for this action"


def _actions(difference: Difference) -> str:
    more = f" and {difference.alike} more that no statement tells apart" if difference.alike else ""
    return ", ".join(difference.actions) + more


def _by(request: Request) -> str:
    return f" by {request.principal}" if request.principal else ""


def _context(difference: Difference) -> Iterator[str]:
    """Yield the condition keys of the witness that the statements concerned ask for."""
    from cml_iam.facts import same_key

    reasons = [*difference.old.statements, *difference.new.statements]
    if difference.missed:
        reasons.append(difference.missed)
    context = {same_key(key): value for key, value in difference.witness.context.items()}
    asked = {same_key(each.key): each.key for reason in reasons for each in reason.conditions}
    for name, key in asked.items():
        value = context.get(name)
        yield f"without {key}" if value is None else f"{key} = {_text(value)}"


def _text(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list | tuple) else str(value)


def _decides(difference: Difference, side: Answered) -> bool:
    """Say whether *side* has the statement that makes the difference."""
    outcomes = (difference.old.outcome, difference.new.outcome)
    return side.outcome == ("explicitDeny" if "explicitDeny" in outcomes else "allowed")


def _side(side: Answered, missed: StatementReason | None) -> str:
    by = ", ".join(f"{each.label}{_at(each)}" for each in side.statements)
    why = f"; not by {missed.label}{_at(missed)}: {missed.reason}" if missed else ""
    return f"{OUTCOMES[side.outcome]}{f' by {by}' if by else ''}{why}"


def _at(reason: StatementReason) -> str:
    return f" ({reason.place})" if reason.place else ""


def _expectation_line(changed: ExpectationChange) -> str:
    each = changed.expectation
    sign = "+" if changed.new == "allowed" else "-"
    means = "as the site means it" if changed.new == each.expected else "against the site"
    return f"  {sign} {each.description}: {changed.old} -> {changed.new}, {means} [{each.id}]"


def _counts(found: Comparison) -> Iterator[str]:
    same = found.expectations - len(found.expectation_changes)
    asked = f" and {same} of {found.expectations} expectations" if found.expectations else ""
    yield f"{INFO} unchanged: {found.unchanged} of {found.requests} requests{asked}"
    if found.beside_everything:
        yield f"{INFO} neither allows anything, so both were judged beside a policy allowing all"
    if found.unproved:
        yield f"{INFO} not proved to be the same: {found.unproved}"
    if not found.complete:
        yield f"{WARN} too many combinations: some were not searched"


def _verdict(found: Comparison, old: Path, new: Path) -> str:
    if not found.differences and found.proved == "holds":
        return f"{OK} same meaning: that both allow the same is proved for every request there is"
    if not found.differences:
        searched = ", among all combinations of what the statements name" if found.complete else ""
        return f"{OK} no difference found in {found.requests} requests{searched}"
    return f"{WARN} {new} is {found.verdict} than {old}".replace(
        "wider and narrower than", "wider in some and narrower in other ways than"
    )


def as_json(found: Comparison) -> dict[str, Any]:
    """Return *found* for a program."""
    return {
        "verdict": found.verdict,
        "same": found.same,
        "requests": found.requests,
        "unchanged": found.unchanged,
        "complete": found.complete,
        "proved": found.proved,
        "besideEverything": found.beside_everything,
        "differences": [_difference_json(each) for each in found.differences],
        "expectations": found.expectations,
        "expectationChanges": [
            {
                "id": each.expectation.id,
                "description": each.expectation.description,
                "expected": each.expectation.expected,
                "old": each.old,
                "new": each.new,
            }
            for each in found.expectation_changes
        ],
    }


def _difference_json(each: Difference) -> dict[str, Any]:
    request = each.witness
    return {
        "change": each.change,
        "actions": list(each.actions),
        "alike": each.alike,
        "requests": each.requests,
        "witness": {
            "action": request.action,
            "resource": request.resource,
            "principal": request.principal,
            "context": dict(request.context),
        },
        "old": _side_json(each.old),
        "new": _side_json(each.new),
        "missed": _missed_json(each),
        "unusual": each.unusual,
    }


def _side_json(side: Answered) -> Mapping[str, Any]:
    return {
        "outcome": side.outcome,
        "statements": [
            {"label": each.label, "policy": each.policy, "place": _place(each)}
            for each in side.statements
        ],
    }


def _missed_json(each: Difference) -> Mapping[str, Any] | None:
    if each.missed is None:
        return None
    return {
        "label": each.missed.label,
        "place": _place(each.missed),
        "reason": each.missed.reason,
        "found": list(each.found),
    }


def _place(reason: StatementReason) -> str | None:
    return str(reason.place) if reason.place else None
