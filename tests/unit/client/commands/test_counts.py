from __future__ import annotations

import pytest

from kopuro_client.commands.counts import count


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (2000, "2,000 entries")]
)
def test_noun_agrees_with_its_number(number: int, text: str) -> None:
    assert count(number, "entry", "entries") == text


def test_plural_has_an_s_unless_it_is_given() -> None:
    assert (count(1, "fault"), count(2, "fault")) == ("1 fault", "2 faults")
