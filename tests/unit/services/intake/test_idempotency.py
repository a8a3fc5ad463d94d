"""The same key and body is the same referral, however often and however close together it comes."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contracts.errors import Refused
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import IDEMPOTENCY_KEYS
from services.intake.domain.members import Member
from services.intake.handlers import IDEMPOTENCY_KEYS_KEPT
from tests.unit.services.intake.desk import Desk
from tests.unit.services.intake.samples import MOSCOW, NOON, OSH, claim, sealed

CALLERS = 50


def conflicts(desk: Desk, key: str, body: bytes, **changes: Any) -> None:
    with pytest.raises(Refused) as caught:
        desk.submit(claim(key, body), **changes)
    assert (caught.value.slug, caught.value.status) == ("idempotency-conflict", 409)


def test_a_repeated_request_is_answered_as_the_first_one_and_writes_nothing(desk: Desk) -> None:
    first = desk.submit(claim("k", b"body"))
    assert desk.submit(claim("k", b"body")) == first
    assert desk.counts() == (1, 1, 2)


def test_another_body_under_the_same_key_is_a_conflict(desk: Desk) -> None:
    desk.submit(claim("k", b"body"))
    conflicts(desk, "k", b"another body", accepts_cost=True)
    assert desk.counts() == (1, 1, 2)


def test_two_keys_are_two_referrals_and_so_are_two_requests_without_one(desk: Desk) -> None:
    found = {desk.submit(claim("a")), desk.submit(claim("b")), desk.submit(), desk.submit()}
    assert len(found) == 4
    assert desk.counts() == (4, 2, 8)


def test_the_same_key_of_two_organisations_is_two_keys(desk: Desk) -> None:
    mine = desk.submit(claim("k", b"mine", OSH))
    theirs = desk.submit(claim("k", b"theirs", MOSCOW), by=MOSCOW)
    assert mine != theirs
    assert desk.counts() == (2, 2, 4)
    assert desk.submit(claim("k", b"theirs", MOSCOW), by=MOSCOW) == theirs


def test_within_one_group_the_first_one_counts(desk: Desk) -> None:
    same = [desk.prepared(claim("k", b"body")) for _ in range(3)]
    other = desk.prepared(claim("k", b"another body"), accepts_cost=True)
    plain = desk.prepared()
    first, second, conflict, third, alone = desk.handlers.admit_all([*same[:2], other, same[2], plain])
    assert first == second == third == same[0].id
    assert isinstance(conflict, Refused)
    assert conflict.slug == "idempotency-conflict"
    assert alone == plain.id
    assert desk.counts() == (2, 1, 4)
    assert {event.partition_key for event in desk.sent()} == {first, alone}


@pytest.mark.parametrize("processes", [1, 2])
def test_at_the_same_time_from_many_threads_it_is_one_referral(desk: Desk, processes: int) -> None:
    handlers = [desk.handlers, *(desk.another() for _ in range(1, processes))]
    admissions = [desk.prepared(claim("k", b"body")) for _ in range(CALLERS)]
    together = threading.Barrier(CALLERS)

    def admit(number: int) -> str:
        together.wait()
        return handlers[number % processes].answer(admissions[number])

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = set(callers.map(admit, range(CALLERS)))
    assert len(answers) == 1
    assert desk.counts() == (1, 1, 2)
    assert {event.partition_key for event in desk.sent()} == answers


def test_many_at_the_same_time_share_their_commits(desk: Desk) -> None:
    admissions = [desk.prepared() for _ in range(CALLERS)]
    commits = desk.commits()
    together = threading.Barrier(CALLERS)

    def admit(number: int) -> str:
        together.wait()
        return desk.handlers.answer(admissions[number])

    with ThreadPoolExecutor(CALLERS) as callers:
        assert list(callers.map(admit, range(CALLERS))) == [a.id for a in admissions]
    assert desk.counts() == (CALLERS, 0, 2 * CALLERS)
    assert commits() < CALLERS / 2


def test_a_repetition_is_known_after_the_key_changed_or_the_sender_was_suspended(desk: Desk) -> None:
    first = desk.submit(claim("k", b"body"))
    desk.custody_kid = lambda: "a new custody key"
    assert desk.submit(claim("k", b"body")) == first
    desk.members[OSH] = Member(id=OSH, in_good_standing=False, kid=None)
    assert desk.submit(claim("k", b"body")) == first
    for key, body in (("k", b"another body"), ("unused", b"body")):
        with pytest.raises(Refused) as caught:
            desk.submit(claim(key, body), accepts_cost=True)
        assert caught.value.slug == "forbidden"
    assert desk.counts() == (1, 1, 2)


def test_a_refused_request_leaves_its_key_unused(desk: Desk) -> None:
    with pytest.raises(Refused):
        desk.submit(claim("k", b"wrong"), case=sealed("another key"))
    desk.submit(claim("k", b"right"))
    conflicts(desk, "k", b"wrong", accepts_cost=True)


def test_more_keys_than_a_statement_takes_parameters(desk: Desk) -> None:
    """What 20 batches of 1000 lines bring, when they share a transaction."""
    used = claim("used", b"body")
    first = desk.submit(used)
    many = [claim(str(number)) for number in range(20_000)]
    with desk.database.read() as transaction:
        found = SqlAdmissionStore().claimed(transaction, [*many, used])
    assert {place: (known.fingerprint, known.answer_id) for place, known in found.items()} == {
        (OSH, "used"): (used.fingerprint, first)
    }


def test_old_keys_are_forgotten(desk: Desk) -> None:
    desk.submit(claim("k", b"body"))
    assert desk.handlers.forget_old_keys(NOON + IDEMPOTENCY_KEYS_KEPT)
    assert desk.count(IDEMPOTENCY_KEYS) == 1
    assert desk.handlers.forget_old_keys(NOON + IDEMPOTENCY_KEYS_KEPT + dt.timedelta(seconds=1))
    assert desk.count(IDEMPOTENCY_KEYS) == 0
    desk.submit(claim("k", b"another body"))


def test_key_used_before_understanding_was_kept_is_compared_by_bytes(desk: Desk) -> None:
    """A row as a build before the column `understood` wrote it."""
    old = claim("k", b"body")
    with desk.database.write() as transaction:
        transaction.execute(
            IDEMPOTENCY_KEYS.insert().values(
                organization=OSH, key="k", fingerprint=old.fingerprint, answer_id="first", used_at=NOON
            )
        )
    assert desk.submit(old) == "first"
    # Whether this says the same cannot be known: the partner is told, and nothing is admitted twice.
    conflicts(desk, "k", b"the same in other bytes")
    assert desk.counts() == (0, 1, 0)
