"""The calls that give an instance a tag, and that take one away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cml_iam.facts import LATER, TAGGING
from cml_iam.policy import Conditions, merged
from cml_iam.space import Shape

if TYPE_CHECKING:
    from cml_iam.site import Tag

CREATE, DELETE = TAGGING
RESOURCE, REQUEST = "aws:ResourceTag/", "aws:RequestTag/"


@dataclass(frozen=True, slots=True)
class TagTest:
    """That the tag *key* has one of *values*: by the operator *holds*; *fails* is its negation."""

    key: str
    values: tuple[str, ...]
    holds: str = "StringEquals"
    fails: str = "StringNotEquals"

    @property
    def carried(self) -> Conditions:
        """It holds of the resource."""
        return {self.holds: {RESOURCE + self.key: self.values}}

    @property
    def missing(self) -> Conditions:
        """It does not hold of the resource."""
        return {self.fails: {RESOURCE + self.key: self.values}}


def taking_over(tag: Tag, operate: Shape) -> tuple[Shape, Shape]:
    """Return those of *operate* without *tag* on the instance, and the calls that give it."""
    test = TagTest(tag.key, (literal(tag.value),))
    return where(operate, test.missing), giving(test, operate.resources)


def giving(test: TagTest, resources: Sequence[str]) -> Shape:
    """Return the calls after which one of *resources* for which *test* failed passes it."""
    given = {test.holds: {REQUEST + test.key: test.values}}
    return Shape((CREATE,), resources, merged(test.missing, given, LATER))


def losing(tag: Tag, instances: Sequence[str]) -> tuple[Shape, ...]:
    """Return the calls after which an instance that carries *tag* carries it no more."""
    return taking_away(TagTest(tag.key, (literal(tag.value),)), instances)


def taking_away(
    test: TagTest, resources: Sequence[str], *, exact: bool = False
) -> tuple[Shape, ...]:
    """Return the calls after which one of *resources* that passed *test* fails it.

    With *exact* those only that name the tag in its own case. To condition keys one in another
    case is the same, though to EC2 it is another tag.
    """
    requested = REQUEST + test.key
    operator = "ForAnyValue:StringEquals" if exact else "ForAnyValue:StringEqualsIgnoreCase"
    named: Conditions = {operator: {"aws:TagKeys": [test.key]}}
    changed: Conditions = {"Null": {requested: "false"}, test.fails: {requested: test.values}}
    ways: tuple[tuple[str, Conditions], ...] = (
        (CREATE, merged(changed, named) if exact else changed),
        (DELETE, named),
        (DELETE, {"Null": {"aws:TagKeys": "true"}}),
    )
    return tuple(
        Shape((action,), resources, merged(test.carried, LATER, conditions))
        for action, conditions in ways
    )


def literal(text: str) -> str:
    """Return *text* as a value in a policy: no policy variable begins in it."""
    return text.replace("${", "${$}{")


def where(shape: Shape, *conditions: Conditions) -> Shape:
    """Return those of *shape* for which *conditions* hold too."""
    return replace(shape, conditions=merged(shape.conditions, *conditions))
