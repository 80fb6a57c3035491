"""Condition keys as patterns, and the global ones, which the service reference does not list."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from cml_iam.files import shipped_text
from cml_iam.policy import pattern_matches

_PLACEHOLDER: Final = re.compile(r"\$\{[^}]*\}|<[^>]*>|(?<=/)tag-key$")


@lru_cache(1 << 12)
def key_pattern(key: str) -> str:
    """Return *key* in lower case, with `*` for a placeholder such as `${TagKey}`."""
    return _PLACEHOLDER.sub("*", key).lower()


class Keys(NamedTuple):
    """Condition keys by pattern: `aws:RequestTag/${TagKey}` stands for every tag key."""

    patterns: frozenset[str]

    def has(self, key: str) -> bool:
        """Return whether *key*, in any case, is one of these keys."""
        return _has(self.patterns, key.lower())


@lru_cache(1 << 14)
def _has(patterns: frozenset[str], plain: str) -> bool:
    return plain in patterns or any(
        "*" in pattern and pattern_matches(pattern, plain) for pattern in patterns
    )


@cache
def key_data() -> dict[str, Any]:
    """Return the facts about condition keys in `policies/condition-keys.toml`."""
    return tomllib.loads(shipped_text("policies", "condition-keys.toml"))


@cache
def global_keys() -> frozenset[str]:
    """Return the patterns of the keys that any request may have, whatever the action.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    return frozenset(
        key_pattern(name) for names in key_data()["any-request"].values() for name in names
    )


@cache
def global_types() -> dict[str, str]:
    """Return the types of the global keys, by name; some actions lack some of the keys.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
    """
    data = key_data()
    tables = (*data["any-request"].items(), *data["some-requests"].items())
    return {name: kind for kind, names in tables for name in names}


@cache
def several_values() -> frozenset[str]:
    """Return the global keys that are always lists, as patterns.

    For the keys of services, the reference is not reliable.
    """
    types = global_types().items()
    return frozenset(key_pattern(name) for name, kind in types if kind.startswith("ArrayOf"))
