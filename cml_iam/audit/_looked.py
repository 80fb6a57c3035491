"""Whether what a waiver waives was looked for at all, so that its absence says something.

One site file serves many audits: of files in a commit, of the account at night. A waiver of what
is found in the account is no less needed because a commit was audited.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cml_iam.audit._report import Check, Input

_IN_FILES: Final = frozenset({"lint", "file-drift", "secrets", "expectations", "promises"})
_FOUND_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "CML701": ("expectations", "simulation"),
    "CML702": ("expectations", "simulation"),
    "CML703": ("use",),
    "CML704": ("file-drift", "drift"),
    "CML705": ("file-drift", "drift"),
    "CML706": ("file-drift", "drift"),
    "CML707": ("drift",),
    "CML708": ("principal",),
    "CML709": ("attachments",),
    "CML710": ("attachments",),
    "CML711": ("boundary",),
    "CML712": ("boundary",),
    "CML713": ("quarantine",),
    "CML714": ("last-accessed",),
    "CML716": ("identity",),
    "CML717": ("promises", "proof"),
    **{f"CML80{number}": ("keys",) for number in range(1, 7)},
    "CML807": ("secrets",),
    "CML821": ("trail",),
    "CML822": ("alarms",),
    **{f"CML90{number}": () for number in range(1, 4)},
}
"""Which checks find a rule of the audit; lint's rules, and CML715, are found by `lint`."""

_ACCOUNT: Final = re.compile(r"(?<!\d)\d{12}(?!\d)")


def looked_for(rule: str, place: str, checks: Sequence[Check], inputs: Sequence[Input]) -> bool:
    """Say whether everything that could find *rule* at *place*, a pattern, was asked and answered.

    Where the place names a file or an account, only what could find it there.
    """
    ids = frozenset(_FOUND_BY.get(rule, ("lint",)))
    files = [each.name for each in inputs if each.kind == "file"]
    if place.startswith("arn:"):
        ids -= _IN_FILES
    elif any(_names(place, each) for each in files) and place.strip("*"):
        ids &= _IN_FILES
    elif files and ids <= _IN_FILES and place.strip("*"):
        return not ids  # the place is in another file, which was not read
    accounts = set(_ACCOUNT.findall(place)) if ids - _IN_FILES else set()
    made = [
        each
        for each in checks
        if each.id in ids and (each.account in accounts or not accounts or each.id in _IN_FILES)
    ]
    answered = all(each.state != "not checked" for each in made)
    return answered and ids <= {each.id for each in made}


def _names(place: str, file: str) -> bool:
    """Say whether *place* is in *file*: its name, a pattern over it, or a line of it."""
    return place.startswith(file) or fnmatchcase(file, re.sub(r"([\[?])", r"[\1]", place))
