"""How many bytes of submissions are in hand, and whose go back."""

from __future__ import annotations

import pytest

from services.gateway.adapters.rabbit_submissions import PREFETCH
from services.gateway.domain.in_hand import MOST_IN_HAND, MOST_PROCESSED, may_begin, to_hand_back
from services.gateway.submission_processor import LONGEST_BODY


@pytest.mark.parametrize(
    ("waiting", "processed", "handed"),
    [
        ({}, 0, []),
        ({"a": 60, "b": 40}, 0, []),
        ({"a": 60, "b": 41}, 0, ["a"]),
        ({"a": 41, "b": 60}, 0, ["b"]),
        ({"a": 50, "b": 50, "c": 51}, 0, ["c"]),
        ({"b": 50, "a": 50, "c": 10}, 0, ["a"]),
        ({"a": 90, "b": 80, "c": 70}, 0, ["a", "b"]),
        ({"a": 1, "b": 20}, 90, ["b"]),
        ({"a": 1, "b": 20}, 200, ["b", "a"]),
        ({"a": 0}, 200, []),
    ],
)
def test_organizations_with_most_bytes_go_back_until_the_rest_fits(
    waiting: dict[str, int], processed: int, handed: list[str]
) -> None:
    assert to_hand_back(waiting, processed, most=100) == handed


def test_batch_begins_beside_others_within_the_bound_and_alone_always() -> None:
    assert may_begin(60, 40, most=100)
    assert not may_begin(61, 40, most=100)
    assert may_begin(500, 0, most=100)


def test_one_organization_alone_is_never_handed_back() -> None:
    assert PREFETCH * LONGEST_BODY < MOST_PROCESSED < MOST_IN_HAND
