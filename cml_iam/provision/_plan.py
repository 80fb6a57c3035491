"""A plan as a value: its steps, each with its exact calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.errors import Problem, RefusedError
from cml_iam.restrict import launch_note

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.aws.port import Identity
    from cml_iam.credentials import Delivery, KeyPlan
    from cml_iam.provision._watch import Watch
    from cml_iam.site import Site, Trust

Mark = Literal["create", "change", "keep", "delete"]
Task = Literal["bootstrap", "adopt", "rollback", "destroy"]
Piece = Literal["principal", "boundary", "guard", "audit"]
PIECES: Final[tuple[Piece, ...]] = ("principal", "boundary", "guard", "audit")
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

    *later* has steps that are not part of the plan; *refused* has the reasons why it cannot be
    applied. Parts are added in the order in which they are carried out.
    """

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    later: tuple[Step, ...] = ()
    refused: tuple[Problem, ...] = ()

    def __add__(self, other: Draft) -> Draft:
        return Draft(**{name: (*value, *vars(other)[name]) for name, value in vars(self).items()})


@dataclass(frozen=True, slots=True)
class Plan:
    """What *identity* will do to reach *desired*; *principal* is the principal's ARN.

    *warnings* are about what stays unchanged, *unchecked* about what could not be determined. *key*
    is None for a role, or without a delivery. *later* has steps that are not part of the plan.
    *refused* has the reasons why the plan cannot be applied. *foreseen* has consequences elsewhere;
    *unforeseen* says which of them could not be checked.
    """

    identity: Identity
    desired: Desired
    principal: str
    steps: tuple[Step, ...]
    key: KeyPlan | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)
    unchecked: tuple[str, ...] = field(default=(), compare=False)
    later: tuple[Step, ...] = field(default=(), compare=False)
    delivery: Delivery | None = field(default=None, repr=False, compare=False)
    refused: tuple[Problem, ...] = field(default=(), compare=False)
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


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of a plan: the steps, and the id of the key now in the store."""

    principal: str
    done: tuple[Step, ...]
    key_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what was done as JSON values."""
        done = [f"{step.mark} {step.resource} {step.name}" for step in self.done]
        return {"principal": self.principal, "done": done, "key_id": self.key_id}


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
