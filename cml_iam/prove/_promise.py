"""What a promise is, and conditions taken together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cml_iam.facts import Assumption
from cml_iam.policy import PolicyDocument
from cml_iam.restrict import TAGGING, Conditions, Tag
from cml_iam.space import Shape

Manner = Literal["never", "within", "taken over", "lost"]


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that must hold of all requests, or of all sequences of them.

    *manner* says how it is asked: none of *shapes* is `never` allowed; the policies grant nothing
    but what *reference* does (`within`; *shapes* are what it does not); none of the resources of
    the one shape that do not carry *tag* meets its actions, in any number of steps (`taken over`);
    none of them loses it (`lost`).
    *closing* are conditions that close a statement by which it is broken. *limits* say what no
    policy can promise here, because no request tells.
    """

    id: str
    title: str
    manner: Manner
    shapes: tuple[Shape, ...] = ()
    reference: PolicyDocument | None = None
    tag: Tag | None = None
    closing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    limits: tuple[Assumption, ...] = ()

    @property
    def covers(self) -> tuple[str, ...]:
        """The actions it is about; empty for every action there is.

        What other actions do is a matter of the promise `catalogue`: as long as that holds there
        are none, and this one is about everything.
        """
        if self.reference is not None or any(s.not_actions is not None for s in self.shapes):
            return ()
        named = [action for shape in self.shapes for action in shape.actions]
        named += TAGGING if self.manner == "taken over" else ()
        return () if "*" in named else tuple(dict.fromkeys(named))


def merged(*conditions: Mapping[str, Mapping[str, Any]]) -> Conditions:
    """Return all of *conditions* as one.

    What tests a key under an operator once more is said in other letters, whose case is free.
    """
    made: Conditions = {}
    for each in conditions:
        for operator, block in each.items():
            for key, values in block.items():
                name = operator
                while made.get(name, {}).get(key, values) != values:
                    name = _in_other_letters(name)
                made.setdefault(name, {})[key] = values
    return made


def _in_other_letters(name: str) -> str:
    """Return *name* in the next choice of upper and lower case, as binary numbers are counted."""
    at = next((n for n, char in enumerate(name) if char.islower()), len(name))
    return name[:at].lower() + name[at : at + 1].upper() + name[at + 1 :]
