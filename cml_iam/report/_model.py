"""The report model that every format prints: a head, and sections of rows, items or a grid.

Text is stored unescaped; each printer makes it safe for its format. `Backticks` in a sentence mark
code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from cml_iam.visible import visible

# A symbol never stands alone: the word beside it says the same.
PASSED, FAILED, WARNED, UNKNOWN, NOTED, WAIVED = "✔", "✖", "▲", "?", "•", "○"

Level = Literal["good", "error", "warning", "info", "unknown", "waived", "plain"]
"""The meaning of a colour; a symbol and a word always accompany it."""

_SEQUENCES: Final = ("CML5", "CML717", "CML718")
_SPACES: Final = re.compile(r"[ \t\r\n]+")
_PAGE: Final = re.compile(r"https://[A-Za-z0-9][A-Za-z0-9./#_-]*")


class Bar(NamedTuple):
    """A share of a scale that ends at *span*; *mark* is a point on it, *limit* a line across it."""

    value: float
    span: float
    says: str
    mark: float | None = None
    limit: float | None = None


class Trend(NamedTuple):
    """Values at equal intervals, oldest first, on a scale from 0 to *top*; None is a gap."""

    values: tuple[float | None, ...]
    top: float
    says: str


class Cell(NamedTuple):
    """One cell: *symbol* and *text*; a *level* makes it a badge on a page.

    *brief* replaces a long text on a terminal, *under* is printed below it, *more* unfolds from it,
    and *link* is its address.
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
    """A column by *name*; *joint* precedes its cell when a row is printed as a line."""

    name: str
    joint: str = " "


class Request(NamedTuple):
    """One request behind a statement of the report, and how it was decided.

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
        context = ", ".join(each.replace(" = ", "=", 1) for each in self.context)
        return f"{self.action} on {self.resource}" + (f" with {context}" if context else "")


class Station(NamedTuple):
    """A step of a path: an action, or the tag that one sets and the next one requires."""

    head: str
    text: str
    result: str
    level: Level


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Lines of a document from the line *first* on; *marked* are the numbers of relevant lines."""

    first: int
    lines: tuple[str, ...]
    marked: tuple[int, ...] = ()


class Item(NamedTuple):
    """One thing found: what, where, why, and what to do about it.

    *word* is its severity, *state* is printed before it (`waived`, or nothing), *tags* after its
    name. *accounts* are all accounts with the same finding. *path* draws *requests* that are steps.
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
        """Symbol, state, severity, rule and name on one line."""
        tags = "".join(f" ({tag})" for tag in self.tags)
        words = (self.symbol, self.state, self.word, self.rule, self.name)
        return " ".join(filter(None, words)) + tags

    @property
    def is_sequence(self) -> bool:
        """Whether the requests are consecutive steps rather than examples.

        This depends on the rule: escalations (CML5…) and broken promises have sequences of calls.
        For any other rule each request stands alone, even if one happens to set a tag that another
        requires.
        """
        return len(self.requests) > 1 and self.rule.startswith(_SEQUENCES)

    def numbered(self) -> Iterator[tuple[str, Request]]:
        """Yield each request with its prefix: the number of a step, otherwise `e.g.`."""
        for number, request in enumerate(self.requests, start=1):
            yield f"{number}." if self.is_sequence else "e.g.", request


class Place(NamedTuple):
    """One cell of a grid, and the requests behind it; *detail* extends its word."""

    symbol: str
    word: str
    kind: Literal["allowed", "refused", "wrong", "partly", "unknown-cell", "none"]
    detail: str = ""
    requests: tuple[Request, ...] = ()


class Grid(NamedTuple):
    """Rows by columns; cells may be absent. A grid without rows is only its title.

    *of* names what a row is, *absent* what an absent cell means. *legend* explains its words: each
    entry is a place whose detail is the meaning.
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
        """The requests behind all its cells."""
        places = (place for _, row in self.rows for place in row if place)
        return tuple(request for place in places for request in place.requests)


class Section(NamedTuple):
    """A heading and its content; *lead* and *note* appear only on a page.

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
        kept = [
            number
            for number in range(len(self.columns))
            if any(row[number] != Cell() for row in self.rows)
        ]
        return (
            [self.columns[number] for number in kept],
            [[row[number] for number in kept] for row in self.rows],
        )


class Document(NamedTuple):
    """A report: *product* made it, *verdict* summarizes it, *about* is its subject.

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
    r"""Return *text* on one line, with invisible characters written out, such as `\x1b`."""
    return visible(_SPACES.sub(" ", text))


def is_page(page: str) -> bool:
    """Return whether *page* may be a link: HTTPS, and plain characters only."""
    return bool(_PAGE.fullmatch(page))


def plural(number: int, word: str) -> str:
    """Return `1 error`, `2 errors`, `2 policies`, `2 keys`; `info` has no plural."""
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
