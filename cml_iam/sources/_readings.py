"""A policy of a file as JSON; what the file leaves open is reported, never guessed for a proof.

CloudFormation's functions are evaluated as far as the template alone determines their results.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from cml_iam.errors import DocumentError, Problem, UnsupportedError
from cml_iam.facts import DOMAINS, first_region
from cml_iam.located import Located, Path, Span, parse_json
from cml_iam.policy import PolicyDocument, build_policy, grammar_problems, scalar_text
from cml_iam.sources._kept import Kept, Reading, Subject

Pieces = tuple[str | None, ...]
"""A text in pieces; None represents a piece that the template leaves open."""

_OPEN: Final[Pieces] = (None,)
_LONGEST: Final = 1 << 16
"""The maximum number of characters, because nested references could make a text endless."""

_VARIABLE: Final = re.compile(r"\$\{(!?)([^{}]*)\}")
_RESOLVED: Final = re.compile(r"\{\{resolve:[^{}]*\}\}")
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html"""

_ACCOUNTS: Final = ("111122223333", "444455556666", "777788889999", "123456789012")
_TEXTS: Final = {
    "Action": 1,
    "NotAction": 1,
    "Resource": 1,
    "NotResource": 1,
    "Sid": 1,
    "Principal": 2,
    "NotPrincipal": 2,
    "Condition": 3,
}
"""The elements of a statement, and the depth at which they contain texts."""

_UNNAMED: Final = "left-open"
"""A text that does not occur in any policy."""

_AS_DEPLOYED: Final = (
    "pass parameter values with --parameter NAME=VALUE, or the deployed policy as JSON"
)
_SITE: Final = (
    "name a site file with --site: its account and partition replace AWS::AccountId and "
    "AWS::Partition"
)


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
    return function(value) == ("Ref", "AWS::NoValue")


def map_key(*steps: str) -> str:
    """Return the name under which a value of the template's `Mappings` is stored."""
    return "/".join(("Fn::FindInMap", *steps))


def _pieces(value: Any, known: Mapping[str, str]) -> Pieces:
    """Return the text of *value*: a scalar, or a function of what is *known*."""
    called = function(value)
    if called is None:
        return _OPEN if isinstance(value, dict | list) else _literal(scalar_text(value))
    name, argument = called
    if name == "Ref":
        return (known.get(argument) if isinstance(argument, str) else None,)
    if name == "Fn::Sub":
        text, own = argument if _has_length(argument, 2) else (argument, {})
        return _sub(text, own, known)
    count, evaluate = _FUNCTIONS.get(name, (0, None))
    return evaluate(*argument, known) if evaluate and _has_length(argument, count) else _OPEN


def _has_length(argument: Any, count: int) -> bool:
    return isinstance(argument, list) and len(argument) == count


def _text(value: Any, known: Mapping[str, str]) -> str | None:
    pieces = _pieces(value, known)
    return None if None in pieces else "".join(map(str, pieces))


def _literal(text: str) -> Pieces:
    parts = _RESOLVED.split(text)
    return tuple(piece for part in parts for piece in (part, None))[:-1]


def _joined(parts: Iterable[Pieces]) -> Pieces:
    """Join *parts*, up to a length that no policy element reaches."""
    whole: list[str | None] = []
    size = 0
    for pieces in parts:
        size += sum(1 + len(piece or "") for piece in pieces)
        if size > _LONGEST:
            return _OPEN
        whole += pieces
    return tuple(whole)


def _sub(text: Any, own: Any, known: Mapping[str, str]) -> Pieces:
    if not isinstance(text, str) or not isinstance(own, dict):
        return _OPEN
    values = {name: _pieces(value, known) for name, value in own.items()}

    def parts() -> Iterator[Pieces]:
        end = 0
        for match in _VARIABLE.finditer(text):
            yield _literal(text[end : match.start()])
            if match[1]:
                yield ("${" + match[2] + "}",)
            else:
                yield values.get(match[2]) or (known.get(match[2]),)
            end = match.end()
        yield _literal(text[end:])

    return _joined(parts())


