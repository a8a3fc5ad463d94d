"""Search pages return what matches and stop after a bounded scan."""

from __future__ import annotations

import datetime as dt

import pytest

from contracts.envelope import Envelope
from services.audit.log.domain.search import Search
from services.audit.reports.handlers import paged_search
from services.audit.reports.handlers.paged_search import search_page
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event

HOUR = dt.timedelta(hours=1)
# Each matches half of the entries. No entry matches both.
EVEN, ODD = "kg.even", "kopuro.odd.happened.v1"


def nth(number: int) -> Envelope:
    if number % 2:
        return event(ODD, data={"organization": "kg.odd"}, time=NOON + number * HOUR)
    return event(data={"organization": EVEN}, time=NOON + number * HOUR)


@pytest.fixture
def audit(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> LogOnDatabase:
    monkeypatch.setattr(paged_search, "SCANNED_AT_ONCE", 5)
    monkeypatch.setattr(paged_search, "FOUND_AT_ONCE", 4)
    monkeypatch.setattr(paged_search, "PIECES", 3)
    audit.append([nth(number) for number in range(100)])
    return audit


def pages(audit: LogOnDatabase, search: Search, limit: int, stop: int = 100) -> list[list[int]]:
    found, start = [], 0
    while True:
        leaves, following = search_page(
            audit.database, audit.log, search, start=start, stop=stop, limit=limit
        )
        found.append([leaf.index for leaf in leaves])
        if following is None:
            return found
        assert following > start
        start = following


def test_search_page_without_matches_returns_where_to_continue(audit: LogOnDatabase) -> None:
    search = Search(organization=EVEN, type=ODD)
    leaves, following = search_page(audit.database, audit.log, search, start=0, stop=100, limit=10)
    # The search reads three times five entries of one condition, which every second entry matches.
    assert leaves == []
    assert following in range(30, 35)
    assert pages(audit, search, 10) == [[]] * 4


@pytest.mark.parametrize(
    "search",
    [
        Search(),
        Search(organization=EVEN),
        Search(organization="kg.odd", type=ODD),
        Search(type=ODD, since=NOON + 40 * HOUR, until=NOON + 60 * HOUR),
        Search(since=NOON + 13 * HOUR, until=NOON + 77 * HOUR),
        Search(facets=(("actor", "/kg/routing"),), organization=EVEN, until=NOON + 50 * HOUR),
    ],
)
def test_all_search_pages_together_equal_a_full_scan(audit: LogOnDatabase, search: Search) -> None:
    expected = [
        number
        for number in range(90)
        if search.organization in (None, ("kg.odd" if number % 2 else EVEN))
        and (search.type is None or number % 2)
        and (search.since is None or NOON + number * HOUR >= search.since)
        and (search.until is None or NOON + number * HOUR < search.until)
    ]
    for limit in (1, 7, 100):
        found = pages(audit, search, limit, stop=90)
        assert [index for page in found for index in page] == expected
        assert all(len(page) <= limit for page in found)


def test_event_with_a_wrong_clock_does_not_cause_a_full_scan(audit: LogOnDatabase) -> None:
    """After an event whose time is a year too early, later entries may still lie within the time range."""
    audit.append([event(time=NOON - 365 * 24 * HOUR)])
    audit.append([nth(number) for number in range(101, 201)])
    found = pages(audit, Search(until=NOON + 2 * HOUR), 10, stop=201)
    assert found[0] == [0, 1]
    assert [index for page in found for index in page] == [0, 1, 100]


def test_history_page_that_is_short_returns_where_to_continue(audit: LogOnDatabase) -> None:
    page = audit.history.page(auditor("ann"), Search(organization=EVEN, type=ODD), None, 10)
    assert page.leaves == ()
    assert page.following is not None
    assert (
        audit.history.page(auditor("ann"), Search(organization=EVEN, type=ODD), page.following, 10).leaves
        == ()
    )
    assert page.following.size == 100
