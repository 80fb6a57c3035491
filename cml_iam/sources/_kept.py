"""Where files hold policies; these as written there, and what the file leaves open."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from cml_iam.errors import Place, Problem
from cml_iam.files import shipped_text
from cml_iam.located import Located, Path, parse_json
from cml_iam.located import Source as Text

Hint = Literal["identity", "resource", "trust", "scp"]
"""The kind of a policy, according to the file that contains it."""


class Kept(NamedTuple):
    """A policy in *file*: *label* is its name there, *written* its content.

    *template* says that CloudFormation functions may occur in it, and *known* are the values of
    `Mappings`, by `map_key`.
    """

    file: str
    label: str
    kind: Hint | None
    written: Located
    template: bool = False
    known: Mapping[str, str] = MappingProxyType({})

    @property
    def name(self) -> str:
        """The name of the policy: `template.yaml: Resources.ManagerPolicy`."""
        return f"{self.file}: {self.label}" if self.label else self.file


class Source(NamedTuple):
    """A file, its *form* in words, and *unread*: what may be a policy but cannot be read.

    If the file contains no policy, *form* says so.
    """

    form: str
    policies: tuple[Kept, ...] = ()
    unread: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, form: str, contents: Iterable[Kept | Problem]) -> Source:
        """Return a file of this *form*, with its policies and the problems with others."""
        policies: list[Kept] = []
        unread: list[Problem] = []
        for part in contents:
            if isinstance(part, Kept):
                policies.append(part)
            else:
                unread.append(part)
        without = "" if policies or unread else " without a policy"
        return cls(f"{form}{without}", tuple(policies), tuple(unread))


class Reading(NamedTuple):
    """A policy as JSON *text*, with the place in the file for each place in the text."""

    text: str
    places: Mapping[tuple[int, int], Place] = MappingProxyType({})


class Subject(NamedTuple):
    """A policy to judge: its *name*, its *readings*, and what remains *open*.

    If a value is open, there are two readings, with any value and with one that nothing else names:
    what holds in both does not depend on it. If the structure is open, there is none. *start* is
    where the policy begins, unless it is a file of its own.
    """

    name: str
    kind: Hint | None
    readings: tuple[Reading, ...]
    open: tuple[Problem, ...] = ()
    start: Place | None = None

    def place(self, place: Place, reading: Reading) -> Place:
        """Return the place in the file for *place* in the text of *reading*."""
        if self.start is None:
            return place
        return reading.places.get((place.line, place.column), self.start)


def plain_subject(name: str, text: str) -> Subject:
    """Return a file that contains only a JSON policy."""
    return Subject(name, None, (Reading(text),))


@dataclass(frozen=True, slots=True)
class Address(Text):
    """A text without its own lines in its file; its name is the place of everything in it."""

    def place(self, offset: int) -> Place:  # noqa: ARG002 - the same for all
        """Return the name alone."""
        return Place(self.name, 0, 0)


def text_policy(text: str, name: str) -> Located:
    """Return the policy in a JSON text inside a file; raises DocumentError."""
    inner = parse_json(text, name)
    return replace(inner, source=Address(name, inner.source.text))


def within(located: Located, path: Path) -> Located:
    """Return the value at *path* of a document as a document of its own, with the same places."""
    value = located.value
    for step in path:
        value = value[step]
    inner = list(_paths(value, ()))
    spans = (
        {at: table[*path, *at] for at in inner if (*path, *at) in table}
        for table in (located.values, located.names)
    )
    return Located(value, located.source, *spans)


def _paths(value: Any, at: Path) -> Iterator[Path]:
    yield at
    for step, member in members(value):
        yield from _paths(member, (*at, step))


def members(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the members of an object or the elements of a list, each with its name or index."""
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


_ELEMENTS: Final = ("Effect", "Action", "NotAction", "Resource", "NotResource")
"""Elements of a policy statement; even a faulty statement has at least one of them."""

_LOOKS: Final = re.compile(
    r"\s*[\[{](?=.*(\b(Statement|Effect|NotAction)\b|20(12-10|08-10)-17))", re.S
)
_CONTROLS: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")


@dataclass(frozen=True, slots=True)
class Places:
    """The places of policies in a file form; see `policies/policy-places.toml` for the fields."""

    page: str
    named: tuple[str, ...]
    other: tuple[str, ...]
    skipped: tuple[str, ...]
    attached: tuple[str, ...]
    control: Mapping[str, str]
    unjudged: Mapping[str, str]

    def names(self, kind: str, control: Any) -> frozenset[str]:
        """Return the names of the policies of a resource of the type *kind*.

        *control* is the type of a policy of AWS Organizations.
        """
        if kind == self.control["type"]:
            return frozenset({self.control["content"]} if control in _CONTROLS else ())
        if kind == self.control["resource"]:
            return frozenset({self.control["content"]})
        return frozenset(() if kind.startswith(self.other) else self.named)

    def purpose(self, kind: str, control: Any) -> Literal["identity", "resource", "scp"] | None:
        """Return the kind of the policies of a resource of the type *kind*; None if unknown."""
        if kind == self.control["type"]:
            return "scp" if control == _CONTROLS[0] else None
        return "identity" if kind.startswith(self.attached) else "resource"

    def why_unjudged(self, kind: str) -> str | None:
        """Return the name of the policies of the type *kind*, if there are no rules for them."""
        return next((why for types, why in self.unjudged.items() if kind.startswith(types)), None)


@cache
def places(form: Literal["cloudformation", "terraform"]) -> Places:
    """Return the places of policies in files of a form."""
    row: dict[str, Any] = tomllib.loads(shipped_text("policies", "policy-places.toml"))[form]
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list)}
    return Places(**row | lists)


def is_document(value: Any) -> bool:
    """Return whether *value* is a policy document; rules of AWS WAF also have a `Statement`."""
    statements = value.get("Statement") if isinstance(value, dict) else None
    if statements is None:
        return False
    return "Version" in value or any(
        isinstance(statement, dict) and not statement.keys().isdisjoint(_ELEMENTS)
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def looks_like_policy(text: str) -> bool:
    """Return whether *text* is probably intended as a policy in JSON, even if unreadable."""
    return _LOOKS.match(text) is not None
