"""Records that were decoded lately, by their text, for the lists that every reader gets."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, TypeVar

import orjson

from contracts.records import read

R = TypeVar("R")

# Bytes of text. A record takes some five times as much memory as its text.
MOST_BYTES: Final = 4 * 1024 * 1024


class DecodedRecords:
    """Reads records, which takes most of the time of a page, once for each text.

    A changed record has another text, so no stored record becomes wrong. Records are frozen: callers share
    them. The record that was not read for the longest time is forgotten first. Safe to share among greenlets.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[tuple[type, str], Any] = OrderedDict()

    def read(self, kind: type[R], text: str) -> R:
        """Return the record of a JSON text that this service has written."""
        key = kind, text
        record: R | None = self._known.get(key)
        if record is not None:
            self._known.move_to_end(key)
            return record
        record = read(kind, orjson.loads(text))
        self._known[key] = record
        self._bytes += len(text)
        while self._bytes > self._most_bytes:
            (_, forgotten), _ = self._known.popitem(last=False)
            self._bytes -= len(forgotten)
        return record
