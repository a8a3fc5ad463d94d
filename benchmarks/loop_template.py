"""Loop templates: the database rows of a real closed loop, with placeholders for ids and times.

A history consists of instances of real loops, so it always has the shape of what the services write. Every
instance has other UUIDs and shifted times; everything else stays. An id or time is mapped to the same value
in all services' databases, because the mapping depends only on the loop.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

SECOND: Final = 1_000_000  # microseconds, as all moments are
DAY: Final = 86_400 * SECOND
# A recorded loop takes a second, a loop between people some hours: instances overlap accordingly.
STRETCH: Final = 3_600

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_OPEN = re.compile(
    r"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)"
)
_MILLISECOND_AT = 80  # where a UUIDv7's milliseconds begin (RFC 9562 §5.7)
_REST = (1 << _MILLISECOND_AT) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopInstance:
    """An instance of a template. moment: of its submission; twist: 62 unique bits."""

    moment: int
    twist: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Loop:
    """The time span of a recorded loop."""

    begin: int
    end: int

    def moved(self, moment: int, instance: LoopInstance) -> int:
        """Return the moment in the instance. Deadlines keep their distance and are not stretched."""
        since = moment - self.begin
        return instance.moment + (since if moment > self.end else since * STRETCH)

    def renamed(self, number: int, instance: LoopInstance) -> str:
        """Return the UUIDv7 in the instance: shifted milliseconds, twisted random bits."""
        milliseconds = self.moved((number >> _MILLISECOND_AT) * 1000, instance) // 1000
        text = f"{milliseconds << _MILLISECOND_AT | (number & _REST) ^ instance.twist:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True)
class _Text:
    form: str
    slots: Callable[[Any], Any]  # the values to fill in, or the only one
    is_bytes: bool


class LoopTemplate:
    """Collects values of a recorded loop and returns them for an instance: `values(instance)[slot]`."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        # A constant's kind is part of its key: 1 and True are equal.
        self._constants: dict[tuple[type, Any], int] = {}
        self._ids: dict[int, int] = {}
        self._moments: dict[int, int] = {}
        self._written: dict[int, int] = {}  # moments as text
        self._texts: dict[tuple[str, bool], int] = {}
        self._forms: list[_Text] = []
        self._count = 0

    def moment(self, value: int) -> int:
        """Return the slot of a moment."""
        return self._slot(self._moments, value)

    def take(self, value: Any) -> int:
        """Return the slot of a column value. Ids and moments in text and bytes are found."""
        if isinstance(value, bytes | str):
            # Bytes that are not text, such as salts, hold no ids and moments that could be found.
            text = value if isinstance(value, str) else value.decode(errors="surrogateescape")
            if _OPEN.search(text) is not None:
                return self._take_text(text, is_bytes=isinstance(value, bytes))
        return self._slot(self._constants, (type(value), value))

    def values(self, instance: LoopInstance) -> list[Any]:
        """Return every value of the instance, by slot."""
        loop = self.loop
        values: list[Any] = [None] * self._count
        for (_, constant), slot in self._constants.items():
            values[slot] = constant
        for number, slot in self._ids.items():
            values[slot] = loop.renamed(number, instance)
        for moment, slot in self._moments.items():
            values[slot] = loop.moved(moment, instance)
        for moment, slot in self._written.items():
            values[slot] = written(loop.moved(moment, instance))
        for form, slot in zip(self._forms, self._texts.values(), strict=True):
            text = form.form % form.slots(values)
            values[slot] = text.encode() if form.is_bytes else text
        return values

    def _take_text(self, text: str, *, is_bytes: bool) -> int:
        whole = _OPEN.fullmatch(text)
        if whole is not None and not is_bytes:
            return self._open(whole)
        known = self._texts.get((text, is_bytes))
        if known is not None:
            return known
        slots, parts, at = [], [], 0
        for found in _OPEN.finditer(text):
            slots.append(self._open(found))
            parts.append(text[at : found.start()].replace("%", "%%"))
            at = found.end()
        parts.append(text[at:].replace("%", "%%"))
        self._forms.append(_Text("%s".join(parts), itemgetter(*slots), is_bytes))
        return self._slot(self._texts, (text, is_bytes))

    def _open(self, found: re.Match[str]) -> int:
        if found["id"]:
            return self._slot(self._ids, int(found["id"].replace("-", ""), 16))
        return self._slot(self._written, read(found["moment"]))

    def _slot(self, slots: dict[Any, int], key: Any) -> int:
        slot = slots.get(key)
        if slot is None:
            slot = slots[key] = self._count
            self._count += 1
        return slot


def written(moment: int) -> str:
    """Return a moment as `2026-01-28T06:47:00.000000Z`."""
    return (_EPOCH + dt.timedelta(microseconds=moment)).isoformat(timespec="microseconds")[:-6] + "Z"


def read(text: str) -> int:
    """Parse the output of `written`."""
    return (dt.datetime.fromisoformat(text) - _EPOCH) // dt.timedelta(microseconds=1)
