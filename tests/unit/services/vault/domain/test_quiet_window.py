"""The window in which no earlier message can be waiting for the vault."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.vault.domain.quiet_window import IN_PROGRESS, MOST_BETWEEN, QuietWindow, WaitingForVault
from tests.long_run import times

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
NOTHING = WaitingForVault(queued=0, dead_letters=0, oldest_retry=None)


def test_window_begins_with_the_first_count_although_new_messages_keep_waiting() -> None:
    window = QuietWindow()
    assert window.observe(replace(NOTHING, queued=3, oldest_retry=NOW - MINUTE), NOW) is None
    assert window.observe(replace(NOTHING, oldest_retry=NOW - MINUTE), NOW + MINUTE) is None
    for minute in range(2, 9):
        busy = replace(NOTHING, queued=3, oldest_retry=NOW + minute * MINUTE)
        began = NOW if minute * MINUTE > MINUTE + IN_PROGRESS else None
        assert window.observe(busy, NOW + minute * MINUTE) == began


def observed(window: QuietWindow, start: dt.datetime, minutes: int) -> dt.datetime | None:
    """Return what the window says after minutes in which nothing waited."""
    return [window.observe(NOTHING, start + minute * MINUTE) for minute in range(minutes)][-1]


@pytest.mark.parametrize("interruption", [None, replace(NOTHING, dead_letters=1)])
def test_dead_letter_or_absence_of_the_broker_begins_another_window(
    interruption: WaitingForVault | None,
) -> None:
    window = QuietWindow()
    assert observed(window, NOW, 6) is None, "a message may be in progress"
    assert observed(window, NOW + 6 * MINUTE, 1) == NOW
    later = NOW + 7 * MINUTE
    assert window.observe(interruption, later) is None
    assert window.observe(replace(NOTHING, queued=1), later + MINUTE) is None
    assert observed(window, later + 2 * MINUTE, 6) is None, "not seen empty for long enough"
    assert observed(window, later + 8 * MINUTE, 1) == later + MINUTE


@pytest.mark.parametrize("pause", [MOST_BETWEEN + MINUTE, -MINUTE])
def test_long_pause_or_clock_set_back_begins_another_window(pause: dt.timedelta) -> None:
    window = QuietWindow()
    assert observed(window, NOW, 7) == NOW
    again = NOW + 6 * MINUTE + pause
    assert observed(window, again, 6) is None
    assert observed(window, again + 6 * MINUTE, 1) == again


# The event of each minute. Messages are taken in the order of their arrival.
_STEPS = st.lists(
    st.sampled_from(["arrive", "take", "finish", "postpone", "retry", "fail", "replay", "discard"]),
    max_size=40,
)


@settings(max_examples=times(50, 200))
@given(_STEPS)
@example(["arrive", "take", "postpone"])
@example(["arrive", "take", *["arrive"] * 9])
@example(["arrive", "take", *["discard"] * 3, "postpone", *["discard"] * 9])
@example(["arrive", "take", "postpone", *["arrive", "take", "finish"] * 4])
def test_message_that_was_waiting_at_the_beginning_of_the_window_is_gone(steps: list[str]) -> None:
    window, now = QuietWindow(), NOW
    queue: list[int] = []
    retries: list[tuple[int, dt.datetime]] = []
    dead: list[int] = []
    taken: list[tuple[int, dt.datetime]] = []
    waiting_at: dict[dt.datetime, set[int]] = {}
    for number, step in enumerate(steps):
        now += MINUTE
        while taken and now - taken[0][1] >= IN_PROGRESS:  # a message is in progress for less than that
            retries.append((taken.pop(0)[0], now))
        if step == "arrive":
            queue.append(number)
        elif step == "take" and queue:
            taken.append((queue.pop(0), now))
        elif step == "finish" and taken:
            taken.pop(0)
        elif step == "postpone" and taken:
            retries.append((taken.pop(0)[0], now))
        elif step == "retry" and retries:
            retries.pop()
        elif step == "fail" and retries:
            dead.append(retries.pop()[0])
        elif step == "replay" and dead:
            queue.append(dead.pop())
        elif step == "discard" and dead:
            dead.pop()
        present = {*queue, *dead, *(message for message, _ in [*retries, *taken])}
        waiting_at[now] = present
        began = window.observe(
            WaitingForVault(
                queued=len(queue),
                dead_letters=len(dead),
                oldest_retry=min((seen for _, seen in retries), default=None),
            ),
            now,
        )
        if began is not None:
            assert not waiting_at[began] & present
