"""The audit service killed at each crash point of its publication, and at any moment.

KOPURO_CRASH_KILLS says how many times at any moment (8 by default, 15 in a long run; `make crash` takes 200).
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import orjson
import pytest

from contracts.envelope import Event, decode
from contracts.facts import Fact, ReceiptsIssued
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.domain.checkpoint import Checkpoint
from services.audit.log.domain.merkle import Frontier, leaf_hash
from tests.crash.faults import PLAN, PUBLICATION_MOMENTS, Moment, Plan, named
from tests.long_run import times
from tests.services.audited_hub import MOSCOW, OSH, AuditedHub, accepted, read_published

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

KILLS = int(os.environ.get("KOPURO_CRASH_KILLS", times(8, 15)))
SEED = int(os.environ.get("KOPURO_CRASH_SEED", "20261121"))


class CrashingHub(AuditedHub):
    """An audit service to kill. seen: every checkpoint that was public."""

    def __init__(self, vhost: str, database_url: str, directory: Path) -> None:
        self.plan = Plan(directory / "plan")
        super().__init__(
            vhost,
            database_url,
            directory,
            altered_by="tests.crash.faults",
            environment={PLAN: str(directory / "plan")},
        )
        self.seen: list[Checkpoint] = []

    def published_size(self) -> int:
        """Check that the published log is complete and consistent with `seen`, and return its size."""
        found = read_published(self.published, self.log_verifier)
        if found is None:
            assert not self.seen
            return 0
        checkpoint, leaves = found
        hashes = [leaf_hash(leaf) for leaf in leaves]
        for earlier in self.seen:
            assert earlier.size <= checkpoint.size
            assert Frontier().extend(hashes[: earlier.size]).root() == earlier.root
        if checkpoint not in self.seen:
            self.seen.append(checkpoint)
        return checkpoint.size

    def processed_size(self) -> int:
        """Return the number of entries whose receipts have been written."""
        with self.database.read() as transaction:
            return SqlPublicationRecord().processed_size(transaction)

    def assert_all_there_once(self, events: Sequence[Event[Fact]]) -> None:
        """Assert that database and publication have no gap, duplicate or fork."""
        logged = self.logged()
        assert [index for index, _ in logged] == list(range(len(logged)))
        ids = [message_id for _, message_id in logged]
        assert len(set(ids)) == len(ids)
        assert {event.id for event in events} <= set(ids)
        self.until(lambda: self.published_size() == len(self.logged()))

    def receipts(self, expected: int) -> list[tuple[str, str]]:
        """Return entry message id and organisation of all receipts sent to delivery, each message once."""
        consumer = self.broker.consumer(["delivery.events"], 1000)
        found: dict[str, list[tuple[str, str]]] = {}
        deadline = time.monotonic() + 20
        try:
            while sum(map(len, found.values())) < expected and time.monotonic() < deadline:
                deliveries = consumer.take(1000, 0.2)
                consumer.acknowledge(deliveries)
                for delivery in deliveries:
                    event = decode(delivery.body)
                    if isinstance(event.data, ReceiptsIssued):
                        heads = [orjson.loads(receipt.head or "") for receipt in event.data.receipts]
                        party = event.data.organization
                        found[event.id] = [(head["message_id"], party) for head in heads]
        finally:
            consumer.close()
        return sorted(chain.from_iterable(found.values()))


@pytest.fixture
def hub(hub_vhost: str, sqlite_database: str, tmp_path: Path) -> Iterator[CrashingHub]:
    made = CrashingHub(hub_vhost, sqlite_database, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("moment", PUBLICATION_MOMENTS, ids=named)
def test_publication_killed_at_crash_point_stays_consistent(hub: CrashingHub, moment: Moment) -> None:
    before, after = [accepted() for _ in range(100)], [accepted() for _ in range(300)]
    with hub.service:
        hub.publish(before)
        hub.until_logged(before)
        # Wait for the end of a turn: a plan set during a turn could stop that turn.
        hub.until(lambda: 100 <= hub.processed_size() == hub.published_size() == len(hub.logged()))
        processed = hub.processed_size()
        hub.plan.set(moment)
        hub.publish(after)
        hub.until(hub.plan.reached)
        hub.until_logged(after)  # the log grows while its publication is halted
        hub.service.process.kill()
    size = hub.published_size()
    if moment in (Moment.swapped, Moment.swap_failed_but_persisted):
        assert size > processed
    else:
        assert size == processed
    hub.plan.clear()
    with hub.service:
        hub.until(lambda: hub.published_size() >= 400)
        hub.assert_all_there_once([*before, *after])
        expected = sorted((e.id, party) for e in (*before, *after) for party in (OSH, MOSCOW))
        assert hub.receipts(len(expected)) == expected


@pytest.mark.timeout(60 + 10 * KILLS)
def test_log_killed_under_load_has_no_fork_gap_or_duplicate(hub: CrashingHub) -> None:
    chance = random.Random(SEED)
    events: list[Event[Fact]] = []
    published_at_kill = []
    for n in range(KILLS):
        more: list[Event[Fact]] = [accepted() for _ in range(chance.randrange(20, 120))]
        hub.publish(more[: len(more) // 2])
        hub.service.process.spawn()
        # Alternate: kill it during its start and during its work, however slow the machine is.
        if n % 2:
            before = hub.published_size()
            hub.until(lambda before=before: hub.published_size() > before)  # type: ignore[misc]
        else:
            time.sleep(chance.uniform(0.3, 2.0))
        hub.publish(more[len(more) // 2 :])
        time.sleep(chance.uniform(0.0, 0.3))
        hub.service.process.kill()
        events += more
        published_at_kill.append(hub.published_size())
    started = time.monotonic()
    with hub.service:
        hub.until(
            lambda: hub.published_size() > published_at_kill[-1] or hub.published_size() == len(hub.logged())
        )
        seconds = time.monotonic() - started
        hub.until_logged(events)
        hub.assert_all_there_once(events)
    sys.stdout.write(
        f"\n{KILLS} kills (seed {SEED}), {len(events)} events, {len(hub.seen)} checkpoints seen; "
        f"after the last one a new checkpoint within {seconds:.1f} s\n"
    )
    # Otherwise a process that never worked would pass as well.
    assert len(set(published_at_kill)) >= KILLS // 2
