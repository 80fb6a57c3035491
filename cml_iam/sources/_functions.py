"""CloudFormation's functions, as far as the template alone determines their results.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from cml_iam.policy import scalar_text

if TYPE_CHECKING:
    from collections.abc import Mapping

Pieces = tuple[str | None, ...]
"""A text in pieces; None represents a piece that the template leaves open."""

OPEN: Final[Pieces] = (None,)
NO_VALUE: Final = "AWS::NoValue"
_LONGEST: Final = 1 << 16
"""The maximum number of characters, because nested references could make a text endless."""

_VARIABLE: Final = re.compile(r"\$\{(!?)([^{}]*)\}")
_RESOLVED: Final = re.compile(r"\{\{resolve:[^{}]*\}\}")
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html"""


def function(value: Any) -> tuple[str, Any] | None:
    """Return the full name and the argument of the function in *value*; None if it is not one."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    ((name, argument),) = value.items()
    if name.startswith("!"):
        name = name[1:] if name in ("!Ref", "!Condition") else f"Fn::{name[1:]}"
        return name, argument
    return (name, argument) if name == "Ref" or name.startswith("Fn::") else None


def is_absent(value: Any) -> bool:
    """Return whether *value* means "no value": `!Ref AWS::NoValue`."""
    return function(value) == ("Ref", NO_VALUE)


def pieces(value: Any, known: Mapping[str, str]) -> Pieces:
    """Return the text of *value*: a scalar, or a function of what is *known*."""
    called = function(value)
    if called is None:
        if isinstance(value, dict | list):
            return OPEN
        return _literal(scalar_text(value))
    name, argument = called
    if name == "Ref":
        return (known.get(argument) if isinstance(argument, str) else None,)
    if name == "Fn::Sub":
        return _sub(argument, known)
    if name == "Fn::Join":
        return _join(argument, known)
    if name == "Fn::Select":
        return _select(argument, known)
    if name == "Fn::FindInMap":
        return _find_in_map(argument, known)
    return OPEN


def map_key(*steps: str) -> str:
    """Return the name under which a value of the template's `Mappings` is stored."""
    return "/".join(("Fn::FindInMap", *steps))


def _find_in_map(argument: Any, known: Mapping[str, str]) -> Pieces:
    if not (isinstance(argument, list) and len(argument) == 3):
        return OPEN
    steps = [pieces(each, known) for each in argument]
    if any(None in step for step in steps):
        return OPEN
    return (known.get(map_key(*("".join(map(str, step)) for step in steps))),)


def _select(argument: Any, known: Mapping[str, str]) -> Pieces:
    """Return an element of a literal list, or of a text that is split."""
    if not (isinstance(argument, list) and len(argument) == 2):
        return OPEN
    index, items = "".join(map(str, pieces(argument[0], known))), argument[1]
    if called := function(items):
        items = _split(called[1], known) if called[0] == "Fn::Split" else None
    if not isinstance(items, list) or not index.isdecimal() or int(index) >= len(items):
        return OPEN
    return pieces(items[int(index)], known)


def _split(argument: Any, known: Mapping[str, str]) -> list[str] | None:
    if not (isinstance(argument, list) and len(argument) == 2 and argument[0]):
        return None
    whole = pieces(argument[1], known)
    return None if None in whole else "".join(map(str, whole)).split(str(argument[0]))


def _literal(text: str) -> Pieces:
    parts = _RESOLVED.split(text)
    return tuple(piece for part in parts for piece in (part, None))[:-1]


def _sub(argument: Any, known: Mapping[str, str]) -> Pieces:
    text, own = argument, {}
    if isinstance(argument, list) and len(argument) == 2:
        text, own = argument
    if not isinstance(text, str) or not isinstance(own, dict):
        return OPEN
    values = {name: pieces(value, known) for name, value in own.items()}
    parts = _Parts()
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.add(_literal(text[end : match.start()]))
        if match[1]:
            parts.add(("${" + match[2] + "}",))
        else:
            parts.add(values.get(match[2]) or (known.get(match[2]),))
        end = match.end()
    parts.add(_literal(text[end:]))
    return parts.whole


def _join(argument: Any, known: Mapping[str, str]) -> Pieces:
    if not (isinstance(argument, list) and len(argument) == 2):
        return OPEN
    by, items = argument
    if not isinstance(by, str) or not isinstance(items, list):
        return OPEN
    parts = _Parts()
    for number, item in enumerate(items):
        parts.add((by,) if number else ())
        parts.add(pieces(item, known))
    return parts.whole


@dataclass(slots=True)
class _Parts:
    """Pieces joined together, up to a length that no policy element reaches."""

    found: list[str | None] = field(default_factory=list)
    size: int = 0

    def add(self, more: Pieces) -> None:
        if self.size <= _LONGEST:
            self.size += sum(1 + len(each or "") for each in more)
            self.found += more

    @property
    def whole(self) -> Pieces:
        return tuple(self.found) if self.size <= _LONGEST else OPEN
