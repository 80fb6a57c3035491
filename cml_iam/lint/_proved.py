"""What is proved of tags as gates, and of rights that let their holder take any other.

A sample that misses costs a finding. So where it is proved that a tag can neither be given nor
taken away, nothing is searched for; and where samples find nothing although it is not proved, the
proof's own witness is the finding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from cml_iam import facts
from cml_iam.facts import same_key
from cml_iam.lint._conditions import parse_operator
from cml_iam.lint._sample import concerning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cml_iam.engine import Request
    from cml_iam.facts import Action, Target
    from cml_iam.lint._subject import Subject
    from cml_iam.policy import Condition, PolicyDocument, Statement
    from cml_iam.prove import Policies, Shape, TagTest

OPERATORS: Final = {
    "stringequals": ("StringEquals", "StringNotEquals"),
    "stringlike": ("StringLike", "StringNotLike"),
    "stringequalsignorecase": ("StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase"),
}
"""Operators of gates by their base without `not`: as they hold, and as they fail."""

WHO: Final = ("aws:principal", "aws:userid", "aws:username", "aws:federatedprovider")
"""Beginnings of keys that say who asks: the same for every request of one caller."""

OF_RESOURCE: Final = ("aws:resourcetag/", "iam:resourcetag/", "iam:permissionsboundary")
"""Beginnings of keys that say what the resource has: one that nobody prepared has none of it."""


@dataclass(frozen=True)
class TagProof:
    """Questions about the tag that *condition* asks for, on resources of the types of *targets*."""

    subject: Subject
    condition: Condition
    actions: tuple[Action, ...]
    targets: tuple[Target, ...]

    @property
    def test(self) -> TagTest:
        """What the condition demands of the tag; where it is a Deny's, what that lets through."""
        from cml_iam.prove import TagTest

        op = parse_operator(self.condition.operator)
        holds, fails = OPERATORS[op.base.replace("not", "", 1) if op else ""]
        key = self.condition.key.partition("/")[2]
        return TagTest(key, tuple(self.condition.values), holds, fails)

    @property
    def resources(self) -> tuple[str, ...]:
        """The ARNs of the resources behind the gate, as patterns."""
        return tuple(dict.fromkeys(":".join(arn) for each in self.targets for arn in each.arns))

    def never_given(self) -> bool:
        """Say whether it is proved that no call gives a resource the tag."""
        from cml_iam.prove import giving

        return self._never([giving(self.test, self.resources)])

    def never_taken(self) -> bool:
        """Say whether it is proved that no call takes the tag from a resource."""
        from cml_iam.prove import taking_away

        return self._never(taking_away(self.test, self.resources, exact=True))

    def way_in(self, value: str) -> tuple[Request, ...]:
        """Return calls that set the tag to *value* on a resource without it, and then use it."""
        from cml_iam.prove import taken_over
        from cml_iam.site import Tag

        behind = self._behind()
        reached = taken_over(_policies(self.subject), Tag(self.test.key, value), behind)
        calls = tuple(each.request for each in reached.calls)
        return calls if len(calls) > 1 else ()

    def way_out(self) -> tuple[Request, ...]:
        """Return a call to what has the tag, and one that takes the tag from it."""
        for wipe in self._wipes(self.resources):
            opened = self._opened((wipe.resource,))
            if opened:
                return _agreeing(opened, wipe)
        opened = self._opened(self.resources)
        wipes = self._wipes((opened.resource,)) if opened else iter(())
        return next((_agreeing(opened, each) for each in wipes if opened), ())

    def _wipes(self, resources: tuple[str, ...]) -> Iterator[Request]:
        from cml_iam.prove import taking_away

        for shape in taking_away(self.test, resources, exact=True):
            request = _witness(self.subject, shape)
            if request:
                yield request

    def _opened(self, resources: tuple[str, ...]) -> Request | None:
        shape = replace(self._behind(), resources=resources, conditions=self.test.carried)
        return _witness(self.subject, shape)

    def _never(self, shapes: Iterable[Shape]) -> bool:
        """Say whether none of *shapes* is ever allowed; several statements have the same gate."""
        from cml_iam.prove import never

        shapes = tuple(shapes)
        key = ("never", repr(shapes))
        if key not in self.subject.found:
            policies = _about_tags(self.subject)
            self.subject.found[key] = all(never(policies, each).holds for each in shapes)
        return bool(self.subject.found[key])

    def _behind(self) -> Shape:
        from cml_iam.prove import Shape

        return Shape(tuple(each.full for each in self.actions), self.resources)


def allowed_somehow(
    subject: Subject, action: str, resource: str, context: Mapping[str, Any]
) -> Request | None:
    """Return an allowed request for *action* on *resource*, whatever its context, or None.

    The resource carries no tag and no boundary. Keys of *context* have the value they have there,
    if the documents test them or they say who asks.
    """
    from cml_iam.prove import Shape

    absent: dict[str, str] = {}
    values = {same_key(key): value for key, value in context.items()}
    given = {key: value for key, value in context.items() if same_key(key).startswith(WHO)}
    for key in _tested(subject):
        name = same_key(key)
        if name in values and not name.startswith(WHO):
            given[key] = values[name]
        elif name.startswith(OF_RESOURCE):
            absent[key] = "true"
    conditions = {"StringEquals": given, "Null": absent}
    shape = Shape((action,), (resource,), {op: block for op, block in conditions.items() if block})
    return _witness(subject, shape)


def _tested(subject: Subject) -> Iterator[str]:
    """Yield the keys that the documents test, each in one spelling."""
    keys = (each.key for item in subject.items for each in item.statement.conditions)
    yield from {same_key(key): key for key in keys}.values()


def _witness(subject: Subject, shape: Shape) -> Request | None:
    from cml_iam.prove import never

    witness = never(_policies(subject), shape).witness
    return witness.request if witness and not witness.unlisted else None


def _agreeing(*calls: Request) -> tuple[Request, ...]:
    """Return *calls* if one caller can make them all of one resource."""
    from cml_iam.prove import changing_key

    return () if changing_key(calls) else calls


def _about_tags(subject: Subject) -> Policies:
    """Return the statements about calls that change tags: no other decides these."""
    from cml_iam.prove import Policies

    if "about tags" not in subject.found:
        about = {id(each.statement) for each in concerning(subject, *tag_actions())}
        subject.found["about tags"] = Policies(
            tuple(
                replace(whole, statements=_chosen(document, whole, about))
                for document, whole in zip(subject.documents, subject.of_principal, strict=True)
            )
        )
    found: Policies = subject.found["about tags"]
    return found


def _chosen(
    document: PolicyDocument, whole: PolicyDocument, chosen: set[int]
) -> tuple[Statement, ...]:
    """Return those statements of *whole* that in *document* are among *chosen*, by identity."""
    both = zip(document.statements, whole.statements, strict=True)
    return tuple(said for written, said in both if id(written) in chosen)


def tag_actions() -> list[Action]:
    """Return the actions that set and remove tags."""
    ec2 = facts.service("ec2")
    found = [ec2.action("CreateTags"), ec2.action("DeleteTags")] if ec2 else []
    return [each for each in found if each]


def _policies(subject: Subject) -> Policies:
    from cml_iam.prove import Policies

    return Policies(tuple(subject.of_principal))
