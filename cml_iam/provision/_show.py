"""A plan as text lines and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.provision._plan import Plan, Step

_MARK: Final = {
    "create": "+ create",
    "change": "~ change",
    "keep": "= unchanged",
    "delete": "- delete",
}
_INDENT: Final = " " * 14


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of *plan* as a person reads them."""
    yield f"account    {plan.identity.account}"
    yield f"acting as  {plan.identity.arn}"
    yield f"principal  {plan.principal}"
    yield ""
    for step in plan.all_steps:
        yield from step_lines(step)
    for warning in (*plan.warnings, *plan.foreseen):
        yield f"▲ warning: {warning}"
    yield from (f"? {text}" for text in (*plan.unchecked, *plan.unforeseen))
    for problem in plan.refused:
        yield f"✖ apply refuses this: {problem.message}"
        yield f"    fix: {problem.remedy}"
    if plan.later:
        yield ""
        yield "not part of this; apply would then"
        for step in plan.later:
            yield from step_lines(step)
    yield ""
    yield summary(plan)


def step_lines(step: Step) -> Iterator[str]:
    """Yield the lines of one *step*: what it is about, and below it the details."""
    yield f"{_MARK[step.mark]:<12}  {step.resource:<17} {step.name}".rstrip()
    yield from (f"{_INDENT}{line}" for line in step.lines)


def summary(plan: Plan) -> str:
    """Return how many steps do what."""
    marks = [step.mark for step in plan.all_steps]
    if not plan.changes:
        return f"nothing to do: {len(marks)} unchanged"
    counts = f"{marks.count('create')} to create, {marks.count('change')} to change"
    deleted = f", {marks.count('delete')} to delete" if "delete" in marks else ""
    return f"plan: {counts}{deleted}, {marks.count('keep')} unchanged"


def plan_data(plan: Plan) -> dict[str, Any]:
    """Return *plan* as plain data, with the very calls it consists of; it holds no secret."""
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
