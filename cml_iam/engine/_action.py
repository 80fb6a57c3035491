"""Which actions a statement names.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cml_iam.policy import pattern_regex

if TYPE_CHECKING:
    from collections.abc import Callable

ALL: Final = frozenset({"*", "*:*"})
_WHITE: Final = re.compile(r"\s")


def _always(name: str) -> bool:  # noqa: ARG001 - nothing to look at
    return True


def _never(name: str) -> bool:  # noqa: ARG001 - nothing to look at
    return False


@dataclass(frozen=True, slots=True)
class ActionPattern:
    """One element of `Action` or `NotAction`; *service* and *name* in lower case.

    *service* is None for `*`, which names the actions of every service. *test* takes an action's
    name in lower case, without its service. *problem* says why the pattern names no action at
    all; such a one never matches, so inside `NotAction` it excludes nothing.
    """

    text: str
    service: str | None = None
    name: str = "*"
    test: Callable[[str], bool] = field(default=_always, compare=False, repr=False)
    problem: str | None = None

    @property
    def exact(self) -> bool:
        """Say whether one action is named, without wildcards."""
        return self.problem is None and not _is_wild(self.name)

    def matches(self, action: str) -> bool:
        """Say whether *action*, in any case, is one of those named."""
        if self.service is None:
            return self.problem is None
        service, colon, name = action.lower().partition(":")
        return bool(colon) and service == self.service and self.test(name)


def action_pattern(text: str) -> ActionPattern:
    """Read one element of `Action` or `NotAction`; the case does not count."""
    if text in ALL:
        return ActionPattern(text)
    service, colon, name = text.lower().partition(":")
    problem = _problem(text, service, colon, name)
    return ActionPattern(text, service, name, _never if problem else _test(name), problem)


def _test(name: str) -> Callable[[str], bool]:
    if not _is_wild(name):
        return name.__eq__
    fullmatch = pattern_regex(name).fullmatch
    return lambda asked: fullmatch(asked) is not None


def _is_wild(name: str) -> bool:
    return "*" in name or "?" in name


def _problem(text: str, service: str, colon: str, name: str) -> str | None:
    if not colon:
        return f"action `{text}` names no service, so it never matches"
    if not name or _WHITE.search(text):
        return f"action `{text}` is empty or has white space, so it never matches"
    if "*" in service or "?" in service:
        return f"action `{text}` has a wildcard in its service, so it never matches"
    return None
