"""The model of a report for every format: a head, and sections of rows, items or a grid.

Text is stored unescaped; each printer makes it safe for its format. `Backticks` in a sentence mark
code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Final, Literal, NamedTuple

from cml_iam.visible import visible

# A symbol never appears alone: a word beside it has the same meaning.
PASSED, FAILED, WARNED, UNKNOWN, NOTED, WAIVED = "✔", "✖", "▲", "?", "•", "○"

Level = Literal["good", "error", "warning", "info", "unknown", "waived", "plain"]
"""The meaning of a colour, which always appears with a symbol and a word."""

_SEQUENCES: Final = ("CML5", "CML717", "CML718")
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_PAGE: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9./#_-]*")


class Bar(NamedTuple):
    """A bar on a scale that ends at *span*; *mark* is a point on it, *limit* a line across it."""

    value: float
    span: float
    says: str
    mark: float | None = None
    limit: float | None = None


class Trend(NamedTuple):
    """Values at equal intervals on a scale from 0 to *top*, oldest first; None is a gap."""

    values: tuple[float | None, ...]
    top: float
    says: str


class Cell(NamedTuple):
    """A cell with *symbol* and *text*; a *level* makes it a badge on a page.

    *brief* replaces a long text on a terminal. On a page, *under* is shown below the text, *more*
    unfolds, and *link* is the URL.
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


class Column(NamedTuple):
    """A column called *name*; *joint* precedes its cell when a row is printed as a line."""

    name: str
    joint: str = " "


class Request(NamedTuple):
    """A request that supports a statement of the report, with the decision on it.

    *context* has a line for each condition key. Without an *action*, *says* is the whole text.
    """

    says: str
    action: str = ""
    resource: str = ""
    outcome: str = ""
    context: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The request on one line."""
        context = ", ".join(line.replace(" = ", "=", 1) for line in self.context)
        return f"{self.action} on {self.resource}" + (f" with {context}" if context else "")


class Station(NamedTuple):
    """A step of a path: an action, or a tag that one action sets and the next requires."""

    head: str
    text: str
    result: str
    level: Level


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document from line *first*; *marked* has the numbers of relevant lines."""

    first: int
    lines: tuple[str, ...]
    marked: tuple[int, ...] = ()


class Item(NamedTuple):
    """An entry of the report: what was found, where, why, and what to do about it.

    *word* is its severity; *state* (`waived` or nothing) is printed before it, *tags* after its
    name. *accounts* are all accounts with the same finding. *path* is the drawing of *requests*
    that are consecutive steps.
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
        """The symbol, state, severity, rule and name on one line."""
        tags = "".join(f" ({tag})" for tag in self.tags)
        words = (self.symbol, self.state, self.word, self.rule, self.name)
        return " ".join(filter(None, words)) + tags

    @property
    def is_sequence(self) -> bool:
        """Whether the requests are consecutive steps rather than examples.

        Only escalations (CML5…) and broken promises have sequences of calls; for any other rule,
        each request stands alone.
        """
        return len(self.requests) > 1 and self.rule.startswith(_SEQUENCES)

    def numbered(self) -> Iterator[tuple[str, Request]]:
        """Yield each request with its prefix: the step's number, or `e.g.` for an example."""
        for number, request in enumerate(self.requests, start=1):
            yield f"{number}." if self.is_sequence else "e.g.", request


class Place(NamedTuple):
    """A cell of a grid with the requests that support it; *detail* explains its *word*."""

    symbol: str
    word: str
    kind: Literal["allowed", "refused", "wrong", "partly", "unknown-cell", "none"]
    detail: str = ""
    requests: tuple[Request, ...] = ()


class Grid(NamedTuple):
    """A grid of rows and columns; cells may be absent. Without rows, only the title is printed.

    *of* is the heading of the row names; *absent* is the text of an absent cell. *legend* explains
    the words: each entry is a place whose detail is the meaning.
    """

    title: str
    symbol: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, tuple[Place | None, ...]], ...] = ()
    accounts: tuple[str, ...] = ()
    of: str = "permission"
    absent: str = ""
    legend: tuple[Place, ...] = ()

    @property
    def requests(self) -> tuple[Request, ...]:
        """The requests of all cells."""
        places = [place for _, row in self.rows for place in row if place]
        return tuple(request for place in places for request in place.requests)


class Section(NamedTuple):
    """A heading with its content; *lead* and *note* appear only on a page.

    *short* is the text of links to it. In text output, rows are printed as lines if *lines* is set,
    otherwise as a table. A *folded* section is initially closed.
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
        """Return the columns and rows without empty columns."""
        used = [any(cell != Cell() for cell in cells) for cells in zip(*self.rows, strict=True)]
        rows = [list(compress(row, used)) for row in self.rows]
        return list(compress(self.columns, used)), rows


class Document(NamedTuple):
    """A report: *product* is the command that wrote it, *verdict* the summary, *about* the subject.

    *lines* follow the verdict; *tiles* are key numbers, each with its name and level. *links* are
    in the footer, with *foot*. A *live* document is served, and can be refreshed.
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
    r"""Return *text* on one line, with invisible characters such as `\x1b` written out."""
    return visible(_SPACES.sub(" ", text))


def is_page(page: str) -> bool:
    """Return whether *page* may be a link: HTTPS, and plain characters only."""
    return bool(_PAGE.fullmatch(page))


def plural(number: int, word: str) -> str:
    """Return a number with its noun, such as `1 error` or `2 policies`; `info` has no plural."""
    if number == 1 or word == "info":
        return f"{number} {word}"
    if word.endswith("y") and word[-2:-1] not in "aeou":
        return f"{number} {word[:-1]}ies"
    return f"{number} {word}s"


def listed(parts: Iterable[str]) -> str:
    """Join *parts* with commas, and `and` before the last."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def capital(text: str) -> str:
    """Return *text* with a capital first letter."""
    return text[:1].upper() + text[1:]