def _join(by: Any, items: Any, known: Mapping[str, str]) -> Pieces:
    if not isinstance(by, str) or not isinstance(items, list):
        return _OPEN
    parts = (part for item in items for part in ((by,), _pieces(item, known)))
    return _joined(islice(parts, 1, None))


def _find_in_map(*arguments: Any) -> Pieces:
    *steps, known = arguments
    names = [_text(step, known) for step in steps]
    return _OPEN if None in names else (known.get(map_key(*map(str, names))),)


def _select(index: Any, items: Any, known: Mapping[str, str]) -> Pieces:
    """Return an element of a literal list, or of a text that is split."""
    at = _text(index, known)
    if called := function(items):
        items = _split(called[1], known) if called[0] == "Fn::Split" else None
    if not isinstance(items, list) or not at or not at.isdecimal() or int(at) >= len(items):
        return _OPEN
    return _pieces(items[int(at)], known)


def _split(argument: Any, known: Mapping[str, str]) -> list[str] | None:
    if not _has_length(argument, 2) or not argument[0]:
        return None
    whole = _text(argument[1], known)
    return None if whole is None else whole.split(str(argument[0]))


_FUNCTIONS: Final[dict[str, tuple[int, Callable[..., Pieces]]]] = {
    "Fn::Join": (2, _join),
    "Fn::Select": (2, _select),
    "Fn::FindInMap": (3, _find_in_map),
}
"""Functions by name: how many arguments they have, and their result."""


class _StructureError(Exception):
    """The file leaves the existence or the effect of a statement open."""


def pseudo_of(account: str, partition: str) -> dict[str, str]:
    """Return the pseudo parameters that are the same for every stack of an account."""
    return {
        "AWS::AccountId": account,
        "AWS::Partition": partition,
        "AWS::URLSuffix": DOMAINS[partition],
    }


def subject_of(
    kept: Kept,
    known: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] = MappingProxyType({}),
) -> Subject:
    """Return *kept* as a subject for lint; *known* are pseudo parameters, the site's if any.

    *parameters* are the values of the template's own. An unknown account is replaced by one that
    the policy does not name, so findings are true of any account. Never raises an error.
    """
    values = {**kept.known, **parameters, **(known or pseudo_of(_account(kept), "aws"))}
    values.setdefault("AWS::Region", first_region(values["AWS::Partition"]))
    start = kept.written.place()
    wide = _Fill(kept, values, wide=True)
    try:
        filled = [wide.fill()]
        if wide.open:
            filled.append(_Fill(kept, values, wide=False).fill())
    except _StructureError as error:
        return Subject(kept.name, kept.kind, (), error.args, start)
    return Subject(kept.name, kept.kind, tuple(map(_reading, filled)), tuple(wide.open), start)


def document_of(kept: Kept, known: Mapping[str, str]) -> PolicyDocument:
    """Return *kept* as a document whose statements know their places in the file.

    Raises UnsupportedError if an open value is not *known*, and DocumentError for grammar errors.
    """
    fill = _Fill(kept, {**kept.known, **known}, wide=True)
    try:
        located = fill.fill()
    except _StructureError as error:
        fill.open[:] = error.args
    if fill.open:
        lines = "; ".join(map(str, fill.open))
        remedy = _AS_DEPLOYED if known else f"{_SITE}; or {_AS_DEPLOYED}"
        raise UnsupportedError(f"`{kept.name}` has open parts: {lines}", remedy=remedy)
    problems = grammar_problems(located)
    if problems:
        raise DocumentError(problems)
    return replace(build_policy(located), name=kept.name)


def _account(kept: Kept) -> str:
    written = json.dumps(kept.written.value)
    return next((account for account in _ACCOUNTS if account not in written), "555566667777")


