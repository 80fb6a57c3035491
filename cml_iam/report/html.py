"""A report as one HTML page that loads nothing and works on paper, on a phone and by keyboard.

The page is `templates/page.html.j2` with `templates/page.css`. Its Content-Security-Policy allows
only the inline style sheet and, on a live page, the script, both by hash. Even text that was parsed
as markup could do nothing. https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from functools import cache, partial
from hashlib import sha256
from textwrap import dedent
from typing import TYPE_CHECKING, Final, NamedTuple

from cml_iam.files import shipped_text
from cml_iam.report import capital, is_page, shown
from cml_iam.visible import visible

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

    from cml_iam.report import Document, Item, Request, Trend

_ICONS: Final = {"good": "2da44e", "unknown": "bf8700"}
_ICON: Final = (
    "data:image/svg+xml,%3Csvg%20xmlns='http://www.w3.org/2000/svg'%20viewBox='0%200%2016%2016'%3E"
    "%3Ccircle%20cx='8'%20cy='8'%20r='7'%20fill='%23{}'/%3E%3C/svg%3E"
)
_SEVERITIES: Final = {"error": "errors", "warning": "warnings", "info": "for information"}


class Page(NamedTuple):
    """A page and its Content-Security-Policy, to be sent as a header."""

    text: str
    policy: str


class _Choice(NamedTuple):
    """A filter for items: each option, a CSS class with its label, hides the other items."""

    id: str
    label: str
    everything: str
    options: tuple[tuple[str, str], ...]


def page_of(document: Document) -> Page:
    """Return *document* as a page; a *live* document's page can refresh itself."""
    from markupsafe import Markup

    items = [item for section in document.sections for item in section.items]
    choices, kinds = _filters(items)
    # Filtering needs no script. Hidden items are still printed, because the head counts them.
    rules = "".join(
        f'\nbody:has(#{choice.id} [value="{kind}"]:checked) .finding:not(.{kind}){{display:none}}'
        for choice in choices
        for kind, _ in choice.options
    )
    style = _style() + (f"\n@media screen{{{rules}\n}}" if rules else "")
    script = shipped_text("templates", "page.js").strip() if document.live else ""
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            *([f"script-src '{_digest(script)}'", "img-src data:"] if script else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    text = _template().render(
        document=document,
        policy=policy,
        style=Markup(style),  # noqa: S704 - our own file and numbers
        script=Markup(script),  # noqa: S704 - our own file
        icon=_ICON.format(_ICONS.get(document.level, "cf222e")),
        choices=choices,
        kinds=kinds,
    )
    return Page(re.sub(r"\n{2,}", "\n", text) + "\n", policy)


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _filters(items: list[Item]) -> tuple[list[_Choice], dict[Item, str]]:
    """Return the filters that would hide some of *items*, and the CSS classes of each item."""
    words = {item.word for item in items}
    severities = [(f"s-{word}", name) for word, name in _SEVERITIES.items() if word in words]
    file_names = list(dict.fromkeys(item.file for item in items))
    rule_names = sorted({f"{item.rule} {item.name}" for item in items})
    files = [(f"f{number}", name or "no file") for number, name in enumerate(file_names)]
    rules = [(f"r{number}", name) for number, name in enumerate(rule_names)]
    choices = (
        _Choice("by-severity", "Severity", "all severities", tuple(severities)),
        _Choice("by-file", "File or resource", "all files", tuple(files)),
        _Choice("by-rule", "Rule", "all rules", tuple(rules)),
    )
    file_kinds = {name: kind for name, (kind, _) in zip(file_names, files, strict=True)}
    rule_kinds = {name: kind for kind, name in rules}
    kinds = {
        item: f"s-{item.word} {file_kinds[item.file]} {rule_kinds[f'{item.rule} {item.name}']}"
        for item in items
    }
    return [choice for choice in choices if choice.options[1:]], kinds


@cache
def _style() -> str:
    """Return the style sheet without its comments and indentation."""
    text = re.sub(r"/\*.*?\*/", "", shipped_text("templates", "page.css"), flags=re.DOTALL)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Invisible characters are written out, except in the template's own text.
        finalize=lambda value: (
            shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    pages.filters.update(
        prose=partial(_marked, "`([^`]+)`", r"<code>\1</code>"),
        lines=_lines,
        verbatim=_verbatim,
        breakable=partial(_marked, "(?<=[a-z:])(?=[A-Z])", "<wbr>"),
        capital=capital,
        points=_points,
    )
    pages.globals.update(common=_common, own=_own, link=is_page)
    return pages.from_string(shipped_text("templates", "page.html.j2"))


def _marked(pattern: str, markup: str, text: str) -> Markup:
    """Return foreign *text* escaped, with our own *markup* where *pattern* matches."""
    from markupsafe import Markup, escape

    # On plain text, because Markup would escape the replacement.
    safe = str(escape(shown(text)))
    return Markup(re.sub(pattern, markup, safe))  # noqa: S704 - escaped above


def _lines(texts: Iterable[str]) -> Markup:
    from markupsafe import Markup

    return Markup("\n").join(shown(text) for text in texts)


def _verbatim(texts: Iterable[str]) -> list[Markup]:
    """Return foreign lines escaped, without their common indentation."""
    from markupsafe import escape

    together = dedent("\n".join(visible(text.expandtabs(4)) for text in texts))
    return [escape(line) for line in together.split("\n")]


def _common(requests: Iterable[Request]) -> list[str]:
    """Return the context lines that all *requests* share; none for a single request."""
    first, *others = [request.context for request in requests] or [()]
    return [line for line in first if others and all(line in other for other in others)]


def _own(request: Request, common: Iterable[str]) -> list[str]:
    return [line for line in request.context if line not in common]


def _points(trend: Trend) -> list[str]:
    """Return the polylines of *trend*: one unit wide per value, 100 high; a gap ends a line."""
    lines: list[list[str]] = [[]]
    for number, value in enumerate(trend.values):
        if value is None:
            lines.append([])
        else:
            share = min(1.0, max(0.0, value / trend.top))
            lines[-1].append(f"{number},{100 - 100 * share:.0f}")
    # A line of a single point would not be visible.
    return [" ".join(line if line[1:] else line * 2) for line in lines if line]
