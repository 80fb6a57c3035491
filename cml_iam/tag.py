"""AWS's tags, and the default tag that marks workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag; its key and value are case-sensitive."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"

    def marks(self, tags: Mapping[str, str]) -> bool:
        """Return whether *tags* include this tag."""
        return tags.get(self.key) == self.value

    def is_key(self, key: str) -> bool:
        """Return whether *key* is this tag's key in any case.

        IAM ignores the case of tag keys in condition keys, so the tag `managedby` also satisfies a
        condition on `ManagedBy`.
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
        """
        return key.casefold() == self.key.casefold()


def as_aws(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return *tags* in the form of AWS's API."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


DEFAULT_TAG: Final = Tag("ManagedBy", "lablet-cloud-manager")
"""The default guard tag, which CML Cloud Manager's worker-controller sets by default."""
