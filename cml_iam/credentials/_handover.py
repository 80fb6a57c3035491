"""The templates of what is handed to others: every value is printed as JSON, or it is refused.

A JSON string is a YAML string too, so no value can become structure.
"""

from __future__ import annotations

import json
import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

from cml_iam.shipped import shipped_templates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment


def page(template: str, **values: Any) -> str:
    """Return the *template* of `templates/` filled with *values*."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    made = shipped_templates("templates", _json)
    made.filters["shell"] = lambda words: _Plain(shlex.join(words))
    made.filters["unit"] = lambda words: _Plain(unit_line(words))
    made.filters["crontab"] = lambda words: _Plain(shlex.join(words).replace("%", r"\%"))
    # A path takes specifiers, but no quotes.
    made.filters["unitpath"] = lambda path: _Plain(path.replace("%", "%%"))
    made.filters["plain"] = _Plain
    return made


class _Plain(str):
    """Text that is encoded already."""

    __slots__ = ()


def _json(value: Any) -> str:
    return value if isinstance(value, _Plain) else json.dumps(value)


def unit_line(words: Iterable[str]) -> str:
    """Return *words* as the ExecStart= of a systemd unit.

    https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Command%20lines
    """
    return " ".join(_unit_word(word) for word in words)


def _unit_word(word: str) -> str:
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if set(word) & set(" '\"\\;$%") or not word else plain
