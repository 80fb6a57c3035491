"""A plan as a value: its steps, each with its exact calls; as text, as data, and in a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from cml_iam.aws.port import Identity
from cml_iam.credentials import Delivery, KeyPlan
from cml_iam.errors import InputError, Problem, RefusedError
from cml_iam.files import regular_text, write_whole
from cml_iam.provision._watch import Watch
from cml_iam.restrict import launch_note
from cml_iam.site import Site, Trust

Mark = Literal["create", "change", "keep", "delete"]
Task = Literal["bootstrap", "adopt", "rollback", "destroy"]
Piece = Literal["principal", "boundary", "guard", "audit"]
PRINCIPAL: Final[frozenset[Piece]] = frozenset({"principal"})


@dataclass(frozen=True, slots=True)
class Call:
    """A call to AWS; with *once*, it must not be repeated if there is no response.

    *region* is None for services without regions and for the connection's region.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    once: bool = False
    region: str | None = None


def iam(operation: str, **parameters: Any) -> Call:
    """Return a call to IAM."""
    return Call("iam", operation, parameters)


@dataclass(frozen=True, slots=True)
class Step:
    """The change to the *resource* called *name*; a step that keeps the resource makes no call.

    *lines* describe the new resource, or what changes.
    """

    mark: Mark
    resource: str
    name: str
    lines: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.mark != "keep"

    def unless(self, settled: bool) -> Step:
        """Return the step; if everything is *settled* already, one that keeps the resource."""
        return Step("keep", self.resource, self.name) if settled else self


@dataclass(frozen=True, slots=True)
class Desired:
    """The desired state: *documents* are the texts of the policy, one per part.

    None as *path* or *boundary* (an ARN) means unchanged; *tags* are added to existing ones.
    *pieces* are what to create; nothing else is changed. *trust* says who may assume a role.
    *change_shared* allows changes to a policy that other principals also have. *target* is the ARN
    of a policy to roll back and the version to restore. *watch* has the alarm settings.
    """

    site: Site
    documents: tuple[str, ...]
    path: str | None = None
    boundary: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    trust: Trust = "ec2"
    pieces: frozenset[Piece] = PRINCIPAL
    task: Task = "bootstrap"
    target: tuple[str, str] | None = None
    watch: Watch | None = None
    change_shared: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be done elsewhere before the manager can work under the policy."""
        if not self.documents or self.site.launch_warning is None:
            return ()
        note = launch_note(self.site, *self.documents)
        return (note,) if note else ()


@dataclass(frozen=True)
class Draft:
    """A part of a plan, made by reading the account: *steps*, and notes for the user.

    *warnings* are about what stays unchanged, *unchecked* about what could not be determined.
    *later* has steps that are not part of the plan; *refused* has the reasons why it cannot be
    applied. Parts are added in the order in which they are carried out. Warnings and other notes
    do not count when drafts are compared.
    """

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)
    unchecked: tuple[str, ...] = field(default=(), compare=False)
    later: tuple[Step, ...] = field(default=(), compare=False)
    refused: tuple[Problem, ...] = field(default=(), compare=False)

    def __add__(self, other: Draft) -> Draft:
        return Draft(**{name: (*value, *vars(other)[name]) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Plan(Draft):
    """What *identity* will do to reach *desired*; *principal* is the principal's ARN.

    *key* is None for a role, or without a delivery. *foreseen* has consequences elsewhere;
    *unforeseen* says which of them could not be checked.
    """

    identity: Identity
    desired: Desired
    principal: str
    key: KeyPlan | None = None
    delivery: Delivery | None = field(default=None, repr=False, compare=False)
    foreseen: tuple[str, ...] = field(default=(), compare=False)
    unforeseen: tuple[str, ...] = field(default=(), compare=False)

    def check(self) -> None:
        """Raise RefusedError if the plan is refused."""
        if self.refused:
            remedies = dict.fromkeys(problem.remedy for problem in self.refused if problem.remedy)
            raise RefusedError(
                "; ".join(problem.message for problem in self.refused),
                remedy="; ".join(remedies) or None,
            )

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """All steps in order, including the access key's."""
        return (*self.steps, key_step(self.key)) if self.key else self.steps

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.all_steps if step.changes)


def key_step(key: KeyPlan) -> Step:
    """Return *key* as a step without calls: the delivery makes them."""
    mark: Mark = "create" if key.action == "create" else "change" if key.changes else "keep"
    lines = [f"delivered to `{key.store}`, private (0600)"] if key.action != "keep" else []
    if key.action == "finish":
        lines.append("created by an interrupted run, which is completed now")
    elif key.unfinished:
        lines.append("leftovers of an interrupted run are removed")
    lines += [f"- `{orphan}`: deleted, because its secret was lost" for orphan in key.orphans]
    if key.room:
        lines.append(f"- `{key.room}`: inactive, deleted to make room for the new key")
    lines += key.words
    return Step(mark, "access key", key.key_id or f"of {key.user}", tuple(lines))


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
            lines = step.lines
        else:
            lines = (f"the same as {first.resource} {first.name} above",)
        yield f"{_MARK[step.mark]:<12}  {step.resource:<17} {step.name}".rstrip()
        yield from (f"{_INDENT}{line}" for line in lines)


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
        "refused": [
            {"message": problem.message, "remedy": problem.remedy} for problem in plan.refused
        ],
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

    Edits to the file have no effect, because `apply` compares a new plan with it. Raises InputError
    if the file cannot be written.
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
    key = asdict(plan.key) if plan.key else None
    if key:
        del key["words"]
    arn = plan.identity.arn
    facts = {
        "account": plan.identity.account,
        # Without the session name, which changes at each sign-in.
        "identity": arn.rpartition("/")[0] if ":assumed-role/" in arn else arn,
        "site": hashlib.sha256(repr(plan.desired.site).encode()).hexdigest(),
        "steps": [step_data(step) for step in plan.steps],
        "key": key,
        "warnings": [*plan.warnings, *plan.unchecked],
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain
