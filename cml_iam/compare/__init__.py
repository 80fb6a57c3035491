"""Compares policies by what they mean: what NEW allows or refuses that OLD did not."""

from cml_iam.compare._compare import compare_policies
from cml_iam.compare._difference import (
    CHANGES,
    WIDER,
    Answered,
    Change,
    Comparison,
    Difference,
    ExpectationChange,
    Verdict,
)

__all__ = [
    "CHANGES",
    "WIDER",
    "Answered",
    "Change",
    "Comparison",
    "Difference",
    "ExpectationChange",
    "Verdict",
    "compare_policies",
]
