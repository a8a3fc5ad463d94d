"""The coordinators' digest: what waits, once for each period, on both databases."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from contracts.codes import Urgency, Vetting
from contracts.facts import CoordinationDigest
from runtime.identifiers import new_id
from services.routing.adapters.digests import SqlDigests
from services.routing.domain.coordination_queue import QueueKind, is_in_queue
from services.routing.domain.digest import DigestPeriod, period_of
from services.routing.handlers.digests import WriteDigests
from tests.unit.services.routing.samples import NOW, organization
from tests.unit.services.routing.workbench import Workbench, accepted_by, opened, submitted, workbench

DAY = dt.timedelta(days=1)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one")
    yield bench
    bench.close()


def writer(bench: Workbench, every: DigestPeriod | None = DigestPeriod.day) -> WriteDigests:
    return WriteDigests(
        every=every,
        database=bench.database,
        digests=SqlDigests(),
        outbox=bench.outbox,
        source="/kg/routing",
        clock=bench.clock,
        after_commit=lambda: None,
    )


def written(bench: Workbench) -> list[CoordinationDigest]:
    return [event.data for event in bench.outbox_events() if isinstance(event.data, CoordinationDigest)]


@pytest.mark.parametrize(
    ("every", "now", "period"),
    [
        (DigestPeriod.day, "2026-11-27T02:00:00+00:00", "2026-11-27"),
        (DigestPeriod.day, "2026-11-27T01:59:59+00:00", "2026-11-26"),
        (DigestPeriod.day, "2026-11-27T07:59:59+06:00", "2026-11-26"),
        (DigestPeriod.week, "2026-11-30T02:00:00+00:00", "2026-W49"),
        (DigestPeriod.week, "2026-11-30T01:59:59+00:00", "2026-W48"),
        (DigestPeriod.week, "2027-01-03T12:00:00+00:00", "2026-W53"),
    ],
)
def test_period_begins_at_two_hours_utc(every: DigestPeriod, now: str, period: str) -> None:
    assert period_of(every, dt.datetime.fromisoformat(now)) == period


def test_digest_is_written_once_for_each_period_by_whichever_process_is_first(bench: Workbench) -> None:
    first = writer(bench).turn()
    assert first is not None
    # Another process, and the same one after a restart.
    assert writer(bench).turn() is None
    bench.clock.time += 3 * DAY
    assert writer(bench).turn() is not None
    assert [one.period for one in written(bench)] == [
        period_of(DigestPeriod.day, NOW),
        period_of(DigestPeriod.day, NOW + 3 * DAY),
    ]
    assert written(bench)[0] == first


def test_processes_that_both_found_no_digest_write_one(bench: Workbench) -> None:
    class Late(SqlDigests):
        def is_written(self, *_: object) -> bool:
            return False

    late = writer(bench)
    late._digests = Late()
    with ThreadPoolExecutor(2) as pool:
        turns = [pool.submit(late.turn), pool.submit(late.turn)]
    assert sorted(turn.result() is None for turn in turns) == [False, True]
    assert len(written(bench)) == 1


def test_digest_counts_each_queue_and_names_no_referral(bench: Workbench) -> None:
    ids = [new_id() for _ in range(8)]
    for number, one in enumerate(ids):
        urgency = list(Urgency)[number % 3]
        needs = ("consular.passport",) if number % 4 == 3 else ("legal.wage_claim",)
        if (offers := opened(bench.take(submitted(one, urgency=urgency, needs=needs)))) and number % 2:
            bench.take(accepted_by(offers[0]))
    counted = dict.fromkeys(QueueKind, 0)
    for days in (0, 1, 40):
        bench.fire(NOW + days * DAY)
        if days == 40:
            bench.absorb([organization("ru.one", vetting=Vetting.suspended)])
            bench.commands.act_on_suspensions(bench.clock.time)
        with bench.database.read() as transaction:
            known = bench.store.view(transaction, ids).values()
        digest = writer(bench).turn()
        assert digest is not None
        assert digest.as_of == bench.clock.time
        for kind, shown in zip(QueueKind, digest.queues, strict=True):
            queued = [one.submitted_at for one in known if is_in_queue(one, kind, bench.clock.time)]
            assert (shown.queue, shown.referrals, shown.oldest) == (
                kind,
                len(queued),
                min(queued, default=None),
            )
            counted[kind] += len(queued)
        assert not any(one in repr(digest) for one in ids)
    assert all(counted.values()), counted


def test_hub_without_the_setting_writes_no_digest(bench: Workbench) -> None:
    assert writer(bench, every=None).turn() is None
    assert written(bench) == []
