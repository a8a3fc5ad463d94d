from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from services.delivery.domain.seeking import CLOCKS_DIFFER, sequence_before

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DIFFERENCE = int(CLOCKS_DIFFER.total_seconds())


@st.composite
def mailboxes(draw: st.DrawFn) -> list[tuple[int, dt.datetime]]:
    """Messages in order, with gaps in the numbers and with clocks that differ as much as they may."""
    found, sequence, true = [], 0, 0
    for gap, later, error in draw(
        st.lists(
            st.tuples(st.integers(1, 5), st.integers(0, 3000), st.integers(-DIFFERENCE, DIFFERENCE)),
            max_size=40,
        )
    ):
        sequence, true = sequence + gap, true + later
        found.append((sequence, START + dt.timedelta(seconds=true + error)))
    return found


@given(mailboxes(), st.integers(-1000, 130_000))
def test_sequence_before_skips_no_message_of_the_time_whatever_the_clocks_say(
    messages: list[tuple[int, dt.datetime]], seconds: int
) -> None:
    moment = START + dt.timedelta(seconds=seconds)
    newest = messages[-1][0] if messages else 0
    found = sequence_before(moment, newest, lambda at: next((m for m in messages if m[0] >= at), None))
    assert all(sequence > found for sequence, queued_at in messages if queued_at >= moment)
    # No earlier than the clocks demand.
    assert all(
        queued_at >= moment - 4 * CLOCKS_DIFFER for sequence, queued_at in messages if sequence > found
    )


def test_ends_of_the_calendar_are_before_and_after_every_message() -> None:
    first = dt.datetime(dt.MINYEAR, 1, 1, tzinfo=dt.UTC)
    last = dt.datetime(dt.MAXYEAR, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    assert sequence_before(first, 9, lambda at: (at, START)) == 0
    assert sequence_before(last, 9, lambda at: (at, START)) == 9


def test_sequence_before_probes_a_full_mailbox_some_twenty_times() -> None:
    probes = 0

    def probe(sequence: int) -> tuple[int, dt.datetime]:
        nonlocal probes
        probes += 1
        return sequence, START + dt.timedelta(seconds=sequence)

    assert sequence_before(START + dt.timedelta(seconds=700_000), 1_000_000, probe) == 699_399
    assert probes <= 21
