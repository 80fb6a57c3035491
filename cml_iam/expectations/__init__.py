"""Derive expectations, concrete requests with their required answers, from catalogue and site."""

from cml_iam.expectations._derive import UNLISTED_ACTIONS, derive_expectations
from cml_iam.expectations._expectation import (
    SITUATIONS,
    Answer,
    Expectation,
    Judgement,
    Ruling,
    judge,
)

__all__ = [
    "SITUATIONS",
    "UNLISTED_ACTIONS",
    "Answer",
    "Expectation",
    "Judgement",
    "Ruling",
    "derive_expectations",
    "judge",
]
