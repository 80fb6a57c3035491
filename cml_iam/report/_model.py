"""What a report is: a head, and sections of rows, of items or of a grid. Every form prints these.

Text is as it came, whatever it holds; each printer makes it safe for its form. What stands in
`backticks` in a sentence is code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from cml_iam.visible import visible

# A symbol never stands alone: the word beside it says the same.
PASSED, FAILED, WARNED, UNKNOWN, NOTED, WAIVED = "✔", "✖", "▲", "?", "•", "○"

Level = Literal["good", "error", "warning", "info", "unknown", "waived", "plain"]
"""What a colour says; beside it stand a symbol and a word."""

_SEQUENCES: Final = ("CML5", "CML717", "CML718")
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_PAGE: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9./#_-]*")


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of a scale that ends at *span*; *mark* is a point on it, *limit* a line across it."""

    value: float
    span: float
    says: str
    mark: float | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Trend:
    """Values at even distances, oldest first, on a scale from 0 to *top*; None is a gap."""

    values: tuple[float | None, ...]
    top: float
    says: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: *symbol* and *text*; a *level* makes a badge of them on a page.

    *brief* is what a terminal shows instead of a long text, *under* stands below it, *more* unfolds
    from it, and *link* is the address it leads to.
    """

    text: str = ""
    symbol: str = ""
    code: bool = False
    level: Level | None = None
    brief: str = ""
    under: str = ""
    more: str = ""
    link: str = ""
    bar: Bar | None = None
    trend: Trend | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column by *name*; *joint* precedes its cell where a row is printed as lines."""

    name: str
    joint: str = " "


@dataclass(frozen=True, slots=True)
class Request:
    """One request behind a statement of the report, with how it was decided.

    *context* has a line for each condition key. Without an *action* what it *says* is all.
    """

    says: str
    action: str = ""
    resource: str = ""
    outcome: str = ""
    context: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The request in one line."""
        context = ", ".join(each.replace(" = ", "=", 1) for each in self.context)
        return f"{self.action} on {self.resource}" + (f" with {context}" if context else "")


@dataclass(frozen=True, slots=True)
class Station:
    """A station of a path: an action, or the tag that one sets and the next one asks for."""

    head: str
    text: str
    result: str
    level: Level


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document from the line *first* on; *marked* are the numbers of those meant."""

    first: int
    lines: tuple[str, ...]
    marked: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One thing found: what, where, why, and what to do about it.

    *word* is its severity, *state* stands before it (`waived`, or nothing), *tags* behind its name.
    *accounts* are all in which it was found alike. *path* draws *requests* that are steps.
    """

    symbol: str
    level: Level
    word: str
    rule: str
    name: str
    place: str = ""
    message: str = ""
    state: str = ""
    tags: tuple[str, ...] = ()
    file: str = ""
    accounts: tuple[str, ...] = ()
    requests: tuple[Request, ...] = ()
    path: tuple[Station, ...] = ()
    excerpt: Excerpt | None = None
    notes: tuple[str, ...] = ()
    remedy: str | None = None
    page: str | None = None

    @property
    def title(self) -> str:
        """Symbol, state, severity, rule and name in one line."""
        tags = "".join(f" ({each})" for each in self.tags)
        words = (self.symbol, self.state, self.word, self.rule, self.name)
        return " ".join(filter(None, words)) + tags

    @property
    def is_sequence(self) -> bool:
        """Whether the requests are steps, one after another, rather than examples.

        They are where the rule is about sequences of calls: escalations (CML5…), and promises that
        are broken. Of any other rule each request stands by itself, even where one happens to set a
        tag that another asks for.
        """
        return len(self.requests) > 1 and self.rule.startswith(_SEQUENCES)

    def numbered(self) -> Iterator[tuple[str, Request]]:
        """Yield each request with what stands before it: the number of a step, else `e.g.`."""
        for number, request in enumerate(self.requests, start=1):
            yield f"{number}." if self.is_sequence else "e.g.", request


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a grid, and the requests behind it; *detail* says more of it than its word."""

    symbol: str
    word: str
    kind: Literal["allowed", "refused", "wrong", "unknown-cell"]
    detail: str = ""
    requests: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows by columns; a place may be absent. A grid of no rows is its title alone.

    *of* is what a row is.
    """

    title: str
    symbol: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple[Place | None, ...]], ...] = ()
    accounts: tuple[str, ...] = ()
    of: str = "permission"

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests behind all its places."""
        places = (place for _, row in self.rows for place in row if place)
        return tuple(request for place in places for request in place.requests)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it; *lead* and *note* are for those who read a page.

    *short* is what links to it are called. As text the rows are lines where *lines* is set, and a
    table otherwise. A *folded* section is closed until somebody opens it.
    """

    id: str
    heading: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    items: tuple[Item, ...] = ()
    grids: tuple[Grid, ...] = ()
    short: str = ""
    lead: str = ""
    note: str = ""
    lines: bool = True
    folded: bool = False

    def filled(self) -> tuple[list[Column], list[list[Cell]]]:
        """Return the columns and rows without the columns in which nothing stands."""
        kept = [
            number
            for number in range(len(self.columns))
            if any(row[number] != Cell() for row in self.rows)
        ]
        return (
            [self.columns[number] for number in kept],
            [[row[number] for number in kept] for row in self.rows],
        )


@dataclass(frozen=True, slots=True)
class Document:
    """A report: *product* made it, *verdict* says it in a sentence, *about* whom or what it is.

    *lines* stand below the verdict; *tiles* are numbers at a glance, each with its name and level.
    *links* stand in the foot, beside what *foot* says. A *live* one is served, and can be asked for
    anew.
    """

    product: str
    title: str
    symbol: str
    level: Level
    verdict: str
    about: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    tiles: tuple[tuple[str, int, Level], ...] = ()
    sections: tuple[Section, ...] = ()
    foot: str = ""
    links: tuple[tuple[str, str], ...] = ()
    live: bool = False


def shown(text: str) -> str:
    r"""Return *text* on one line, what cannot be seen written out, such as `\x1b`."""
    return visible(_SPACES.sub(" ", text))


def is_page(page: str) -> bool:
    """Say whether *page* is an address that may stand as a link: HTTPS, and plain characters."""
    return bool(_PAGE.fullmatch(page))


def plural(number: int, word: str) -> str:
    """Return `1 error`, `2 errors`; `info` has no plural."""
    return f"{number} {word}" + ("s" if number != 1 and word != "info" else "")


def listed(parts: Iterable[str]) -> str:
    """Return *parts* with commas between, and `and` before the last."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def capital(text: str) -> str:
    """Return *text* as a sentence begins."""
    return text[:1].upper() + text[1:]
