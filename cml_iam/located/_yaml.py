"""YAML with the position of every value.

Plain scalars have their JSON meaning: a date stays a string, as `Version: 2012-10-17` requires, and
so do `yes`, `on` and an account number with a leading zero. A local tag, `!Sub text`, becomes an
object with one member: `{"!Sub": "text"}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from cml_iam.errors import DocumentError, Problem
from cml_iam.located._json import MAX_DEPTH, Located, Path, Source, Span

MOST_YAML: Final = 1 << 20
"""The maximum number of bytes; CloudFormation has the same limit for templates.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
"""

MOST_VALUES: Final = 200_000
"""The maximum number of values in one text after expanding every alias."""

MOST_CHARACTERS: Final = 4 * MOST_YAML
"""The maximum number of characters in all plain values after expanding every alias."""

_MOST_PROBLEMS: Final = 100
"""The maximum number of repeated names that are reported."""

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?")
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}


def parse_yaml(text: str, name: str = "<text>") -> tuple[Located, ...]:
    """Parse every document of *text*, called *name* in messages.

    Raises DocumentError with the place of the first syntax error, or of every repeated name, and
    for a text that is too large, nested too deeply, or expanded too far by aliases.
    """
    import yaml

    source = Source(name, text.removeprefix("\ufeff"))
    if len(source.text.encode("utf-8", "replace")) > MOST_YAML:
        raise source.error(0, f"YAML with more than {MOST_YAML} bytes is not read")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_depth(yaml.parse(source.text, Loader=loader), source)
        roots = list(yaml.compose_all(source.text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise source.error(mark.index if mark else 0, error.problem or str(error)) from None
    except yaml.reader.ReaderError as error:
        raise source.error(0, f"not valid YAML text: {error.reason}") from None
    if not roots:
        raise source.error(0, "the document is empty")
    budget = _Budget()
    return tuple(_Document(source, budget).read(root) for root in roots)


def _refuse_depth(events: Any, source: Source) -> None:
    """Raise DocumentError for deep nesting, which a recursive parser would not survive."""
    depth = 0
    for event in events:
        kind = type(event).__name__
        depth += kind in ("MappingStartEvent", "SequenceStartEvent")
        depth -= kind in ("MappingEndEvent", "SequenceEndEvent")
        if depth > MAX_DEPTH:
            raise source.too_deep(event.start_mark.index)


@dataclass(slots=True)
class _Budget:
    """The values and characters so far, including those from aliases."""

    values: int = 0
    characters: int = 0


@dataclass(slots=True)
class _Document:
    source: Source
    budget: _Budget
    values: dict[Path, Span] = field(default_factory=dict)
    names: dict[Path, Span] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def read(self, root: Any) -> Located:
        value = self._value(root, ())
        if self.problems:
            raise DocumentError(tuple(self.problems))
        return Located(value, self.source, self.values, self.names)

    def _value(self, node: Any, path: Path) -> Any:
        start, budget = node.start_mark.index, self.budget
        budget.values += 1
        budget.characters += len(node.value) if node.id == "scalar" else 0
        for count, most, noun in (
            (budget.values, MOST_VALUES, "values"),
            (budget.characters, MOST_CHARACTERS, "characters"),
        ):
            if count > most:
                message = f"more than {most} {noun}, including those from aliases"
                raise self.source.error(start, message)
        if len(path) > MAX_DEPTH:  # an alias may stand within what it stands for
            raise self.source.too_deep(start)
        self.values[path] = Span(start, node.end_mark.index)
        if node.tag.startswith("!") and node.tag != "!":
            self.values[*path, node.tag] = self.values[path]
            return {node.tag: self._plain(node, (*path, node.tag))}
        return self._plain(node, path)

    def _plain(self, node: Any, path: Path) -> Any:
        if node.id == "mapping":
            return self._mapping(node, path)
        if node.id == "sequence":
            return [self._value(item, (*path, at)) for at, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in node.value:
            start = key.start_mark.index
            if key.id != "scalar":
                raise self.source.error(start, "the name of a member is not text")
            if key.tag == "tag:yaml.org,2002:merge":
                raise self.source.error(start, "`<<` is not supported", "write out the members")
            if key.value in members:
                message = f"`{key.value}` appears twice in one mapping"
                self.problems.append(Problem(message, self.source.place(start)))
                if len(self.problems) == _MOST_PROBLEMS:
                    raise DocumentError(tuple(self.problems))
            self.names[*path, key.value] = Span(start, key.end_mark.index)
            members[key.value] = self._value(value, (*path, key.value))
        return members


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style in ("'", '"', "|", ">") or node.tag.startswith("!"):
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return int(text) if text.lstrip("-").isdigit() else float(text)
    return text
