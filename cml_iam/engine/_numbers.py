"""Numbers as IAM reads them: `10`, `10.0` and `1e1` are one number.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Numeric
"""

from __future__ import annotations

import re
from typing import Final

MAX_DIGITS: Final = 300
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,300}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{0,300})?(?:[eE][+-]?[0-9]{1,3})?")


def number(text: str) -> int | float | None:
    """Return the number *text* stands for, or None if it is none."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None
