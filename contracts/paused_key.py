"""The refusal of what is sealed to a key that was replaced without proof of the earlier one.

For a time nothing about a person goes to such a key, so that its owner can object to the replacement.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from contracts.errors import PointerError, Refused, written


def paused_key(
    detail: str,
    *,
    until: dt.datetime,
    now: dt.datetime,
    slug: str = "not-in-this-state",
    errors: Sequence[PointerError] = (),
) -> Refused:
    """Return the refusal until a moment. detail: of the refusal, with `{until}` for the moment."""
    return Refused(
        slug,
        detail.format(until=written(until)),
        errors=errors,
        retry_after=max(1, math.ceil((until - now).total_seconds())),
        until=until,
    )
