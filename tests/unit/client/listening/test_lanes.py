"""Order and retries in virtual time."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from kopuro_client.listening.lanes import FIRST_PAUSE, LONGEST_DELAY, LONGEST_PAUSE, MOST_HELD, Lanes
from kopuro_client.records import Message


def message(number: int, referral: str, type_: str = "kopuro.offer.opened.v1") -> Message:
    return Message(
        specversion="1.0",
        id=str(number),
        source="/kg/routing",
        type=type_,
        time="2026-03-01T12:00:00Z",
        data={},
        partitionkey=referral,
    )


def lanes() -> Lanes:
    return Lanes(jitter=lambda: 1.0)


@given(
    st.lists(st.sampled_from("abc"), max_size=30),
    st.integers(0, 2**32),
    st.floats(0, 0.8),
)
def test_every_message_arrives_once_and_in_the_order_of_its_referral(
    referrals: list[str], seed: int, failing: float
) -> None:
    chance, now, waiting = random.Random(seed), 0.0, lanes()
    for number, referral in enumerate(referrals):
        waiting.add(message(number, referral))
    arrived: list[Message] = []
    while len(waiting):
        due = waiting.due(now)
        if due is None:
            waited = waiting.wait(now, 1000)
            assert 0 < waited <= LONGEST_DELAY
            now += waited
        elif chance.random() < failing:
            waiting.failed(now)
        else:
            arrived.append(due)
            waiting.accepted()
    for referral in "abc":
        ids = [int(m["id"]) for m in arrived if m.get("partitionkey") == referral]
        assert ids == [n for n, of in enumerate(referrals) if of == referral]


def test_messages_are_sent_in_the_order_of_the_mailbox_while_none_fails() -> None:
    waiting = lanes()
    for number, referral in enumerate("abacb"):
        waiting.add(message(number, referral))
    sent = []
    while (due := waiting.due(0)) is not None:
        sent.append(due["id"])
        assert waiting.accepted() == 0
    assert sent == ["0", "1", "2", "3", "4"]


def test_refused_message_holds_back_its_referral_and_no_other() -> None:
    waiting, now, sent = lanes(), 0.0, []
    waiting.add(message(0, "poison"))
    waiting.add(message(1, "poison"))
    attempts = 0
    for number in range(2, 400):
        waiting.add(message(number, f"r{number}"))
        while (due := waiting.due(now)) is not None:
            if due["id"] == "0":
                attempts += 1
                assert waiting.failed(now) == attempts
            else:
                sent.append(int(due["id"]))
                waiting.accepted()
        assert sent[-1] == number, "another referral waited"
        now += 1
    assert 1 not in sent
    assert 8 <= attempts <= 13  # 0.5 s, 1 s, 2 s ... then once a minute
    assert len(waiting) == 2


def test_target_that_is_down_is_asked_every_ten_seconds_at_most_and_found_again() -> None:
    waiting, now, attempts = lanes(), 0.0, 0
    for number in range(100):
        waiting.add(message(number, f"r{number}"))
    while now < 600:
        if waiting.due(now) is None:
            now += waiting.wait(now, 1000)
            continue
        attempts += 1
        waiting.failed(now)
    # Each referral has had its first attempt before the pauses grew.
    assert attempts < 600 / LONGEST_PAUSE + 100 + 20
    while len(waiting):
        if waiting.due(now) is None:
            now += waiting.wait(now, 1000)
        else:
            waiting.accepted()
    assert now < 600 + LONGEST_PAUSE + LONGEST_DELAY


def test_many_refused_referrals_delay_no_other() -> None:
    waiting, now = lanes(), 0.0
    for number in range(300):
        waiting.add(message(number, f"r{number}"))
    sent = 0
    while sent < 100:
        due = waiting.due(now)
        assert due is not None, "a pause, though the target is up"
        if int(due["id"]) < 200:
            waiting.failed(now, refused=True)
        else:
            sent += 1
            waiting.accepted()


def test_referrals_that_fail_again_and_again_do_not_keep_new_ones_from_a_first_attempt() -> None:
    waiting, now, accepted_at = lanes(), 0.0, 0.0
    for number in range(20):
        waiting.add(message(number, f"r{number}"))
    while not accepted_at:
        if (due := waiting.due(now)) is None:
            now += waiting.wait(now, 1000)
        elif due["id"] == "19":
            waiting.accepted()
            accepted_at = now
        else:
            waiting.failed(now)
    assert accepted_at < 20 * LONGEST_PAUSE


def test_pause_does_not_grow_while_a_referral_has_had_no_attempt() -> None:
    waiting, now = lanes(), 0.0
    for number in range(450):
        waiting.add(message(number, f"r{number}", "kopuro.referral.withdrawn.v1"))
    while (due := waiting.due(now)) is None or due["id"] != "449":
        if due is None:
            now += waiting.wait(now, 1000)
        else:
            waiting.failed(now)
    assert now <= 450 * FIRST_PAUSE


def test_offer_is_tried_first_while_the_target_seems_to_be_down() -> None:
    waiting, now = lanes(), 0.0
    for number in range(450):
        waiting.add(message(number, f"r{number}", "kopuro.referral.withdrawn.v1"))
    for _ in range(2):
        assert waiting.due(now) is not None
        waiting.failed(now)
    waiting.add(message(450, "offered"))
    now += waiting.wait(now, 1000)
    due = waiting.due(now)
    assert due is not None
    assert due["id"] == "450"
    waiting.accepted()
    # The target is up again, and the order is the mailbox's.
    waiting.add(message(451, "another"))
    due = waiting.due(now)
    assert due is not None
    assert due["id"] == "2"


def test_room_is_used_up_by_messages_that_are_not_accepted() -> None:
    waiting = lanes()
    for number in range(MOST_HELD):
        waiting.add(message(number, f"r{number}"))
    assert waiting.free == 0
    assert waiting.due(0) is not None
    waiting.accepted()
    assert waiting.free == 1
    assert waiting.wait(0, 30) == 0


def test_idle_lanes_wait_as_long_as_they_may() -> None:
    assert lanes().wait(0, 30) == 30
