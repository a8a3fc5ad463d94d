"""When something may have happened: the bounds of every time that a partner sends.

`load(cls, data, now=...)` refuses a time in the future where the field says `past`. Without `now`, only the
fixed bounds are checked: the contracts know no clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any, Final

from marshmallow import ValidationError
from marshmallow.validate import Range, Validator

# A partner's clock may be so much ahead of ours.
CLOCK_TOLERANCE: Final = dt.timedelta(minutes=5)
# A day begins up to 14 hours earlier elsewhere than in UTC.
_EASTERNMOST: Final = dt.timedelta(hours=14)

_now: ContextVar[dt.datetime | None] = ContextVar("now", default=None)


class Within(Validator):
    """The first and the last day that a time, a date or a year may name; past: whether it must be over."""

    def __init__(self, first: dt.date, last: dt.date = dt.date(2200, 12, 31), *, past: bool = False) -> None:
        self.first = first
        self.last = last
        self.past = past

    def __call__(self, value: Any) -> Any:
        """Raises ValidationError for what is out of bounds, or in the future."""
        if isinstance(value, int):
            inside = self.first.year <= value <= self.last.year
        else:
            day = value.date() if isinstance(value, dt.datetime) else value
            inside = self.first <= day <= self.last
        if not inside:
            raise ValidationError(f"Not within {self.first} and {self.last}.")
        now = _now.get()
        if self.past and now is not None and _is_future(value, now):
            raise ValidationError("In the future.")
        return value

    @property
    def description(self) -> str:
        """For the published schema."""
        end = "and not in the future" if self.past else f"and not after {self.last}"
        return f"Not before {self.first} {end}."


_EPOCH: Final = dt.date(2000, 1, 1)

# Something that has happened: earlier than the network there is nothing to tell.
PastMoment = Annotated[dt.datetime, Within(_EPOCH, past=True)]
PastDate = Annotated[dt.date, Within(_EPOCH, past=True)]
PastYear = Annotated[int, Range(min=1800, max=2200), Within(dt.date(1800, 1, 1), past=True)]
# A day that may be ahead.
AnyDate = Annotated[dt.date, Within(dt.date(1900, 1, 1))]


@contextmanager
def at(now: dt.datetime | None) -> Iterator[None]:
    """Within the block, times after `now` are in the future; None: nothing is."""
    token = _now.set(now)
    try:
        yield
    finally:
        _now.reset(token)


def _is_future(value: dt.datetime | dt.date | int, now: dt.datetime) -> bool:
    if isinstance(value, dt.datetime):
        return value > now + CLOCK_TOLERANCE
    today = (now + _EASTERNMOST).date()
    return value > today.year if isinstance(value, int) else value > today
