"""An attacker who can write to the database of the log or of routing rewrites rows, and it is noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, update

from contracts.commitment import SALT_BYTES
from contracts.errors import Refused
from runtime.identifiers import new_id
from services.audit.adapters.tables import ENTRIES, OPENINGS
from services.audit.log.ports import Search
from services.audit.reports.adapters.sql_statistics import SqlReferrals
from services.audit.reports.handlers.export import Export
from services.audit.reports.handlers.statistics import StatisticsHandler
from tests.unit.services.audit.logs import LogOnDatabase, event

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
    return audit.history.opened("ann", FIRST, {"story": "en"})


def bundle(audit: LogOnDatabase) -> Any:
    return audit.history.export("ann", FIRST)


def history(audit: LogOnDatabase) -> Any:
    return audit.history.page("ann", Search(referral_id=FIRST), None, 50)


def single_entry(audit: LogOnDatabase) -> Any:
    return audit.history.entry("ann", 1)


def export(audit: LogOnDatabase) -> Any:
    exporting = Export(
        database=audit.database, log=audit.log, published=audit.published, record=audit.history._record
    )
    return exporting.page("ann", Search(), None, 50, form="ndjson")


def statistics(audit: LogOnDatabase) -> Any:
    counting = StatisticsHandler(
        database=audit.database, log=audit.log, referrals=SqlReferrals(audit.log), history=audit.history
    )
    return counting.count("ann", ["region"], Search(), exact=True)


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
    attack(published, leaf(1, MOSCOW.encode(), b"ru.moscow-onion"))
    with pytest.raises(Refused, match="Entry 1 differs from the logged entry"):
        read(published)
    assert published.noticed.description == "Entry 1 differs from the logged entry."


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
