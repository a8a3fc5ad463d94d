"""The log in bulk: everything once, under one checkpoint, and on record."""

from __future__ import annotations

import pytest
from sqlalchemy import delete

from contracts.errors import Unavailable
from services.audit.adapters.tables import OPENINGS
from services.audit.domain.entry import commitment
from services.audit.domain.search import Search
from services.audit.handlers.export import Export, ExportPage
from services.audit.handlers.history import Position
from tests.unit.services.audit.logs import LogOnDatabase, event, events


def exported(audit: LogOnDatabase) -> Export:
    return Export(database=audit.database, log=audit.log, proofs=audit.proofs, history=audit.history)


def turned(audit: LogOnDatabase, limit: int, search: Search | None = None) -> list[ExportPage]:
    pages: list[ExportPage] = []
    position: Position | None = None
    while not pages or position is not None:
        page = exported(audit).page("ann", search or Search(), position, limit, form="ndjson")
        pages.append(page)
        position = page.following
        audit.publish(events(2))  # the log grows meanwhile
    return pages


@pytest.mark.parametrize("limit", [1, 3, 7, 50])
def test_every_page_lies_in_the_tree_of_the_first(audit: LogOnDatabase, limit: int) -> None:
    audit.publish(told := events(7))
    pages = turned(audit, limit)
    leaves = [leaf for page in pages for leaf in page.leaves]
    assert [leaf.index for leaf in leaves] == list(range(7))
    assert {page.size for page in pages} == {7} == {pages[0].published.size}
    for leaf, message in zip(leaves, told, strict=True):
        assert leaf.data == message.data
        assert leaf.salt is not None
        assert commitment(leaf.data, leaf.salt).encode() in leaf.leaf


def test_what_is_not_published_yet_is_not_exported(audit: LogOnDatabase) -> None:
    with pytest.raises(Unavailable):
        exported(audit).page("ann", Search(), None, 5, form="csv")
    audit.publish(events(2))
    audit.append(events(3))
    assert len(turned(audit, 50)[0].leaves) == 2


def test_erased_content_is_exported_as_erased(audit: LogOnDatabase) -> None:
    audit.publish(events(2))
    with audit.database.write() as transaction:
        transaction.execute(delete(OPENINGS).where(OPENINGS.c.leaf_index == 0))
    first, second = turned(audit, 50)[0].leaves
    assert (first.salt, first.data) == (None, None)
    assert second.data == {"number": 1}


def test_every_page_goes_on_record_with_what_was_asked(audit: LogOnDatabase) -> None:
    audit.publish([event("kopuro.case.erased.v1"), *events(2)])
    turned(audit, 1, Search(type="kopuro.offer.opened.v1"))
    first, second = (read.data for read in audit.recorded_reads() if read.type == "kopuro.history.read.v1")
    asked = {"export": "ndjson", "size": 3, "type": "kopuro.offer.opened.v1"}
    assert first == {"reader": "ann", "filter": {**asked, "start": 0}, "entries": 1}
    assert second == {"reader": "ann", "filter": {**asked, "start": 2}, "entries": 1}
