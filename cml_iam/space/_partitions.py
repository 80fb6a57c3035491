"""The partition as a fact: resources, callers, ARNs and regions are those of the account's own.

Where it is not known, the question is asked of each; then the region goes with the ARN's partition.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cml_iam.engine.parts import is_arn
from cml_iam.facts import PARTITIONS, REGION, Assumption, partition_of
from cml_iam.space._callers import partition_of_caller
from cml_iam.space._examples import base_type
from cml_iam.space._globs import Glob, glob
from cml_iam.space._statements import CALLER, FIELD_KEYS, Choice

if TYPE_CHECKING:
    from cml_iam.space._gathered import Gathered

ARNS: Final = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"
PARTITION: Final = FIELD_KEYS[1]
ARN_REGION: Final = FIELD_KEYS[3]
REGIONS: Final = frozenset({REGION, ARN_REGION})


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions in which the question at a place is asked."""

    gathered: Gathered

    @property
    def names(self) -> tuple[str, ...]:
        """The partitions in question."""
        return self.gathered.partitions

    def fact(self) -> Assumption:
        """Return what is taken for granted."""
        text = (
            f"AWS has the partitions {', '.join(self.names)}, and none of them reaches another"
            if self.names[1:]
            else f"the account is in the partition {self.names[0]}, which reaches no other"
        )
        return Assumption("partitions", PARTITION, text, ARNS)

    def respected_by(self, given: Choice) -> bool:
        """Say whether all that the request *given* names is in one of them."""
        names = self.gathered.names
        values = [(key, given.get(names(key)[0])) for key in self.gathered.conditions]
        if PARTITION in given:
            values += [(PARTITION, given[PARTITION]), (ARN_REGION, given[ARN_REGION])]
        fit = all(self.fits(key, value) for key, value in values)
        return fit and self.has(given.get(CALLER)) and self.region_agrees(given)

    def has(self, caller: str | None) -> bool:
        """Say whether *caller* may be in one of them; a service or an anonymous one may."""
        partition = partition_of_caller(caller)
        return partition is None or partition in self.names

    def fits(self, key: str, value: Any) -> bool:
        """Say whether *value* may be that of *key*."""
        if key == PARTITION:
            return value in self.names
        if isinstance(value, list):
            return all(self.fits(key, each) for each in value)
        if not value or not isinstance(value, str):
            return True
        if self._is_plain_arn(key) and is_arn(value):
            return value.split(":")[1] in self.names
        return key not in REGIONS or partition_of(value) in self.names

    def region_agrees(self, given: Choice) -> bool:
        """Say whether the region is one of the partition in the ARN."""
        partition = given.get(PARTITION)
        if partition not in PARTITIONS:
            return True
        asked = REGION in self.gathered.conditions
        names = self.gathered.names(REGION)[:1] if asked else ()
        regions = (given.get(name) for name in (ARN_REGION, *names))
        return all(partition_of(str(each)) == partition for each in regions if each)

    def distinguished_by(self, key: str) -> Iterator[Glob]:
        """Yield patterns that separate the values of *key* by partition."""
        if key == PARTITION:
            yield from (Glob(tuple(each)) for each in self.names)
        if key in REGIONS:
            yield from (glob("cn-*"), glob("us-gov-*"))
        if self._is_plain_arn(key):
            yield from (glob(f"arn:{each}:*") for each in self.names)

    def ties(self, keys: set[str]) -> Iterator[set[str]]:
        """Yield which of *keys* belong together: of one partition, none do."""
        if self.names[1:] and PARTITION in keys:
            yield keys & {PARTITION, *REGIONS}

    def _is_plain_arn(self, key: str) -> bool:
        """Say whether *key* holds an ARN, in whose value no policy variable plays a part."""
        needs = self.gathered.needs
        is_arn_key = key not in FIELD_KEYS and base_type(key) in {"ARN", "Principal"}
        return is_arn_key and not needs.get(key) and not any(key in n for n in needs.values())
