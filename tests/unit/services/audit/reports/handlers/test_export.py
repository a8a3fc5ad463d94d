"""Bulk export: every entry once, under one checkpoint, and recorded."""

from __future__ import annotations

import json
import time

import pytest
from sqlalchemy import delete

from contracts.canonical import canonical_json
from contracts.errors import Unavailable
from contracts.facts import LogExported
from runtime.access.read_recorder import ReadRecorder
from runtime.clock import SystemClock
from runtime.messaging.outbox.outbox import Outbox
from services.audit.adapters.tables import MESSAGING, OPENINGS
from services.audit.log.domain.leaf import data_commitment
from services.audit.log.domain.search import Search
from services.audit.reports.handlers import export, paged_search
from services.audit.reports.handlers.export import Export, ExportPage
from services.audit.reports.handlers.history import Position
from tests.unit.services.audit.logs import LogOnDatabase, auditor, event, events


def exported(audit: LogOnDatabase) -> Export:
    record = ReadRecorder(
        database=audit.database,
        outbox=Outbox(MESSAGING.outbox),
        source="/kg/audit",
        clock=SystemClock(),
        after_commit=audit.wake,
    )
    return Export(database=audit.database, log=audit.log, published=audit.published, record=record)


def turned(audit: LogOnDatabase, limit: int, search: Search | None = None) -> list[ExportPage]:
    pages: list[ExportPage] = []
    position: Position | None = None
    while not pages or position is not None:
        page = exported(audit).page(auditor("ann"), search or Search(), position, limit, form="ndjson")
        pages.append(page)
        position = page.following
        audit.publish(events(2))  # the log grows meanwhile
    return pages


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
def test_export_pages_stay_within_the_tree_of_the_first(audit: LogOnDatabase, limit: int) -> None:
    audit.publish(logged := events(7))
    pages = turned(audit, limit)
    leaves = [leaf for page in pages for leaf in page.leaves]
    assert [leaf.index for leaf in leaves] == list(range(7))
    assert {page.size for page in pages} == {7} == {pages[0].published.size}
    for leaf, message in zip(leaves, logged, strict=True):
        assert leaf.data == message.data
        assert leaf.salt is not None
        assert data_commitment(canonical_json(leaf.data), leaf.salt).encode() in leaf.leaf


def test_export_of_a_large_page_lets_other_greenlets_run(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paged_search, "FOUND_AT_ONCE", 3)
    monkeypatch.setattr(export, "OPENED_AT_ONCE", 3)
    audit.publish(events(7))
    turns: list[float] = []
    monkeypatch.setattr(time, "sleep", turns.append)
    page = exported(audit).page(auditor("ann"), Search(), None, 50, form="ndjson")
    assert [leaf.index for leaf in page.leaves] == list(range(7))
    # The last one is for the record of the read. A long transaction lets others run too.
    assert len(turns) >= 2 + 3 + 1
    assert not any(turns)


def test_page_ends_before_its_content_is_too_long(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.publish(events(7))
    length = len(json.dumps({"number": 0}, separators=(",", ":")))
    monkeypatch.setattr(export, "CHARACTERS_A_PAGE", 3 * length)
    monkeypatch.setattr(export, "CHARACTERS_AT_ONCE", length)
    pages = turned(audit, 5)
    assert [[leaf.index for leaf in page.leaves] for page in pages] == [[0, 1, 2], [3, 4, 5], [6]]
    recorded = [one.data for one in audit.recorded_reads() if one.type == LogExported.type]
    assert [(one["start"], one["stop"], one["entries"]) for one in recorded] == [
        (0, 3, 3),
        (3, 6, 3),
        (6, 7, 1),
    ]


def test_entry_longer_than_a_page_has_its_own_page(
    audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.publish(events(3))
    monkeypatch.setattr(export, "CHARACTERS_A_PAGE", 1)
    monkeypatch.setattr(export, "CHARACTERS_AT_ONCE", 1)
    assert [[leaf.index for leaf in page.leaves] for page in turned(audit, 50)] == [[0], [1], [2]]


def test_export_omits_unpublished_entries(audit: LogOnDatabase) -> None:
    with pytest.raises(Unavailable):
        exported(audit).page(auditor("ann"), Search(), None, 5, form="csv")
    audit.publish(events(2))
    audit.append(events(3))
    assert len(turned(audit, 50)[0].leaves) == 2


def test_export_of_erased_content_is_null(audit: LogOnDatabase) -> None:
    audit.publish(events(2))
    with audit.database.write() as transaction:
        transaction.execute(delete(OPENINGS).where(OPENINGS.c.leaf_index == 0))
    first, second = turned(audit, 50)[0].leaves
    assert (first.salt, first.data) == (None, None)
    assert second.data == {"number": 1}


def test_every_export_page_is_recorded(audit: LogOnDatabase) -> None:
    audit.publish([event("kopuro.case.erased.v1"), *events(2)])
    woken = audit.woken
    turned(audit, 1, Search(type="kopuro.offer.opened.v1"))
    exported = [one for one in audit.recorded_reads() if one.type == LogExported.type]
    asked = {
        "reader": "ann",
        "client_id": "ann-client",
        "roles": ["auditor"],
        "form": "ndjson",
        "filter": {"type": "kopuro.offer.opened.v1"},
        "size": 3,
    }
    assert [one.data for one in exported] == [
        {**asked, "start": 0, "stop": 2, "entries": 1},
        {**asked, "start": 2, "stop": 3, "entries": 1},
    ]
    assert audit.woken >= woken + 2


def test_export_records_are_found_by_reader_and_type(audit: LogOnDatabase) -> None:
    audit.publish(events(3))
    turned(audit, 50)
    audit.publish([one for one in audit.recorded_reads() if one.type == LogExported.type])
    for reader, expected in (("ann", 1), ("eve", 0)):
        search = Search(type=LogExported.type, facets=(("actor", reader),))
        assert len(audit.history.page(auditor("bob"), search, None, 10).leaves) == expected
