"""A plan as a value: the steps, and the very calls each consists of."""

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
    """One call to AWS; with *once* it must not be sent again when no answer comes.

    *region* is None for the services that have none, and for the one of the connection.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    once: bool = False
    region: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one *resource* called *name*; a step that keeps it makes no call.

    *lines* say what will be there, or what is different about it.
    """

    mark: Mark
    resource: str
    name: str
    lines: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return self.mark != "keep"


@dataclass(frozen=True, slots=True)
class Desired:
    """What is to be there: *documents* are the texts of the policy, one for each part of it.

    None as *path*, *boundary* (an ARN) means: as it is; *tags* are added to those that are there.
    *pieces* are what is made; nothing else is touched. *trust* says who may use a role. *target*
    is the ARN of the policy to roll back, with the version to go back to. *watch* is how the alarms
    are set.
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

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be done elsewhere so that the manager can work under the policy."""
        note = launch_note(self.site, *self.documents) if self.documents else ""
        return (note,) if note else ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A part of a plan, by looking at the account: *steps*, and for the reader the rest.

    *later* are steps that are not part of it; *refused* is why none of it may be done. Parts are
    added in the order in which they are done.
    """

    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    later: tuple[Step, ...] = ()
    refused: tuple[Problem, ...] = ()

    def __add__(self, other: Draft) -> Draft:
        return Draft(
            self.steps + other.steps,
            self.warnings + other.warnings,
            self.unchecked + other.unchecked,
            self.later + other.later,
            self.refused + other.refused,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What *identity* will do so that *desired* is there; *principal* is its ARN.

    *warnings* are about what stays as it is, *unchecked* about what nobody can tell. *key* is None
    for a role, and without a delivery. *later* are steps that are not part of the plan. *refused*
    is why it cannot be applied as it is. *foreseen* is what follows from it elsewhere, *unforeseen*
    what could not be looked at for that.
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
        """Raise RefusedError where the plan cannot be applied as it is."""
        if self.refused:
            remedies = dict.fromkeys(each.remedy for each in self.refused if each.remedy)
            raise RefusedError(
                "; ".join(each.message for each in self.refused),
                remedy="; ".join(remedies) or None,
            )

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps with that of the access key, in the order they are done."""
        return (*self.steps, key_step(self.key)) if self.key else self.steps

    @property
    def changes(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.all_steps if step.changes)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done: the steps, and the id of the key that is in the store now."""

    principal: str
    done: tuple[Step, ...]
    key_id: str | None = None


def key_step(key: KeyPlan) -> Step:
    """Return what *key* says as a step; its calls are made by the delivery."""
    mark: Mark = "create" if key.action == "create" else "change" if key.changes else "keep"
    lines = [f"delivered to `{key.store}`, private (0600)"] if key.action != "keep" else []
    if key.action == "finish":
        lines.append("made by an interrupted run, which is finished now")
    elif key.unfinished:
        lines.append("what an interrupted run left is cleaned up")
    lines += [f"- `{orphan}`: its secret was lost, it is deleted" for orphan in key.orphans]
    if key.room:
        lines.append(f"- `{key.room}`: inactive, it is deleted to make room for the new one")
    lines += key.words
    return Step(mark, "access key", key.key_id or f"of {key.user}", tuple(lines))
