"""An attacker who can write to the database of the log or of routing rewrites rows, and it is noticed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, update

from admin.read_only_engine import open_read_only
from admin.reconciliation.reconcile import Compared, decision_differences
from admin.reconciliation.service_states import ServiceStates
from contracts.commitment import SALT_BYTES
from contracts.envelope import Envelope
from contracts.errors import Refused
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database
from services.audit.adapters.tables import (
    CLOSURES,
    ENTRIES,
    FACETS,
    HEAD,
    MESSAGING,
    NODES,
    OPENINGS,
    ORGANIZATIONS,
    TAG_SECRET,
    UNFILED,
)
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_retention import SqlClosures
from services.audit.log.adapters.sql_unfiled import SqlUnfiled
from services.audit.log.handlers.content_inspection import ContentInspection
from services.audit.log.handlers.filing import Filing
from services.audit.log.handlers.inspector import SHORTEST_ROUND, Inspector
from services.audit.log.handlers.retention import Retention
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.ports import Contents, Search, StoredContent
from services.audit.reports.adapters.sql_statistics import SqlReferrals
from services.audit.reports.handlers.export import Export
from services.audit.reports.handlers.statistics import StatisticsHandler
from services.routing.adapters.tables import DECISIONS
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event, new_key
from tests.unit.services.routing.workbench import submitted, workbench

FIRST, SECOND = new_id(), new_id()
OSH, MOSCOW = "kg.osh-legal-aid", "ru.moscow-union"

Attack = Callable[[Connection], Any]
Read = Callable[[LogOnDatabase], Any]


@pytest.fixture
def published(audit: LogOnDatabase) -> LogOnDatabase:
    """A published log: entries 0 to 2 about one referral, 3 about another, 4 about an organisation."""
    record = {"organization": {"id": MOSCOW, "kind": "union"}, "revision": 1}
    audit.publish(
        [
            event("kopuro.referral.submitted.v1", partition_key=FIRST, data={"sender": OSH, "facts": {}}),
            event("kopuro.offer.opened.v1", partition_key=FIRST, data={"organization": MOSCOW}),
            event("kopuro.offer.accepted.v1", partition_key=FIRST, data={"organization": MOSCOW}),
            event("kopuro.referral.submitted.v1", partition_key=SECOND, data={"sender": MOSCOW}),
            event("kopuro.organization.changed.v1", partition_key=MOSCOW, data=record),
        ]
    )
    return audit


def attack(audit: LogOnDatabase, change: Attack) -> None:
    with audit.database.write() as transaction:
        change(transaction)


def opening(index: int, **columns: Any) -> Attack:
    return lambda t: t.execute(update(OPENINGS).where(OPENINGS.c.leaf_index == index).values(columns))


def entry(index: int, **columns: Any) -> Attack:
    return lambda t: t.execute(update(ENTRIES).where(ENTRIES.c.leaf_index == index).values(columns))


def leaf(index: int, old: bytes, new: bytes) -> Attack:
    def change(transaction: Connection) -> None:
        stored = transaction.execute(ENTRIES.select().where(ENTRIES.c.leaf_index == index)).one().leaf
        assert old in stored
        entry(index, leaf=stored.replace(old, new))(transaction)

    return change


def story(audit: LogOnDatabase) -> Any:
    return audit.history.opened(auditor("ann"), FIRST, {"story": "en"})


def bundle(audit: LogOnDatabase) -> Any:
    return audit.history.export(auditor("ann"), FIRST)


def history(audit: LogOnDatabase) -> Any:
    return audit.history.page(auditor("ann"), Search(referral_id=FIRST), None, 50)


def single_entry(audit: LogOnDatabase) -> Any:
    return audit.history.entry(auditor("ann"), 1)


def export(audit: LogOnDatabase) -> Any:
    exporting = Export(
        database=audit.database, log=audit.log, published=audit.published, record=audit.history._record
    )
    return exporting.page(auditor("ann"), Search(), None, 50, form="ndjson")


def statistics(audit: LogOnDatabase) -> Any:
    counting = StatisticsHandler(
        database=audit.database, log=audit.log, referrals=SqlReferrals(audit.log), history=audit.history
    )
    return counting.count(auditor("ann"), ["region"], Search(), exact=True)


OTHER_DATA = {"organization": "ru.somebody-else"}
OPENED: list[Read] = [story, bundle, export, statistics]
SHOWN: list[Read] = [story, bundle, history, single_entry, export]


@pytest.mark.parametrize("read", OPENED)
@pytest.mark.parametrize(
    "column", [{"data": OTHER_DATA}, {"salt": bytes(SALT_BYTES)}, {"salt": b""}], ids=str
)
def test_rewritten_opening_is_never_shown(
    published: LogOnDatabase, read: Read, column: dict[str, Any]
) -> None:
    read(published)
    attack(published, opening(2, **column))
    with pytest.raises(Refused, match="The content of entry 2 does not match the log's commitment"):
        read(published)
    assert published.noticed.description == "The content of entry 2 does not match the log's commitment."


@pytest.mark.parametrize("read", SHOWN)
def test_rewritten_leaf_is_never_shown(published: LogOnDatabase, read: Read) -> None:
    read(published)
    attack(published, leaf(1, b"12:00:00Z", b"12:01:00Z"))
    with pytest.raises(Refused, match="Entry 1 differs from the logged entry"):
        read(published)
    assert published.noticed.description == "Entry 1 differs from the logged entry."


@pytest.mark.parametrize("read", SHOWN)
@pytest.mark.parametrize("change", [lambda head: head.replace(b"union", b"onion"), lambda _: None])
def test_rewritten_head_is_never_shown(
    published: LogOnDatabase, read: Read, change: Callable[[bytes], bytes | None]
) -> None:
    read(published)
    with published.database.read() as transaction:
        head = published.log.leaves(transaction, 1, 2)[0].head
    assert head is not None
    assert MOSCOW.encode() in head
    attack(published, entry(1, head=change(head)))
    with pytest.raises(Refused, match=r"of entry 1 (contradict|does not match)"):
        read(published)
    assert published.noticed.description is not None


@pytest.mark.parametrize(
    ("read", "column"),
    [
        (story, {"referral_id": FIRST}),
        (bundle, {"referral_id": FIRST}),
        (history, {"referral_id": FIRST}),
        (history, {"referral_id": FIRST, "type": "kopuro.offer.opened.v1"}),
    ],
)
def test_entry_moved_to_another_referral_is_never_shown_there(
    published: LogOnDatabase, read: Read, column: dict[str, Any]
) -> None:
    attack(published, entry(3, **column))
    with pytest.raises(Refused, match="The search columns of entry 3 contradict its leaf"):
        read(published)


def test_receipt_is_not_sent_to_a_party_written_in_by_an_attacker(published: LogOnDatabase) -> None:
    with published.database.read() as transaction:
        (before,) = published.log.party_leaves(transaction, ["kopuro.offer.accepted.v1"], start=0, stop=5)
    assert before.organizations == (MOSCOW,)
    attack(published, opening(2, data=OTHER_DATA))
    with published.database.read() as transaction:
        assert not published.log.party_leaves(transaction, ["kopuro.offer.accepted.v1"], start=0, stop=5)
    assert published.noticed.description is not None


def test_content_stored_in_another_spelling_still_opens(published: LogOnDatabase) -> None:
    data = {"sender": OSH, "facts": {}}
    attack(published, opening(0, data=dict(reversed(data.items()))))
    assert story(published)[0].data == data


class Hand:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> dt.datetime:
        return self.time


class Inspecting:
    """The inspection of a running service. is_filed: see `ContentInspection`."""

    def __init__(
        self,
        audit: LogOnDatabase,
        *,
        is_filed: Callable[[], bool] = lambda: True,
        contents: Contents | None = None,
    ) -> None:
        self.audit = audit
        self.is_filed = is_filed
        self.contents = contents or SqlContents()
        self.clock = Hand()
        self.started()

    def started(self) -> None:
        """Start the service again."""
        record = SqlCheckRecord()
        head = SelfCheck(self.audit.database, self.audit.log, self.audit.key, self.clock, record).run()
        self.inspector = Inspector(
            database=self.audit.database,
            log=self.audit.log,
            key=self.audit.key,
            record=record,
            works=lambda: True,
            clock=self.clock,
            noticed=self.audit.noticed,
            contents=ContentInspection(self.audit.log, self.contents, is_filed=self.is_filed),
        )
        self.inspector.begin(head)

    def alarm(self) -> str | None:
        """Run a whole round, and wait as long as a reason for an erasure may take; return the alarm."""
        for _ in range(3):
            self.clock.time += SHORTEST_ROUND
            for _ in range(4):
                self.inspector.turn()
        return self.inspector.alarm()

    def erase(self) -> int:
        """Run the retention once."""
        return Retention(
            database=self.audit.database,
            closures=SqlClosures(),
            record=self.audit.record,
            log=self.audit.log,
            contents=SqlContents(),
            outbox=Outbox(MESSAGING.outbox),
            noticed=self.audit.noticed,
            source="/kg/audit",
            after_commit=self.audit.wake,
            kept=None,
            clock=self.clock,
        ).turn()


@pytest.fixture
def inspecting(published: LogOnDatabase) -> Inspecting:
    made = Inspecting(published)
    assert made.alarm() is None
    return made


def without(table: Table, index: int) -> Attack:
    return lambda t: t.execute(table.delete().where(table.c.leaf_index == index))


def with_row(table: Table, **row: Any) -> Attack:
    return lambda t: t.execute(table.insert(), [row])


REWRITTEN: dict[str, tuple[Attack, str]] = {
    "opening rewritten": (opening(2, data=OTHER_DATA), "content of entry 2 does not match"),
    "salt rewritten": (opening(2, salt=bytes(SALT_BYTES)), "content of entry 2 does not match"),
    "opening deleted": (without(OPENINGS, 1), "content of entry 1 is missing, and the log records no reason"),
    "record deleted": (
        without(OPENINGS, 4),
        "content of entry 4 is missing, although it is never erased",
    ),
    "party deleted": (without(ORGANIZATIONS, 2), f"A search by {MOSCOW} does not find entry 2"),
    "party added": (
        with_row(ORGANIZATIONS, organization="kz.other", leaf_index=0),
        "A search by kz.other finds entry 0",
    ),
    "facet deleted": (without(FACETS, 0), "search keys of entry 0"),
    "facet added": (
        with_row(FACETS, facet="outcome", value="resolved", leaf_index=1),
        "search keys of entry 1",
    ),
    "entry's type rewritten": (entry(1, type="kopuro.offer.revoked.v1"), "search columns of entry 1"),
    "entry's referral rewritten": (entry(3, referral_id=FIRST), "search columns of entry 3"),
    "leaf rewritten": (leaf(1, b"12:00:00Z", b"12:01:00Z"), "Entry 1 differs"),
    "head deleted": (entry(1, head=None), "search columns of entry 1"),
    "list of entries without search keys rewritten": (
        lambda t: t.execute(update(UNFILED).values(start=0, stop=5)),
        "list of entries without search keys was changed",
    ),
    "secret of the tags rewritten": (
        lambda t: t.execute(update(TAG_SECRET).values(secret=bytes(32))),
        "tag of entry 0 was not made with the secret of the log's tags",
    ),
    "secret of the tags deleted": (
        lambda t: t.execute(TAG_SECRET.delete()),
        "secret of the log's tags is missing",
    ),
    "node rewritten": (
        lambda t: t.execute(update(NODES).values(hashes=b"0" * 160)),
        "differs|extension|node",
    ),
    "head rewritten": (lambda t: t.execute(update(HEAD).values(size=4)), "head"),
}


@pytest.mark.parametrize(("change", "alarm"), REWRITTEN.values(), ids=REWRITTEN.keys())
def test_rewritten_row_beside_the_log_raises_the_alarm(
    inspecting: Inspecting, change: Attack, alarm: str
) -> None:
    attack(inspecting.audit, change)
    assert re.search(alarm, inspecting.alarm() or "")


def test_search_key_added_while_an_earlier_log_gets_its_keys_raises_the_alarm(
    published: LogOnDatabase,
) -> None:
    inspecting = Inspecting(published, is_filed=lambda: False)
    attack(published, lambda t: t.execute(update(UNFILED).values(start=0, stop=5)))
    attack(published, without(FACETS, 0))
    assert inspecting.alarm() is None, "an entry of an earlier build has no search keys yet"
    attack(published, with_row(FACETS, facet="outcome", value="resolved", leaf_index=1))
    assert "search keys of entry 1" in (inspecting.alarm() or "")


def test_search_keys_that_an_earlier_log_gets_during_an_inspection_raise_no_alarm(
    published: LogOnDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    attack(published, without(FACETS, 0))
    attack(published, lambda t: t.execute(update(UNFILED).values(start=0, stop=1)))
    filing = Filing(published.database, SqlUnfiled(SqlClosures()))

    class FiledMeanwhile(SqlContents):
        def stored(self, transaction: Connection, start: int, stop: int) -> list[StoredContent]:
            found = super().stored(transaction, start, stop)
            filing.turn()
            return found

    inspecting = Inspecting(published, is_filed=lambda: filing.is_done, contents=FiledMeanwhile())
    assert inspecting.alarm() is None
    assert filing.is_done
    assert "the log is damaged" not in caplog.text, "a later round without findings clears the alarm"
    attack(published, without(FACETS, 0))
    assert "search keys of entry 0" in (inspecting.alarm() or "")


def test_alarm_of_rewritten_content_returns_after_a_restart(inspecting: Inspecting) -> None:
    attack(inspecting.audit, opening(2, data=OTHER_DATA))
    assert inspecting.alarm() is not None
    inspecting.audit.noticed.clear()
    inspecting.started()
    for _ in range(3):
        inspecting.inspector.turn()
    assert "content of entry 2" in (inspecting.inspector.alarm() or "")


def test_alarm_of_a_read_ends_after_a_clean_inspection(inspecting: Inspecting) -> None:
    with inspecting.audit.database.read() as transaction:
        stored = transaction.execute(OPENINGS.select().where(OPENINGS.c.leaf_index == 2)).one()
    attack(inspecting.audit, opening(2, data=OTHER_DATA))
    with pytest.raises(Refused):
        story(inspecting.audit)
    assert inspecting.inspector.is_damaged
    attack(inspecting.audit, opening(2, data=stored.data))
    assert inspecting.alarm() is None


def withdraw(inspecting: Inspecting) -> None:
    data = {"sender": OSH, "reason": "consent_revoked"}
    withdrawn = event("kopuro.referral.withdrawn.v1", partition_key=FIRST, data=data)
    inspecting.audit.publish([withdrawn])


def reasons(inspecting: Inspecting) -> list[Envelope]:
    recorded = inspecting.audit.recorded_reads()
    return [one for one in recorded if one.type == "kopuro.content.erased.v1"]


def test_erasure_by_right_has_its_reason_in_the_log(inspecting: Inspecting) -> None:
    withdraw(inspecting)
    assert inspecting.erase() == 4
    (reason,) = reasons(inspecting)
    assert reason.data == {"referral_id": FIRST, "reason": "consent_revoked", "entries": 4, "stop": 6}
    inspecting.audit.publish([reason])
    assert inspecting.alarm() is None
    # The reason covers what it erased, and nothing that another hand erases later.
    late = event("kopuro.delivery.delivered.v1", partition_key=FIRST, data={"organization": MOSCOW})
    inspecting.audit.publish([late])
    attack(inspecting.audit, without(OPENINGS, 7))
    attack(inspecting.audit, without(FACETS, 7))
    attack(inspecting.audit, with_row(FACETS, facet="actor", value="/kg/routing", leaf_index=7))
    assert "content of entry 7 is missing" in (inspecting.alarm() or "")


def test_reason_of_an_erasure_may_take_minutes_to_reach_the_log(inspecting: Inspecting) -> None:
    withdraw(inspecting)
    inspecting.erase()
    inspecting.audit.publish([event("kopuro.content.erased.v1", data={"referral_id": SECOND, "stop": 0})])
    inspecting.clock.time += SHORTEST_ROUND
    for _ in range(4):
        inspecting.inspector.turn()
    assert inspecting.inspector.alarm() is None
    inspecting.audit.publish(reasons(inspecting))
    assert inspecting.alarm() is None


def test_content_erased_by_an_earlier_build_needs_only_a_closing(inspecting: Inspecting) -> None:
    withdraw(inspecting)
    inspecting.erase()
    # That build wrote no reason.
    assert inspecting.alarm() is None
    attack(inspecting.audit, lambda t: t.execute(OPENINGS.delete().where(OPENINGS.c.leaf_index == 3)))
    assert "entry 3" in (inspecting.alarm() or "")


def test_closing_added_by_an_attacker_erases_nothing(inspecting: Inspecting) -> None:
    row = {"referral_id": FIRST, "closed_at": NOON, "revoked": True, "pending": True}
    attack(inspecting.audit, with_row(CLOSURES, **row))
    assert inspecting.erase() == 0
    assert len([opened for opened in story(inspecting.audit) if opened.data is not None]) == 3
    assert "no entry that permits erasing" in (inspecting.audit.noticed.description or "")
    assert inspecting.inspector.is_damaged


@pytest.mark.parametrize(
    "change",
    [lambda t: t.execute(CLOSURES.delete()), lambda t: t.execute(update(CLOSURES).values(revoked=False))],
)
def test_closing_removed_by_an_attacker_raises_the_alarm(inspecting: Inspecting, change: Attack) -> None:
    withdraw(inspecting)
    attack(inspecting.audit, change)
    assert "The closure of the referral" in (inspecting.alarm() or "")


REWRITTEN_DECISIONS: dict[str, tuple[Any, str]] = {
    "record": (update(DECISIONS).values(record={"candidates": []}), "differs from the logged commitment"),
    "salt": (update(DECISIONS).values(salt=bytes(SALT_BYTES)), "differs from the logged commitment"),
    "no salt": (update(DECISIONS).values(salt=None), "differs from the logged commitment"),
    # Only one of them was asked.
    "whom it asked": (
        update(DECISIONS).values(asked=["ru.one", "ru.two"]),
        "asked other organisations than those in the log",
    ),
    "nobody asked": (update(DECISIONS).values(asked=None), "asked other organisations than those in the log"),
    "deleted": (DECISIONS.delete(), "is missing"),
    "added": (
        DECISIONS.insert().values(
            id=new_id(), referral_id=FIRST, decided_at=dt.datetime.now(dt.UTC), record={}, salt=None
        ),
        "has no commitment in the log",
    ),
}


@pytest.mark.parametrize(("change", "noticed"), REWRITTEN_DECISIONS.values(), ids=REWRITTEN_DECISIONS.keys())
def test_rewritten_decision_of_routing_is_noticed(tmp_path: Path, change: Any, noticed: str) -> None:
    routing_url, audit_url = (f"sqlite:///{tmp_path}/{name}.sqlite" for name in ("routing", "audit"))
    with ExitStack() as closing:
        routing = workbench(routing_url)
        closing.callback(routing.close)
        opened = Database.open(audit_url)
        closing.callback(opened.close)
        upgrade("services.audit", opened)
        audit = LogOnDatabase(database=opened, key=new_key())
        audit.check()
        routing.take(submitted(new_id()))
        audit.append([Envelope.decode(body) for body in routing.bodies()])

        def differences() -> list[str]:
            engines = {"routing": open_read_only(routing_url), "audit": open_read_only(audit_url)}
            for engine in engines.values():
                closing.callback(engine.dispose)
            settled = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
            found = decision_differences(ServiceStates(engines), settled, Compared())
            return [difference.what for difference in found]

        assert differences() == []
        with routing.database.write() as transaction:
            transaction.execute(change)
        (difference,) = differences()
        assert noticed in difference
