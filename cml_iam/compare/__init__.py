"""Compares policies by what they mean: what NEW allows or refuses that OLD did not; versions."""

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
from cml_iam.compare._history import PolicyVersion, Upgrade, load_history, upgrade

__all__ = [
    "CHANGES",
    "WIDER",
    "Answered",
    "Change",
    "Comparison",
    "Difference",
    "ExpectationChange",
    "PolicyVersion",
    "Upgrade",
    "Verdict",
    "compare_policies",
    "load_history",
    "upgrade",
]
