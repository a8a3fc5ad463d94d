"""Lines of a batch, checked while they arrive."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.json_limits import MOST_VALUES, SEPARATORS_PER_VALUE
from runtime.web.arriving_lines import LARGEST_PIECE, LONGEST, MOST_SEPARATORS, ArrivingLines
from services.gateway.submission_processor import LONGEST_BODY
from services.intake.ndjson import LONGEST_LINE


def pieces_until_refusal(body: bytes, size: int = LARGEST_PIECE) -> int | None:
    """Return how many pieces were taken when the body was refused; None if it was taken whole."""
    lines = ArrivingLines()
    for number, start in enumerate(range(0, len(body), size), start=1):
        try:
            lines.add(body[start : start + size])
        except Refused:
            return number
    return None


def test_nested_line_is_refused_after_its_first_pieces() -> None:
    assert pieces_until_refusal(b"[" * (8 * 1024 * 1024)) == MOST_SEPARATORS // LARGEST_PIECE + 1


def test_line_without_an_end_is_refused_beyond_its_length() -> None:
    assert pieces_until_refusal(b"x" * (8 * 1024 * 1024)) == LONGEST // LARGEST_PIECE + 1


@pytest.mark.parametrize("size", [1000, LARGEST_PIECE])
def test_limits_are_of_one_line_and_a_further_byte_is_refused(size: int) -> None:
    longest, costliest = b"x" * LONGEST, b"," * MOST_SEPARATORS
    assert (
        pieces_until_refusal(b"\n".join([longest, costliest, b"", longest, costliest, b"\n"]), size) is None
    )
    assert pieces_until_refusal(longest + b"x", size) is not None
    assert pieces_until_refusal(costliest + b",", size) is not None
    assert pieces_until_refusal(b"{}\n" + longest + b"x\n{}", size) is not None


def test_limits_are_well_above_those_of_a_line_and_of_the_gateway() -> None:
    assert max(LONGEST_LINE, LONGEST_BODY) * 3 // 2 < LONGEST
    assert MOST_VALUES * SEPARATORS_PER_VALUE * 3 // 2 < MOST_SEPARATORS
