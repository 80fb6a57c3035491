"""What a run found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cml_iam.expectations import Judgement


@dataclass(frozen=True, slots=True)
class Verification:
    """The judgements of a run; *how* they were made, and how many *calls* it took."""

    how: Literal["offline", "live"]
    judgements: tuple[Judgement, ...]
    calls: int = 0

    @property
    def failed(self) -> tuple[Judgement, ...]:
        """The expectations that do not hold."""
        return tuple(each for each in self.judgements if each.verdict == "fails")

    @property
    def unchecked(self) -> tuple[Judgement, ...]:
        """The expectations that could not be checked."""
        return tuple(each for each in self.judgements if each.verdict == "unchecked")
