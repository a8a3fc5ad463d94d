"""A clock for tests of handlers."""

import datetime as dt


class SettableClock:
    """Stands still at `time` until a test sets another."""

    def __init__(self, time: dt.datetime) -> None:
        self.time = time

    def now(self) -> dt.datetime:
        return self.time
