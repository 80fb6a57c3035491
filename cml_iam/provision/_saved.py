"""A plan as text, as data, and in a file to apply later if nothing has changed.

`apply` always makes a new plan, which must equal the plan in the file, so edits to the file have no
effect.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import InputError, RefusedError
from cml_iam.files import regular_text, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cml_iam.aws.port import Identity
    from cml_iam.provision._plan import Plan, Step
    from cml_iam.site import Site


_MARK: Final = {
    "create": "+ create",
    "change": "~ change",
    "keep": "= unchanged",
    "delete": "- delete",
}
_INDENT: Final = " " * 14
_BLOCK: Final = 4
"""From how many lines on a repeated step is replaced by a reference to the first one."""


def plan_lines(plan: Plan, *, refusals: bool = True) -> Iterator[str]:
    """Yield the lines of *plan* for people; *refusals* adds the reasons why it is refused."""
    yield f"account    {plan.identity.account}"
    yield f"acting as  {plan.identity.arn}"
    yield f"principal  {plan.principal}"
    yield ""
    yield from steps_lines(plan.all_steps)
    for warning in (*plan.warnings, *plan.foreseen):
        yield f"▲ warning: {warning}"
    yield from (f"? {text}" for text in (*plan.unchecked, *plan.unforeseen))
    for problem in plan.refused if refusals else ():
        yield f"✖ apply refuses this: {problem.message}"
        yield f"    fix: {problem.remedy}"
    if plan.later:
        yield ""
        yield "not part of this plan; apply would later"
        yield from steps_lines(plan.later)
    yield ""
    yield from (f"• {text}" for text in plan.desired.notes)
    yield summary(plan)


def steps_lines(steps: Iterable[Step]) -> Iterator[str]:
    """Yield the lines of *steps*; blocks that boundary and policy share are shown once."""
    shown: dict[tuple[str, ...], Step] = {}
    for step in steps:
        first = shown.setdefault(step.lines, step)
        if first is step or len(step.lines) < _BLOCK:
            yield from _step_lines(step)
        else:
            same = f"the same as {first.resource} {first.name} above"
            yield from _step_lines(replace(step, lines=(same,)))


def _step_lines(step: Step) -> Iterator[str]:
    """Yield the lines of one *step*: its subject, then the details."""
    yield f"{_MARK[step.mark]:<12}  {step.resource:<17} {step.name}".rstrip()
    yield from (f"{_INDENT}{line}" for line in step.lines)


def summary(plan: Plan) -> str:
    """Return the number of steps by their effect."""
    marks = [step.mark for step in plan.all_steps]
    if not plan.changes:
        return f"nothing to do: {len(marks)} unchanged"
    counts = f"{marks.count('create')} to create, {marks.count('change')} to change"
    deleted = f", {marks.count('delete')} to delete" if "delete" in marks else ""
    return f"plan: {counts}{deleted}, {marks.count('keep')} unchanged"


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return *plan* as plain data, with its exact calls; it holds no secret."""
    return {
        "identity": asdict(plan.identity),
        "principal": plan.principal,
        "changes": len(plan.changes),
        "steps": [step_data(step) for step in plan.all_steps],
        "key": asdict(plan.key) if plan.key else None,
        "warnings": [*plan.warnings, *plan.foreseen],
        "unchecked": [*plan.unchecked, *plan.unforeseen],
        "refused": [{"message": e.message, "remedy": e.remedy} for e in plan.refused],
        "later": [step_data(step) for step in plan.later],
        "notes": list(plan.desired.notes),
    }


def step_data(step: Step) -> dict[str, Any]:
    """Return *step* as plain data."""
    return {
        "mark": step.mark,
        "resource": step.resource,
        "name": step.name,
        "lines": list(step.lines),
        "calls": [
            {
                "service": call.service,
                "operation": call.operation,
                "region": call.region,
                "parameters": dict(call.parameters),
            }
            for call in step.calls
        ],
    }


_FORMAT: Final = "cml-iam plan 1"
_LARGEST: Final = 1 << 20
_WHAT: Final = {
    "account": "the credentials are of another account",
    "identity": "another identity is acting",
    "site": "the site has changed",
    "steps": "the account has changed",
    "key": "the access keys or the file for them have changed",
    "warnings": "the principal's other permissions have changed",
}


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan from a file: the *options* given, and the planned steps."""

    path: Path
    options: Mapping[str, Any]
    facts: Mapping[str, Any]


def save_plan(plan: Plan, options: Mapping[str, Any], path: Path) -> None:
    """Write *plan* and its *options* to *path*, private (0600) and without secrets.

    Raises InputError if the file cannot be written.
    """
    text = json.dumps({"format": _FORMAT, "options": options, "plan": _facts(plan)}, indent=2)
    write_whole(path, text + "\n", mode=0o600)


def load_plan(path: Path) -> SavedPlan:
    """Read the plan in *path*; raises InputError if the file does not contain one."""
    try:
        raw = json.loads(regular_text(path, _LARGEST))
        if raw["format"] != _FORMAT:
            raise InputError(f"`{path}` is a plan of another version of cml-iam")
        return SavedPlan(path, dict(raw["options"]), dict(raw["plan"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"`{path}` is not a plan: make one with `bootstrap plan --save`") from None


def check_fresh(saved: SavedPlan, plan: Plan) -> None:
    """Raise RefusedError unless the new plan *plan* equals the saved plan."""
    now = _facts(plan)
    changed = [words for name, words in _WHAT.items() if saved.facts.get(name) != now[name]]
    if changed:
        raise RefusedError(
            f"the plan in `{saved.path}` is stale: {'; '.join(changed)}",
            remedy="make a new plan",
        )


def _facts(plan: Plan) -> dict[str, Any]:
    data = plan_data(plan)
    key = data["key"] and {name: value for name, value in data["key"].items() if name != "words"}
    steps = data["steps"][: len(plan.steps)]
    facts = {
        "account": plan.identity.account,
        "identity": _acting(plan.identity),
        "site": _fingerprint(plan.desired.site),
        "steps": steps,
        "key": key,
        "warnings": [*plan.warnings, *plan.unchecked],
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain


def _acting(identity: Identity) -> str:
    """Return the acting identity without the session name, which changes at each sign-in."""
    arn = identity.arn
    return arn.rpartition("/")[0] if ":assumed-role/" in arn else arn


def _fingerprint(site: Site) -> str:
    return hashlib.sha256(repr(site).encode()).hexdigest()
