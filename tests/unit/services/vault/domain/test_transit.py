from __future__ import annotations

import datetime as dt

import pytest

from services.vault.domain.transit import QUIET, WATCHED, TransitKey, is_next_due, next_published_at, spent

NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
PERIOD = dt.timedelta(hours=1)
SETTLE = dt.timedelta(minutes=5)
NEWEST = TransitKey(kid="newest", published_at=NOW)


def key(*, age: dt.timedelta = 2 * PERIOD, opened: int = 3, sealed: int | None = 3) -> TransitKey:
    closed_at = None if sealed is None else NOW - SETTLE
    return TransitKey(kid="older", published_at=NOW - age, opened=opened, sealed=sealed, closed_at=closed_at)


def test_key_is_due_without_one_and_after_its_period() -> None:
    assert is_next_due([], NOW, PERIOD)
    assert not is_next_due([NEWEST], NOW + PERIOD - SETTLE, PERIOD)
    assert is_next_due([NEWEST], NOW + PERIOD, PERIOD)


def test_key_dated_in_the_future_does_not_stop_later_keys() -> None:
    """The clock was a month ahead when the newest key was published."""
    ahead = [TransitKey(kid="ahead", published_at=NOW + dt.timedelta(days=30))]
    assert is_next_due(ahead, NOW, PERIOD)
    assert is_next_due(ahead, NOW, PERIOD, made_at=NOW + dt.timedelta(days=30))
    assert not is_next_due(ahead, NOW + PERIOD - SETTLE, PERIOD, made_at=NOW)
    assert is_next_due(ahead, NOW + PERIOD, PERIOD, made_at=NOW)


def test_next_key_is_later_than_every_earlier_one_when_the_clock_goes_back() -> None:
    assert next_published_at([NEWEST], NOW - PERIOD) > NEWEST.published_at
    assert next_published_at([NEWEST], NOW + PERIOD) == NOW + PERIOD


def test_key_whose_messages_were_all_read_is_spent() -> None:
    assert spent([key(), NEWEST], NOW, settle=SETTLE, quiet_since=None) == [key()]


def test_key_that_was_published_again_is_not_spent_by_its_counts() -> None:
    again = key(opened=0, sealed=0, age=3 * QUIET)
    used = TransitKey(kid="used", published_at=NOW - QUIET, opened=1)
    keys, older = [again, used, NEWEST], [again.kid]
    assert spent(keys, NOW, settle=SETTLE, quiet_since=None) == [again]
    assert spent(keys, NOW, settle=SETTLE, quiet_since=None, republished=older) == []
    assert spent(keys, NOW, settle=SETTLE, quiet_since=NOW - WATCHED, republished=older) == [again]


@pytest.mark.parametrize(
    "kept",
    [
        key(opened=2),  # one is in the outbox, at the broker, among the retries or the dead letters
        key(opened=4),  # intake's database was restored
        key(opened=3, sealed=None),  # intake may seal more
        key(opened=0, sealed=None),
    ],
)
def test_key_with_a_message_that_may_come_is_kept(kept: TransitKey) -> None:
    assert spent([kept, NEWEST], NOW, settle=SETTLE, quiet_since=None) == []
    assert spent([kept, NEWEST], NOW, settle=SETTLE, quiet_since=NOW - WATCHED) == []


def test_closed_key_is_kept_while_it_settles() -> None:
    assert spent([key(), NEWEST], NOW - SETTLE / 2, settle=SETTLE, quiet_since=None) == []


def test_newest_key_is_never_spent() -> None:
    newest = TransitKey(kid="newest", published_at=NOW - 9 * QUIET, opened=3, sealed=3, closed_at=NOW - QUIET)
    assert spent([newest], NOW, settle=SETTLE, quiet_since=NOW - QUIET) == []


def test_key_of_a_discarded_message_is_spent_when_a_newer_one_was_used_and_no_earlier_message_waits() -> None:
    lost = key(opened=2, age=3 * QUIET)
    used = TransitKey(kid="used", published_at=NOW - QUIET, opened=1)
    unused = TransitKey(kid="unused", published_at=NOW - QUIET)
    quiet = NOW - WATCHED
    assert spent([lost, used, NEWEST], NOW, settle=SETTLE, quiet_since=quiet) == [lost]
    assert spent([lost, unused, NEWEST], NOW, settle=SETTLE, quiet_since=quiet) == []
    assert spent([lost, used, NEWEST], NOW, settle=SETTLE, quiet_since=None) == []
    assert spent([lost, used, NEWEST], NOW, settle=SETTLE, quiet_since=NOW - WATCHED / 2) == []
    early = TransitKey(kid="used", published_at=NOW - QUIET / 2, opened=1)
    assert spent([lost, early, NEWEST], NOW, settle=SETTLE, quiet_since=quiet) == []