@dataclass(slots=True)
class _Fill:
    """One traversal of a policy; with *wide*, open values can be anything."""

    kept: Kept
    known: Mapping[str, str]
    wide: bool
    values: dict[Path, Span] = field(default_factory=dict)
    names: dict[Path, Span] = field(default_factory=dict)
    open: list[Problem] = field(default_factory=list)

    def fill(self) -> Located:
        written = self.kept.written
        if not self.kept.template:
            return written
        value = self._value(written.value, (), ())
        self.values.setdefault((), written.values[()])
        return Located(value, written.source, self.values, self.names)

    def _value(self, raw: Any, at: Path, to: Path) -> Any:
        """Return *raw*, which is located *at* this path, in the form for the path *to*."""
        if at in self.kept.written.values:
            self.values[to] = self.kept.written.values[at]
        if called := function(raw):
            return self._text(called[0], raw, at)
        if isinstance(raw, dict):
            return self._members(raw, at, to)
        if isinstance(raw, list):
            present = [(n, item) for n, item in enumerate(raw) if not is_absent(item)]
            return [self._value(item, (*at, n), (*to, m)) for m, (n, item) in enumerate(present)]
        return self._text("a dynamic reference", raw, at) if isinstance(raw, str) else raw

    def _members(self, raw: dict[str, Any], at: Path, to: Path) -> dict[str, Any]:
        members = {}
        for name, member in raw.items():
            here = (*at, name)
            if is_absent(member):
                continue
            if _is_label(here) and _text(member, self.known) is None:
                continue  # it decides nothing
            before = len(self.open)
            members[name] = self._value(member, here, (*to, name))
            if self.wide and len(self.open) > before and _is_key(at):
                del members[name]  # without the condition, the statement holds for anything
            elif here in self.kept.written.names:
                self.names[*to, name] = self.kept.written.names[here]
        return members

    def _text(self, called: str, raw: Any, at: Path) -> str:
        parts = _pieces(raw, self.known)
        if None not in parts:
            return "".join(map(str, parts))
        element = _element(at)
        cause = f"`{called}`" if called[0] in "RF" else called
        shown = _with(parts, "…")
        where = f" in `{shown}`" if shown != "…" else ""
        message = f"{cause} leaves `{element or 'Statement'}` open{where}: not judged"
        problem = Problem(message, self.kept.written.place(at))
        if element is None:
            raise _StructureError(problem)
        self.open.append(problem)
        if self.wide and parts[0] is None:
            return "*"  # even what kind of name it is, is open
        return _with(parts, "*" if self.wide else _UNNAMED)


def _with(parts: Pieces, hole: str) -> str:
    return "".join(hole if part is None else part for part in parts)


def _inside(at: Path) -> Path:
    if at[:1] != ("Statement",):
        return ()
    return at[2:] if at[1:] and isinstance(at[1], int) else at[1:]


def _element(at: Path) -> str | None:
    if _is_label(at):
        return str(at[-1])
    inside = _inside(at)
    name = str(inside[0]) if inside else ""
    return name if len(inside) >= _TEXTS.get(name, 99) else None


def _is_label(at: Path) -> bool:
    """Return whether the text *at* this path only names the document, or a statement."""
    return at == ("Id",) or _inside(at) == ("Sid",)


def _is_key(at: Path) -> bool:
    """Return whether the members *at* this path are the condition keys of an operator."""
    inside = _inside(at)
    return inside[:1] == ("Condition",) and len(inside) == _TEXTS["Condition"] - 1


def _reading(located: Located) -> Reading:
    text = json.dumps(located.value, indent=1, ensure_ascii=False)
    try:
        parsed = parse_json(text)
    except DocumentError:
        return Reading(text)  # nested too deep, as lint says
    places = {}
    for spans, place in ((parsed.values, located.place), (parsed.names, located.name_place)):
        for path, span in spans.items():
            written = parsed.source.place(span.start)
            places[written.line, written.column] = place(path)
    return Reading(text, places)
