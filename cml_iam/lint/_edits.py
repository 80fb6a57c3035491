"""Edit the text of a document and leave everything else unchanged.

An edit names a place by its path. The spans of the parsed text locate the place, and the white
space around its neighbours determines the layout of inserted text. A spelling is corrected only if
the intended word is certain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.policy import Located, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cml_iam.policy import Path


INDENT: Final = 2
"""Indentation per level of text inserted into a document of several lines."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change.

    `replace` replaces the value at *path* with *value*; `rename` gives the member at *path* the
    *name*; `add` appends the member *name*: *value* to the object at *path*, `begin` prepends it;
    `append` appends *value* to the array there.
    """

    kind: Literal["replace", "rename", "add", "begin", "append"]
    path: Path
    name: str = ""
    value: Any = None


Claim = Literal["narrower", "grant", "same", "guess"]
"""What a correction claims to be; the claim is proved before the correction is written.

`narrower` allows nothing more. `grant` allows what the corrected statement says, because the
finding is that this permission is missing. `same` changes nothing that is allowed. `guess`, such as
the nearest spelling, is for people to judge and is never written.
"""


@dataclass(frozen=True, slots=True)
class Correction:
    """The edits that would fix a finding; *path* is the path of the corrected statement."""

    edits: tuple[Edit, ...]
    located: Located = field(repr=False, compare=False)
    path: Path = ()
    claim: Claim = "narrower"

    def as_json(self) -> Any:
        """Return the statement after the edits, or the member of the document that they set."""
        last = self.edits[-1]
        if last.kind == "append":
            return last.value
        if not self.path and len(last.path) <= 1:
            return {last.name: last.value} if last.value else {last.name: "…"}
        shown = parse_json(apply_edits(self.located.source.text, self.edits)).value
        for part in self.path:
            shown = shown[part]
        return shown


def apply_edits(text: str, edits: tuple[Edit, ...]) -> str:
    """Return the JSON *text* after *edits*, applied in order.

    Raises KeyError for a missing path, DocumentError for text that is not JSON.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    for edit in edits:
        located = parse_json(text)
        start, end, put_in = _change(located, edit)
        plain = located.source.text
        text = plain[:start] + put_in + plain[end:]
    return mark + text.removeprefix("\ufeff")


def _change(located: Located, edit: Edit) -> tuple[int, int, str]:
    """Return the span to replace, and its replacement."""
    if edit.kind == "rename":
        span = located.names[edit.path]
        return span.start, span.end, json.dumps(edit.name, ensure_ascii=False)
    span = located.values[edit.path]
    if edit.kind == "replace":
        return span.start, span.end, _laid_out(edit.value, located, span.start)
    inside = [value for value in located.values if value[:-1] == edit.path and value]
    if not inside:
        return span.start + 1, span.end - 1, _member(edit, located, span.start)
    names = located.values if edit.kind == "append" else located.names
    first, last = names[inside[0]].start, located.values[inside[-1]].end
    gap = located.source.text[span.start + 1 : first]
    put_in = _member(edit, located, first, one_line="\n" not in gap)
    if edit.kind == "begin":
        return first, first, f"{put_in},{gap or ' '}"
    return last, last, f",{gap or ' '}{put_in}"


def _member(edit: Edit, located: Located, at: int, *, one_line: bool = False) -> str:
    value = _plain(edit.value) if one_line else _laid_out(edit.value, located, at)
    name = json.dumps(edit.name, ensure_ascii=False)
    return value if edit.kind == "append" else f"{name}: {value}"


def _laid_out(value: Any, located: Located, at: int) -> str:
    """Format *value* as JSON, in the layout of the document, indented like the line of *at*.

    Only objects take several lines.
    """
    text = located.source.text
    if "\n" not in text.strip() or not isinstance(value, dict):
        return _plain(value)
    line = text[text.rfind("\n", 0, at) + 1 : at]
    indent = line[: len(line) - len(line.lstrip())]
    ending = "\r\n" if "\r\n" in text else "\n"
    step = "\t" if indent.startswith("\t") else INDENT
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", ending + indent)


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


CLOSE: Final = 0.9
"""The minimum similarity of two words, from 0 to 1."""

MARGIN: Final = 0.03
"""The minimum lead of the closest word over the second closest."""


def certain(word: str, known: Iterable[str]) -> str | None:
    """Return the word in *known* that *word* certainly means, ignoring case, or None."""
    from difflib import SequenceMatcher, get_close_matches

    by_case = {each.lower(): each for each in known}
    lower = word.lower()
    if lower in by_case:
        return by_case[lower]
    swapped = [each for each in by_case if sorted(each) == sorted(lower)]
    if len(swapped) == 1:
        return by_case[swapped[0]]
    close = get_close_matches(lower, by_case, n=2, cutoff=CLOSE - MARGIN)
    likeness = [SequenceMatcher(None, each, lower).ratio() for each in close]
    if not close or likeness[0] < CLOSE:
        return None
    if len(close) > 1 and likeness[0] - likeness[1] < MARGIN:
        return None
    return by_case[close[0]]
