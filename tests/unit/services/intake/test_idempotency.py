"""Idempotency-Keys: repeated and concurrent requests with one key and body create one referral."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contracts.errors import Refused
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import IDEMPOTENCY_KEYS
from services.intake.commits import IDEMPOTENCY_KEYS_KEPT
from services.intake.domain.members import Member
from tests.unit.services.intake.intake_fixture import IntakeBench
from tests.unit.services.intake.samples import MOSCOW, NOON, OSH, claim, sealed

CALLERS = 50


def assert_conflict(bench: IntakeBench, key: str, body: bytes, **changes: Any) -> None:
    with pytest.raises(Refused) as caught:
        bench.submit(claim(key, body), **changes)
    assert (caught.value.slug, caught.value.status) == ("idempotency-conflict", 409)


def test_repeated_request_returns_first_id_and_writes_nothing(bench: IntakeBench) -> None:
    first = bench.submit(claim("k", b"body"))
    assert bench.submit(claim("k", b"body")) == first
    assert bench.counts() == (1, 1, 2)


def test_same_key_with_other_body_conflicts(bench: IntakeBench) -> None:
    bench.submit(claim("k", b"body"))
    assert_conflict(bench, "k", b"another body", accepts_cost=True)
    assert bench.counts() == (1, 1, 2)


def test_requests_with_different_keys_or_none_are_separate_referrals(bench: IntakeBench) -> None:
    found = {bench.submit(claim("a")), bench.submit(claim("b")), bench.submit(), bench.submit()}
    assert len(found) == 4
    assert bench.counts() == (4, 2, 8)


def test_same_key_of_two_organizations_does_not_conflict(bench: IntakeBench) -> None:
    first = bench.submit(claim("k", b"first", OSH))
    second = bench.submit(claim("k", b"second", MOSCOW), by=MOSCOW)
    assert first != second
    assert bench.counts() == (2, 2, 4)
    assert bench.submit(claim("k", b"second", MOSCOW), by=MOSCOW) == second


def test_first_request_wins_within_one_group_commit(bench: IntakeBench) -> None:
    same = [bench.prepared(claim("k", b"body")) for _ in range(3)]
    other = bench.prepared(claim("k", b"another body"), accepts_cost=True)
    plain = bench.prepared()
    first, second, conflict, third, without_key = bench.handlers.commits.admit_all(
        [*same[:2], other, same[2], plain]
    )
    assert first == second == third == same[0].id
    assert isinstance(conflict, Refused)
    assert conflict.slug == "idempotency-conflict"
    assert without_key == plain.id
    assert bench.counts() == (2, 1, 4)
    assert {event.partition_key for event in bench.sent()} == {first, without_key}


@pytest.mark.parametrize("processes", [1, 2])
def test_concurrent_requests_with_one_key_create_one_referral(bench: IntakeBench, processes: int) -> None:
    handlers = [bench.handlers, *(bench.new_handlers() for _ in range(1, processes))]
    admissions = [bench.prepared(claim("k", b"body")) for _ in range(CALLERS)]
    together = threading.Barrier(CALLERS)

    def admit(number: int) -> str:
        together.wait()
        return handlers[number % processes].commits.answer(admissions[number])

    with ThreadPoolExecutor(CALLERS) as callers:
        answers = set(callers.map(admit, range(CALLERS)))
    assert len(answers) == 1
    assert bench.counts() == (1, 1, 2)
    assert {event.partition_key for event in bench.sent()} == answers


def test_concurrent_requests_share_commits(bench: IntakeBench) -> None:
    admissions = [bench.prepared() for _ in range(CALLERS)]
    commits = bench.commits()
    together = threading.Barrier(CALLERS)

    def admit(number: int) -> str:
        together.wait()
        return bench.handlers.commits.answer(admissions[number])

    with ThreadPoolExecutor(CALLERS) as callers:
        assert list(callers.map(admit, range(CALLERS))) == [a.id for a in admissions]
    assert bench.counts() == (CALLERS, 0, 2 * CALLERS)
    assert commits() < CALLERS / 2


def test_repeated_request_returns_first_id_after_key_change_or_suspension(bench: IntakeBench) -> None:
    first = bench.submit(claim("k", b"body"))
    bench.custody_kids = lambda: ("a new custody key",)
    assert bench.submit(claim("k", b"body")) == first
    bench.members[OSH] = Member(id=OSH, in_good_standing=False, kid=None)
    assert bench.submit(claim("k", b"body")) == first
    for key, body in (("k", b"another body"), ("unused", b"body")):
        with pytest.raises(Refused) as caught:
            bench.submit(claim(key, body), accepts_cost=True)
        assert caught.value.slug == "forbidden"
    assert bench.counts() == (1, 1, 2)


def test_refused_request_leaves_key_unused(bench: IntakeBench) -> None:
    with pytest.raises(Refused):
        bench.submit(claim("k", b"wrong"), case=sealed("another key"))
    bench.submit(claim("k", b"right"))
    assert_conflict(bench, "k", b"wrong", accepts_cost=True)


def test_lookup_of_more_keys_than_sql_parameters_succeeds(bench: IntakeBench) -> None:
    """As many keys as 20 batches of 1000 lines in one transaction."""
    used = claim("used", b"body")
    first = bench.submit(used)
    many = [claim(str(number)) for number in range(20_000)]
    with bench.database.read() as transaction:
        found = SqlAdmissionStore().claimed(transaction, [*many, used])
    assert {place: (known.fingerprint, known.answer_id) for place, known in found.items()} == {
        (OSH, "used"): (used.fingerprint, first)
    }


def test_expired_keys_are_deleted(bench: IntakeBench) -> None:
    bench.submit(claim("k", b"body"))
    assert bench.handlers.commits.forget_old_keys(NOON + IDEMPOTENCY_KEYS_KEPT)
    assert bench.count(IDEMPOTENCY_KEYS) == 1
    assert bench.handlers.commits.forget_old_keys(NOON + IDEMPOTENCY_KEYS_KEPT + dt.timedelta(seconds=1))
    assert bench.count(IDEMPOTENCY_KEYS) == 0
    bench.submit(claim("k", b"another body"))


def test_key_without_parsed_digest_is_compared_by_bytes(bench: IntakeBench) -> None:
    """A row from a version without the column `understood`."""
    old = claim("k", b"body")
    with bench.database.write() as transaction:
        transaction.execute(
            IDEMPOTENCY_KEYS.insert().values(
                organization=OSH, key="k", fingerprint=old.fingerprint, answer_id="first", used_at=NOON
            )
        )
    assert bench.submit(old) == "first"
    # Without a digest of the parsed body, other bytes conflict, so that nothing is admitted twice.
    assert_conflict(bench, "k", b"the same in other bytes")
    assert bench.counts() == (0, 1, 0)
