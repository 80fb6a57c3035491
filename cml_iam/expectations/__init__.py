"""Derive expectations, concrete requests with their required answers, from catalogue and site."""

from typing import Final, get_args

from cml_iam.expectations._derive import (
    UNLISTED_ACTIONS,
    Judgement,
    Ruling,
    derive_expectations,
    judge,
)
from cml_iam.expectations._stage import Answer, Expectation
from cml_iam.restrict import Situation

SITUATIONS: Final[tuple[Situation, ...]] = get_args(Situation)
"""The columns of the permission table, in order."""
