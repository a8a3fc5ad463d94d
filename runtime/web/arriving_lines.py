"""A limit on the lines of a batch that is checked while the batch arrives.

A batch may have 8 MiB. Its handler refuses an invalid line on its own, but only when the whole batch is in
memory. A line far beyond what a valid one has is not a mistake of an honest program: the batch is refused at
once, and the rest of it is not read.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import Refused
from contracts.jose import LONGEST_SEALED
from contracts.json_limits import MOST_VALUES, SEPARATORS_PER_VALUE, separators

LARGEST_PIECE: Final = 64 * 1024
LONGEST: Final = 2 * (LONGEST_SEALED + 64 * 1024)  # bytes; twice what a line may have
# Commas and opening brackets: twice what any document may have, and more than a piece can hold.
MOST_SEPARATORS: Final = 2 * MOST_VALUES * SEPARATORS_PER_VALUE


class ArrivingLines:
    """The line of a batch that is arriving."""

    def __init__(self) -> None:
        self._length = 0
        self._separators = 0

    def add(self, piece: bytes) -> None:
        """Take the next piece of the body, of at most LARGEST_PIECE: a line within one is never too long.

        Raises Refused `body-too-large` as soon as a line exceeds LONGEST or MOST_SEPARATORS.
        """
        end = piece.find(b"\n")
        self._lengthen(piece if end < 0 else piece[:end])
        if end >= 0:
            self._length = self._separators = 0
            self._lengthen(piece[piece.rfind(b"\n") + 1 :])

    def _lengthen(self, part: bytes) -> None:
        self._length += len(part)
        self._separators += separators(part)
        if self._length > LONGEST:
            raise Refused("body-too-large", f"A line has more than {LONGEST} bytes: nothing was submitted.")
        if self._separators > MOST_SEPARATORS:
            raise Refused(
                "body-too-large",
                f"A line has more than {MOST_SEPARATORS} commas and opening brackets: nothing was submitted.",
            )
