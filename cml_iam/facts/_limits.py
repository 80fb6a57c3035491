"""How long AWS keeps things."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

MAX_KEY_AGE: Final = timedelta(days=90)
"""How old an access key may become, as the setup guide and CIS's benchmark for AWS ask."""
