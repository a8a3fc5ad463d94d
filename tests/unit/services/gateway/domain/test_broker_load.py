"""The work that an organisation may cause at the partners' broker, and for how long it is banned."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.domain.broker_load import (
    BURST,
    CALM,
    CONNECTION,
    FIRST_BAN,
    LONGEST_BAN,
    RATE,
    RECEIVED_BYTE,
    SENT_BYTE,
    Account,
    BrokerSample,
    ConnectionLoad,
    work_between,
)

OSH = "kg.osh-legal-aid"
OTHER = "ru.moscow-common-table"


def load(name: str = "a", *, opened: int = 1, reductions: int = 0, **fields: Any) -> ConnectionLoad:
    return ConnectionLoad(
        **{"organization": OSH, "name": name, "opened": opened, "reductions": reductions, **fields}
    )


def sample(*connections: ConnectionLoad) -> BrokerSample:
    return BrokerSample(connections=connections)


def test_work_is_what_was_done_since_the_last_sample_on_all_connections() -> None:
    before = sample(load("a", reductions=100), load("b", reductions=7), load("c", organization=OTHER))
    after = sample(load("a", reductions=150), load("b", reductions=10), load("c", organization=OTHER))
    assert work_between(before, after) == {OSH: 53, OTHER: 0}


def test_bytes_count_beside_reductions() -> None:
    after = sample(load(reductions=10, received=2_000, sent=3_000))
    assert work_between(sample(load()), after) == {
        OSH: pytest.approx(10 + 2_000 * RECEIVED_BYTE + 3_000 * SENT_BYTE)
    }


def test_new_connection_counts_as_a_whole_and_its_opening_too() -> None:
    after = sample(load("a"), load("b", opened=2, reductions=30))
    assert work_between(sample(load("a")), after) == {OSH: 30 + CONNECTION}


def test_name_that_is_used_again_is_a_new_connection() -> None:
    before = sample(load("a", opened=1, reductions=1_000))
    assert work_between(before, sample(load("a", opened=2, reductions=30))) == {OSH: 30 + CONNECTION}


def test_connection_whose_statistics_were_missing_owes_nothing_for_the_past() -> None:
    before = sample(load("a", opened=5))
    assert work_between(before, sample(load("a", opened=5), load("b", opened=4, reductions=10**9))) == {
        OSH: 0
    }


def test_neither_the_rate_nor_a_burst_is_ever_too_much() -> None:
    account = Account(at=0.0)
    for turn in range(1, 1_000):
        account = account.charged(RATE * 5, turn * 5.0)
    account = account.charged(BURST, 5_000.0)
    assert account.until is None


def test_more_than_the_rate_for_long_is_banned() -> None:
    account, now = Account(at=0.0), 0.0
    while account.until is None:
        now += 5.0
        account = account.charged(2 * RATE * 5, now)
    assert BURST / RATE < now <= BURST / RATE + 5


def test_wide_headers_are_banned_although_their_reader_does_little() -> None:
    """Measured on RabbitMQ 3.10.8: 36 messages a second of 129 kB of header fields take 0.42 of a core."""
    account, seconds = Account(at=0.0), 0
    while account.until is None and seconds < 180:
        seconds += 5
        one = load(reductions=4_300 * 5, received=36 * 129_000 * 5)
        account = account.charged(one.work, float(seconds))
    assert account.until is not None


def test_full_queue_and_a_read_mailbox_fit_into_the_burst() -> None:
    submissions = load(reductions=2_000 * 150, received=256 * 2**20)
    mailbox = load(reductions=10_000 * 150, sent=10_000 * 13_000)
    account = Account(at=0.0).charged(submissions.work, 0.0)
    assert account.charged(mailbox.work, 60.0).until is None


def test_rate_of_submissions_of_64_kilobytes_is_never_too_much() -> None:
    second = load(reductions=10 * 2 * 150, received=10 * 65_536, sent=20 * 13_000)
    assert second.work < RATE


def test_ban_ends_when_it_is_released_and_not_before_its_time() -> None:
    account = Account(at=0.0).charged(2 * BURST, 0.0)
    assert account.until == FIRST_BAN
    assert not account.is_due(FIRST_BAN - 1)
    assert account.is_due(FIRST_BAN)
    # The broker is away: the organisation stays banned, whatever the counts are.
    account = account.charged(10 * BURST, FIRST_BAN + 100)
    assert account.is_due(FIRST_BAN + 100)
    assert account.after_release(FIRST_BAN + 100).until is None


def test_bans_double_up_to_the_longest_and_are_short_again_after_calm() -> None:
    account, now, lengths = Account(at=0.0), 0.0, []
    for _ in range(9):
        account = account.charged(2 * BURST, now)
        assert account.until is not None
        lengths.append(account.until - now)
        now = account.until
        account = account.after_release(now)
    assert lengths[:3] == [FIRST_BAN, 2 * FIRST_BAN, 4 * FIRST_BAN]
    assert lengths[-1] == lengths[-2] == LONGEST_BAN
    account = account.charged(0.0, now + CALM - 1)
    assert not account.equals_new
    now += CALM
    account = account.charged(0.0, now)
    assert account.equals_new
    assert account.charged(2 * BURST, now).banned == FIRST_BAN


def test_flood_after_a_ban_gets_what_the_time_has_emptied_and_no_more() -> None:
    account = Account(at=0.0).charged(10 * BURST, 0.0).after_release(FIRST_BAN)
    assert account.filled == BURST - RATE * FIRST_BAN
    assert account.charged(RATE * FIRST_BAN + 1, FIRST_BAN).banned == 2 * FIRST_BAN
