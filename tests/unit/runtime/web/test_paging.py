from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Refused
from runtime.web.paging import decode_cursor, encode_cursor, integer_of, limit_of

SCALARS = st.text() | st.integers(min_value=-(2**63), max_value=2**63 - 1)


@given(st.lists(SCALARS, min_size=1, max_size=4))
def test_a_cursor_comes_back_as_it_was(position: list[str | int]) -> None:
    cursor = encode_cursor("mailbox", position)
    assert decode_cursor("mailbox", cursor, [type(value) for value in position]) == tuple(position)
    assert cursor.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_nothing_else_is_taken_for_a_cursor(text: str) -> None:
    with pytest.raises(Refused) as caught:
        decode_cursor("mailbox", text, (str,))
    assert (caught.value.slug, caught.value.status) == ("invalid-cursor", 400)


def test_a_changed_cursor_is_refused() -> None:
    cursor = encode_cursor("mailbox", ["018f", 7])
    for at in range(len(cursor)):
        changed = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        with pytest.raises(Refused):
            decode_cursor("mailbox", changed, (str, int))


def test_a_cursor_of_another_list_or_shape_is_refused() -> None:
    cursor = encode_cursor("mailbox", ["018f"])
    for scope, types in [("history", (str,)), ("mailbox", (int,)), ("mailbox", (str, str))]:
        with pytest.raises(Refused):
            decode_cursor(scope, cursor, types)


@pytest.mark.parametrize(("text", "value"), [(None, 50), ("1", 1), ("200", 200), ("007", 7)])
def test_a_limit_within_bounds_is_read(text: str | None, value: int) -> None:
    assert limit_of({} if text is None else {"limit": text}) == value


@pytest.mark.parametrize("text", ["", "0", "201", "-1", "1.0", "ten", "٣", "1_0", " 1", "9" * 5000])
def test_any_other_limit_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        limit_of({"limit": text})
    assert caught.value.slug == "invalid-parameter"
    assert caught.value.detail == "`limit` must be a whole number from 1 to 200."


def test_other_numbers_have_their_own_bounds() -> None:
    assert integer_of({"wait": "0"}, "wait", default=5, minimum=0, maximum=30) == 0
    assert integer_of({}, "wait", default=5, minimum=0, maximum=30) == 5
