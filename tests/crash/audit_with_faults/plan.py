"""The fault plan that a test shares with the process under test."""

from __future__ import annotations

from enum import StrEnum

# The variable that names the plan's file; while the file is not there, nothing happens.
FAULTS = "KOPURO_TEST_FAULTS"
# The file beside it that the process writes when it has come to the point.
REACHED = "reached"


class Point(StrEnum):
    """The crash points of a publication, as `handlers.publisher` names them, and three within them."""

    appended = "appended, not yet published"
    half_of_the_tiles = "half of the tiles written"
    tiles_written = "tiles written, checkpoint not yet swapped"
    swapped = "swapped, not yet noted"
    swap_failed = "swap failed"
    swap_failed_but_persisted = "swap failed but persisted"
