from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.canonical import LARGEST_INTEGER
from contracts.errors import Refused
from runtime.web.paging import (
    NAME,
    NUMBER,
    UUID,
    CursorPart,
    decode_cursor,
    encode_cursor,
    integer_of,
    limit_of,
    position_of,
)
from tests.services.made_cursors import made_cursors

# The last value of a page, with its part of the position.
PLACES = (
    st.integers(0, LARGEST_INTEGER).map(lambda number: (number, NUMBER))
    | st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True).map(lambda name: (name, NAME))
    | st.uuids().map(lambda number: (str(number), UUID))
)


@given(st.lists(PLACES, min_size=1, max_size=4))
def test_cursor_round_trip_returns_the_position(places: list[tuple[str | int, CursorPart]]) -> None:
    position = tuple(value for value, _ in places)
    cursor = encode_cursor("mailbox", position)
    assert decode_cursor("mailbox", cursor, [part for _, part in places]) == position
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_other_text_is_refused_as_cursor(text: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_cursor("mailbox", text, (NAME,))
    assert (caught.value.slug, caught.value.status) == ("invalid-cursor", 400)


def test_changed_cursor_is_refused() -> None:
    cursor = encode_cursor("mailbox", ["018f", 7])
    for at in range(len(cursor)):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(Refused):
            decode_cursor("mailbox", changed, (NAME, NUMBER))


def test_cursor_of_another_list_with_a_long_name_is_refused() -> None:
    cursor = encode_cursor("mailbox kg.osh-legal-aid", [7])
    assert decode_cursor("mailbox kg.osh-legal-aid", cursor, (NUMBER,)) == (7,)
    for other in ("mailbox kg.osh-legal-help", "mailbox kg.osh-l", "mailbox"):
        with pytest.raises(Refused):
            decode_cursor(other, cursor, (NUMBER,))


def test_cursor_of_another_list_or_shape_is_refused() -> None:
    cursor = encode_cursor("mailbox", ["018f"])
    for scope, parts in [("history", (NAME,)), ("mailbox", (NUMBER,)), ("mailbox", (NAME, NAME))]:
        with pytest.raises(Refused):
            decode_cursor(scope, cursor, parts)


@given(
    position=st.lists(st.text() | st.integers(-(2**63), 2**64 - 1) | st.booleans() | st.none(), max_size=4),
    parts=st.lists(st.sampled_from([NUMBER, NAME, UUID]), min_size=1, max_size=3),
)
def test_forged_cursor_is_storable_or_refused(position: Any, parts: list[CursorPart]) -> None:
    try:
        found = decode_cursor("mailbox", encode_cursor("mailbox", position), parts)
    except Refused:
        return
    assert len(found) == len(parts)
    for value in found:
        assert (type(value) is int and 0 <= value < 2**53) or (value.isascii() and value.isprintable())


@pytest.mark.parametrize("parts", [(NUMBER,), (UUID,), (NAME,), (NUMBER, NUMBER), (NAME, NAME), (NAME,) * 3])
def test_forged_cursor_of_wrong_form_is_refused(parts: tuple[CursorPart, ...]) -> None:
    for cursor in made_cursors("mailbox"):
        with pytest.raises(Refused, match="`after` must be"):
            decode_cursor("mailbox", cursor, parts)


def test_missing_or_empty_cursor_starts_at_the_beginning() -> None:
    assert position_of({}, "mailbox", (NUMBER,)) is None
    assert position_of({"after": ""}, "mailbox", (NUMBER,)) is None
    assert position_of({"after": encode_cursor("mailbox", [7])}, "mailbox", (NUMBER,)) == (7,)


@pytest.mark.parametrize(("text", "value"), [(None, 50), ("1", 1), ("200", 200), ("007", 7)])
def test_limit_within_bounds_is_accepted(text: str | None, value: int) -> None:
    assert limit_of({} if text is None else {"limit": text}) == value


@pytest.mark.parametrize("text", ["", "0", "201", "-1", "1.0", "ten", "٣", "1_0", " 1", "9" * 5000])
def test_limit_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        limit_of({"limit": text})
    assert caught.value.slug == "invalid-parameter"
    assert caught.value.detail == "`limit` must be a whole number from 1 to 200."


def test_integer_parameter_has_its_own_bounds() -> None:
    assert integer_of({"wait": "0"}, "wait", default=5, minimum=0, maximum=30) == 0
    assert integer_of({}, "wait", default=5, minimum=0, maximum=30) == 5
