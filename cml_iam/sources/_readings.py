"""A policy of a file as JSON; what the file leaves open is reported, never guessed for a proof."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cml_iam.errors import DocumentError, Problem, UnsupportedError
from cml_iam.facts import DOMAINS, first_region
from cml_iam.located import Located, parse_json
from cml_iam.policy import build_policy, grammar_problems
from cml_iam.sources._functions import function, is_absent, pieces
from cml_iam.sources._kept import Kept, Reading, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cml_iam.located import Path, Span
    from cml_iam.policy import PolicyDocument

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

    *parameters* are the values of the template's parameters. An unknown account is replaced by one
    that the policy does not name, so findings are true of any account. The region is one of the
    partition. Never raises an error.
    """
    values = {**kept.known, **parameters, **(known or pseudo_of(_account(kept), "aws"))}
    values.setdefault("AWS::Region", first_region(values["AWS::Partition"]))
    start = kept.written.place()
    try:
        wide = _Fill(kept, values, wide=True).fill()
        readings = [wide]
        if wide.open:
            readings.append(_Fill(kept, values, wide=False).fill())
    except _StructureError as error:
        return Subject(kept.name, kept.kind, (), error.args, start)
    written = tuple(map(_written, readings))
    return Subject(kept.name, kept.kind, written, tuple(wide.open), start)


def document_of(kept: Kept, known: Mapping[str, str]) -> PolicyDocument:
    """Return *kept* as a document whose statements know their places in the file.

    Raises UnsupportedError if an open value is not *known*, and DocumentError for grammar errors.
    """
    try:
        filled = _Fill(kept, {**kept.known, **known}, wide=True).fill()
        left = tuple(filled.open)
    except _StructureError as error:
        left = error.args
    if left:
        lines = "; ".join(str(problem) for problem in left)
        remedy = _AS_DEPLOYED if known else f"{_SITE}; or {_AS_DEPLOYED}"
        raise UnsupportedError(f"`{kept.name}` has open parts: {lines}", remedy=remedy)
    problems = grammar_problems(filled.located)
    if problems:
        raise DocumentError(problems)
    return replace(build_policy(filled.located), name=kept.name)


def _account(kept: Kept) -> str:
    written = json.dumps(kept.written.value)
    return next((account for account in _ACCOUNTS if account not in written), "555566667777")


@dataclass(frozen=True, slots=True)
class _Filled:
    located: Located
    open: list[Problem]


@dataclass(slots=True)
class _Fill:
    """One traversal of a policy; with *wide*, open values can be anything."""

    kept: Kept
    known: Mapping[str, str]
    wide: bool
    values: dict[Path, Span] = field(default_factory=dict)
    names: dict[Path, Span] = field(default_factory=dict)
    open: list[Problem] = field(default_factory=list)

    def fill(self) -> _Filled:
        written = self.kept.written
        value = self._value(written.value, (), ()) if self.kept.template else written.value
        if not self.kept.template:
            return _Filled(written, [])
        self.values.setdefault((), written.values[()])
        return _Filled(Located(value, written.source, self.values, self.names), self.open)

    def _value(self, raw: Any, at: Path, to: Path) -> Any:
        """Return *raw*, which is located *at* this path, in the form for the path *to*."""
        if at in self.kept.written.values:
            self.values[to] = self.kept.written.values[at]
        if called := function(raw):
            return self._text(called[0], raw, at)
        if isinstance(raw, dict):
            return self._members(raw, at, to)
        if isinstance(raw, list):
            kept = [(n, each) for n, each in enumerate(raw) if not is_absent(each)]
            return [self._value(each, (*at, n), (*to, m)) for m, (n, each) in enumerate(kept)]
        return self._text("a dynamic reference", raw, at) if isinstance(raw, str) else raw

    def _members(self, raw: dict[str, Any], at: Path, to: Path) -> dict[str, Any]:
        members = {}
        for name, each in raw.items():
            if is_absent(each):
                continue
            if _is_label((*at, name)) and None in pieces(each, self.known):
                continue  # it decides nothing
            before = len(self.open)
            members[name] = self._value(each, (*at, name), (*to, name))
            if self.wide and len(self.open) > before and _is_key(at):
                del members[name]  # without the condition, the statement holds for anything
                continue
            if (*at, name) in self.kept.written.names:
                self.names[*to, name] = self.kept.written.names[*at, name]
        return members

    def _text(self, called: str, raw: Any, at: Path) -> str:
        parts = pieces(raw, self.known)
        if None not in parts:
            return "".join(map(str, parts))
        element = _element(at)
        place = self.kept.written.place(at)
        what = f"`{called}`" if called[0] in "RF" else called
        shown = "".join("…" if part is None else part for part in parts)
        where = f" in `{shown}`" if shown != "…" else ""
        message = f"{what} leaves `{element or 'Statement'}` open{where}: not judged"
        problem = Problem(message, place)
        if element is None:
            raise _StructureError(problem)
        self.open.append(problem)
        if self.wide and parts[0] is None:
            return "*"  # even what kind of name it is, is open
        hole = "*" if self.wide else _UNNAMED
        return "".join(hole if part is None else part for part in parts)


def _inside(at: Path) -> Path:
    """Return the part of the path *at* within one statement."""
    if at[:1] != ("Statement",):
        return ()
    return at[2:] if at[1:] and isinstance(at[1], int) else at[1:]


def _element(at: Path) -> str | None:
    """Return the element that contains a text *at* this path, or None."""
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


def _written(filled: _Filled) -> Reading:
    text = json.dumps(filled.located.value, indent=1, ensure_ascii=False)
    try:
        parsed = parse_json(text)
    except DocumentError:
        return Reading(text)  # nested too deep, as lint says
    places = {}
    for path, span in parsed.values.items():
        places[span.start] = filled.located.place(path)
    for path, span in parsed.names.items():
        places[span.start] = filled.located.name_place(path)
    where = {at: parsed.source.place(at) for at in places}
    return Reading(text, {(where[at].line, where[at].column): places[at] for at in places})
