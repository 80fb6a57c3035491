"""Findings: the requests that prove them, and the edits that correct them; the kinds of policies.

Programs that only handle findings load nothing else of the room.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from cml_iam.errors import Place

if TYPE_CHECKING:
    from cml_iam.engine import Request
    from cml_iam.policy import Located, Path


Kind = Literal["identity", "boundary", "resource", "trust", "scp", "rcp"]
"""What a document is attached to.

A principal, as its policy or its permissions boundary; a resource; a role, as its trust policy; or
an account, as a service control policy or a resource control policy.
"""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Severity(IntEnum):
    """The severity of a finding; `ERROR` is the highest."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The printed name: `error`, `warning`, `info`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Step:
    """A request, described by *says*, and how the documents decide it: `allowed` or `…Deny`."""

    request: Request
    outcome: str
    says: str

    def as_json(self) -> dict[str, Any]:
        request = self.request.as_json()
        principal = request.pop("principal")
        return {"says": self.says, "principal": principal, **request, "outcome": self.outcome}


@dataclass(frozen=True, slots=True)
class Edit:
    """One change of a text, at a place named by its path, that leaves everything else unchanged.

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
            return {last.name: last.value or "…"}
        from cml_iam.policy import parse_json

        corrected = parse_json(apply_edits(self.located.source.text, self.edits))
        return reduce(getitem, self.path, corrected.value)


def apply_edits(text: str, edits: tuple[Edit, ...]) -> str:
    """Return the JSON *text* after *edits*, applied in order.

    Raises KeyError for a missing path, DocumentError for text that is not JSON.
    """
    from cml_iam.policy import parse_json  # few findings are corrected

    mark = "\ufeff" if text.startswith("\ufeff") else ""
    for edit in edits:
        located = parse_json(text)
        start, end, put_in = _change(located, edit)
        plain = located.source.text
        text = plain[:start] + put_in + plain[end:]
    return mark + text.removeprefix("\ufeff")


def _change(located: Located, edit: Edit) -> tuple[int, int, str]:
    if edit.kind == "rename":
        span = located.names[edit.path]
        return span.start, span.end, _as_text(edit.name)
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
    value = _as_text(edit.value) if one_line else _laid_out(edit.value, located, at)
    return value if edit.kind == "append" else f"{_as_text(edit.name)}: {value}"


def _laid_out(value: Any, located: Located, at: int) -> str:
    """Format *value* as JSON, indented like the line of *at*; only objects take several lines."""
    text = located.source.text
    if "\n" not in text.strip() or not isinstance(value, dict):
        return _as_text(value)
    line = text[text.rfind("\n", 0, at) + 1 : at]
    indent = line[: len(line) - len(line.lstrip())]
    ending = "\r\n" if "\r\n" in text else "\n"
    step = "\t" if indent.startswith("\t") else 2
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", ending + indent)


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class Fault(NamedTuple):
    """What a rule's function yields: a finding without the properties of its rule."""

    message: str
    place: Place | None
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem of a policy.

    *rule* is the rule's id, whose meaning never changes, and *name* its name. *place* is its
    position, *statement* the label of the statement, *witness* the requests that prove it, as
    decided by the engine, and *page* AWS's page on the subject. *correction* is the fix, if there
    is exactly one.
    """

    rule: str
    name: str
    severity: Severity
    message: str
    place: Place | None
    page: str
    remedy: str | None = None
    statement: str | None = None
    witness: tuple[Step, ...] = ()
    correction: Correction | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "name": self.name,
            "severity": self.severity.word,
            "message": self.message,
            **place_as_json(self.place),
            "statement": self.statement,
            "remedy": self.remedy,
            "page": self.page,
            "witness": [step.as_json() for step in self.witness],
            "corrected": self.correction.as_json() if self.correction else None,
            "correction": self.correction.claim if self.correction else None,
        }


def place_as_json(place: Place | None) -> dict[str, str | int | None]:
    """Return the members `file`, `line` and `column`; null is unknown."""
    if place is None:
        return {"file": None, "line": None, "column": None}
    return {"file": place.file, "line": place.line or None, "column": place.column or None}


def listed(names: Sequence[str], *, most: int = 4) -> str:
    """Join *names* into a phrase, cut short if there are more than *most*."""
    quoted = [f"`{name}`" for name in names[:most]]
    if len(names) > most:
        quoted.append(f"{len(names) - most} more")
    *first, last = quoted
    return f"{', '.join(first)} and {last}" if first else last


def are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"


_EVERYONE: Final = ("*", {"AWS": "*"}, {"AWS": ["*"]})

JUDGED_AS: Final[Mapping[str, str]] = {
    "resource": "a resource policy; further requirements of its service are not checked",
    "trust": "a trust policy; the permissions of the role itself are not checked",
    "scp": "a service control policy; the accounts it is attached to are not checked",
    "rcp": "a resource control policy; the accounts it is attached to are not checked",
}
"""The output's note on a policy that is not attached to a principal, by kind."""

_WITHOUT_RESOURCE: Final = ("ecr:", "ecr-public:")
"""Services whose resource policies have no `Resource`."""


def recognized_kind(value: Any) -> Kind:
    """Return the kind of the policy in the parsed JSON *value*, which may be a single statement.

    A statement with principals belongs to a resource policy, to a trust policy (STS actions,
    without `Resource`), or to a resource control policy (only Deny, for everybody, on every
    resource). A service control policy and a permissions boundary look like any identity-based
    policy, so they are never recognized.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html
    """
    raw = value.get("Statement", value) if isinstance(value, dict) else ()
    statements = [statement for statement in _listed(raw) if isinstance(statement, dict)]
    named = [s for s in statements if "Principal" in s or "NotPrincipal" in s]
    if not named:
        lone_trust = all(_about_sts(s) and not _on_resource(s) for s in statements)
        return "trust" if statements and lone_trust else "identity"
    if all(map(_of_organization, statements)):
        return "rcp"
    if all(map(_about_sts, named)):
        return "trust"
    actions = [action for statement in named for action in _actions(statement)]
    without = any(action.startswith(_WITHOUT_RESOURCE) for action in actions)
    return "resource" if without or any(map(_on_resource, named)) else "trust"


def _listed(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else [raw]


def _about_sts(statement: Mapping[str, Any]) -> bool:
    return any(action.startswith("sts:") for action in _actions(statement))


def _of_organization(statement: Mapping[str, Any]) -> bool:
    denied = statement.get("Effect") == "Deny" and statement.get("Resource") in ("*", ["*"])
    return denied and statement.get("Principal") in _EVERYONE


def _on_resource(statement: Mapping[str, Any]) -> bool:
    return "Resource" in statement or "NotResource" in statement


def _actions(statement: Mapping[str, Any]) -> list[str]:
    texts = _listed(statement.get("Action", statement.get("NotAction", ())))
    return [text.lower() for text in texts if isinstance(text, str)]
