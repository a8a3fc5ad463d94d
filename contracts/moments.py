"""Bounds of the times that partners send.

`load(cls, data, now=...)` refuses a future time in a field marked `past`. Without `now`, it checks only the
fixed bounds: contracts have no clock.
"""

from __future__ import annotations

import datetime as dt
from contextvars import ContextVar
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Range, Validator

# A partner's clock may be this far ahead of ours.
CLOCK_TOLERANCE: Final = dt.timedelta(minutes=5)
# In the easternmost time zone, a day begins 14 hours earlier than in UTC.
_EASTERNMOST: Final = dt.timedelta(hours=14)

_now: ContextVar[dt.datetime | None] = ContextVar("now", default=None)


_IN_THE_FUTURE: Final = "Must not be in the future."


class Within(Validator):
    """Bounds a time or date by a first and last day. past: whether it must not be in the future."""

    def __init__(self, first: dt.date, last: dt.date = dt.date(2200, 12, 31), *, past: bool = False) -> None:
        self.first = first
        self.last = last
        self.past = past

    def __call__(self, value: Any) -> Any:
        """Raises ValidationError for a value out of bounds, or in the future."""
        day = value.date() if isinstance(value, dt.datetime) else value
        if self.past:
            _require_past(value, early=day < self.first, late=day > self.last, first=self.first)
        elif not self.first <= day <= self.last:
            raise ValidationError(f"Must be from {self.first} to {self.last}.")
        return value

    @property
    def description(self) -> str:
        """Return the bounds as a sentence for the published schema."""
        end = "and not in the future" if self.past else f"and not after {self.last}"
        return f"Not before {self.first} {end}."


class PastYears(Range):
    """Bounds a year; it must not be in the future. `max` is its bound where the time is not known."""

    def __call__(self, value: Any) -> Any:
        """Raises ValidationError for a year out of bounds, or in the future."""
        _require_past(value, early=value < self.min, late=value > self.max, first=self.min)
        return value

    @property
    def description(self) -> str:
        """Return the bounds as a sentence for the published schema."""
        return f"Not before {self.min}-01-01 and not in the future."


_EPOCH: Final = dt.date(2000, 1, 1)

# Past events; none is older than the network.
PastMoment = Annotated[dt.datetime, Within(_EPOCH, past=True)]
PastDate = Annotated[dt.date, Within(_EPOCH, past=True)]
PastYear = Annotated[int, PastYears(min=1800, max=2200)]
# A date that may be in the future.
AnyDate = Annotated[dt.date, Within(dt.date(1900, 1, 1))]


class at:
    """Set the current time for `Within` inside the block; None: no value counts as future."""

    __slots__ = ("_now", "_token")

    def __init__(self, now: dt.datetime | None) -> None:
        self._now = now

    def __enter__(self) -> None:
        self._token = _now.set(self._now)

    def __exit__(self, *_: object) -> None:
        _now.reset(self._token)


def _require_past(value: Any, *, early: bool, late: bool, first: dt.date | int) -> None:
    if early:
        raise ValidationError(f"Must not be before {first}.")
    now = _now.get()
    if late or (now is not None and _is_future(value, now)):
        raise ValidationError(_IN_THE_FUTURE)


def _is_future(value: dt.datetime | dt.date | int, now: dt.datetime) -> bool:
    if isinstance(value, dt.datetime):
        return value > now + CLOCK_TOLERANCE
    today = (now + _EASTERNMOST).date()
    return value > today.year if isinstance(value, int) else value > today
