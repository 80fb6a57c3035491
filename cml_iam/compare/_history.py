"""The versions of the policy, from `policies/history.toml`, and what lies between two of them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any

from cml_iam.errors import InputError
from cml_iam.located import did_you_mean
from cml_iam.shipped import shipped_text


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version: what it grants always, and what a site may grant, by its name in `[grant]`."""

    version: str
    date: date
    changes: str
    actions: tuple[str, ...]
    optional: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The way from version *start* to *end*.

    *grant* must be granted for *end* to work, *revoke* may be taken away: *end* needs it no more.
    *optional* is what a site may grant in *end*, by its name in `[grant]`; *start* had it not.
    """

    start: PolicyVersion
    end: PolicyVersion
    grant: tuple[str, ...]
    revoke: tuple[str, ...]
    optional: Mapping[str, str]


@cache
def load_history() -> tuple[PolicyVersion, ...]:
    """Read the shipped history, the oldest version first; the last is the current one."""
    return tuple(map(_version, tomllib.loads(shipped_text("policies", "history.toml"))["version"]))


def upgrade(
    start: str, end: str | None = None, history: Iterable[PolicyVersion] | None = None
) -> Upgrade:
    """Return what changes from version *start* to *end*, the current one if None.

    Raises InputError for a version that the history does not have.
    """
    versions = tuple(load_history() if history is None else history)
    before, after = _find(versions, start), _find(versions, end) if end else versions[-1]
    had = {*before.actions, *before.optional.values()}
    needed = {*after.actions, *after.optional.values()}
    return Upgrade(
        start=before,
        end=after,
        grant=tuple(each for each in after.actions if each not in before.actions),
        revoke=tuple(
            each for each in (*before.actions, *before.optional.values()) if each not in needed
        ),
        optional={name: each for name, each in after.optional.items() if each not in had},
    )


def _find(versions: tuple[PolicyVersion, ...], wanted: str) -> PolicyVersion:
    for each in versions:
        if each.version == wanted:
            return each
    names = [each.version for each in versions]
    hint = did_you_mean(wanted, names) or f"the history has {', '.join(names)}"
    raise InputError(f"no such version of the policy: `{wanted}`", remedy=hint)


def _version(raw: dict[str, Any]) -> PolicyVersion:
    return PolicyVersion(
        version=raw["version"],
        date=raw["date"],
        changes=raw["changes"],
        actions=tuple(raw["actions"]),
        optional=MappingProxyType(raw.get("optional", {})),
    )
