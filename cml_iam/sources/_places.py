"""Where templates and plans hold policies, and what looks like one elsewhere."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from cml_iam.files import shipped_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAID: Final = ("Effect", "Action", "NotAction", "Resource", "NotResource")
"""Elements of a policy statement; even a faulty one has at least one of them."""

_LOOKS: Final = re.compile(
    r"\s*[\[{](?=.*(\b(Statement|Effect|NotAction)\b|20(12-10|08-10)-17))", re.S
)
_CONTROLS: Final = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY")


@dataclass(frozen=True, slots=True)
class Places:
    """Where one form of file holds policies; `policies/policy-places.toml` explains the fields."""

    page: str
    named: tuple[str, ...]
    other: tuple[str, ...]
    skipped: tuple[str, ...]
    attached: tuple[str, ...]
    control: Mapping[str, str]
    unjudged: Mapping[str, str]

    def names(self, kind: str, control: Any) -> frozenset[str]:
        """Return the names of the policies of a resource of the type *kind*.

        *control* is the type of a policy of AWS Organizations, which has others than IAM's.
        """
        if kind == self.control["type"]:
            return frozenset({self.control["content"]} if control in _CONTROLS else ())
        if kind == self.control["resource"]:
            return frozenset({self.control["content"]})
        return frozenset(() if kind.startswith(self.other) else self.named)

    def purpose(self, kind: str, control: Any) -> Literal["identity", "resource", "scp"] | None:
        """Return the kind of the policies of a resource of the type *kind*; None if not known."""
        if kind == self.control["type"]:
            return "scp" if control == _CONTROLS[0] else None
        return "identity" if kind.startswith(self.attached) else "resource"

    def why_unjudged(self, kind: str) -> str | None:
        """Return what the policies of a resource of the type *kind* are, if they have no rules."""
        return next((why for each, why in self.unjudged.items() if kind.startswith(each)), None)


@cache
def places(form: Literal["cloudformation", "terraform"]) -> Places:
    """Return where the files of a form hold policies."""
    row: dict[str, Any] = tomllib.loads(shipped_text("policies", "policy-places.toml"))[form]
    fields: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in row.items()
    }
    return Places(**fields)


def is_document(value: Any) -> bool:
    """Return whether *value* is a policy document; rules of AWS WAF also have a `Statement`."""
    statements = value.get("Statement") if isinstance(value, dict) else None
    if statements is None:
        return False
    listed = statements if isinstance(statements, list) else [statements]
    said = any(isinstance(each, dict) and not each.keys().isdisjoint(_SAID) for each in listed)
    return said or "Version" in value


def looks_like_policy(text: str) -> bool:
    """Return whether *text* may be meant as a policy in JSON, even if it cannot be read."""
    return _LOOKS.match(text) is not None
