"""ARNs that are none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cml_iam.lint._finding import Found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cml_iam.lint._subject import Subject

FIELDS: Final = 6
_OPEN: Final = re.compile(r"[*?]|\$\{")
_PARTITION: Final = re.compile(r"aws(-[a-z]+)*")
_REGION: Final = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+|global|")
_ACCOUNT: Final = re.compile(r"[0-9]{12}|[^0-9].*|")


def malformed(subject: Subject) -> Iterator[Found]:
    """Yield elements of Resource and NotResource that are neither `*` nor an ARN."""
    for item in subject.items:
        for element in ("Resource", "NotResource"):
            texts = (
                item.statement.resource if element == "Resource" else item.statement.not_resource
            )
            for index, text in enumerate(texts or ()):
                if problem := _problem(text):
                    yield Found(
                        problem,
                        item.place(element, index),
                        "an ARN is `arn:partition:service:region:account:resource`",
                        item.label,
                    )


def _problem(text: str) -> str | None:
    if text == "*":
        return None
    fields = _plain(text).split(":", FIELDS - 1)
    if fields[0] != "arn":
        return f"`{text}` is neither an ARN nor `*`, so it names nothing"
    if len(fields) < FIELDS:
        return f"`{text}` has {len(fields)} of the six fields of an ARN"
    checks = (
        ("partition", _PARTITION),
        ("service", None),
        ("region", _REGION),
        ("account", _ACCOUNT),
    )
    for name, value, (_, expression) in zip(
        ("partition", "service", "region", "account"), fields[1:5], checks, strict=True
    ):
        if _OPEN.search(value) or expression is None:
            continue
        if not expression.fullmatch(value):
            return f"`{value}` is no {name}, in `{text}`"
    return None


def _plain(text: str) -> str:
    """Return *text* with each policy variable as one character: a colon in it parts no fields."""
    return re.sub(r"\$\{[^}]*\}", "*", text)
