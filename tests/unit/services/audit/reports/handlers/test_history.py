"""History searches, their pages and their access records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from contracts.envelope import Envelope
from contracts.errors import Refused
from contracts.records import plain
from runtime.access.reads import Reader
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.turn import Turn
from services.audit.log.adapters import sql_log
from services.audit.log.domain.head import LogKey
from services.audit.log.domain.note import Ed25519Verifier, open_note
from services.audit.log.domain.search import Search
from services.audit.reports.handlers import history, recorded_reads
from services.audit.reports.handlers.history import Position
from services.audit.reports.handlers.proved_entries import ProvedEntries
from tests.support.turns import count_turns
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event, new_key

FIRST, SECOND = new_id(), new_id()
OSH, MOSCOW, ALMATY = "kg.osh-legal-aid", "ru.moscow-union", "kz.almaty-shelter"
HOUR = dt.timedelta(hours=1)

STORY = [
    event("kopuro.referral.submitted.v1", partition_key=FIRST, data={"sender": OSH}, time=NOON),
    event(
        "kopuro.offer.opened.v1",
        partition_key=FIRST,
        data={"organization": MOSCOW, "sender": OSH},
        time=NOON + HOUR,
    ),
    event("kopuro.referral.submitted.v1", partition_key=SECOND, data={"sender": ALMATY}, time=NOON + HOUR),
    event(
        "kopuro.offer.opened.v1",
        partition_key=SECOND,
        data={"organization": MOSCOW, "sender": ALMATY},
        time=NOON + 2 * HOUR,
    ),
    event("kopuro.organization.changed.v1", partition_key=OSH, data={"organization": {"id": OSH}}, time=NOON),
]


@pytest.fixture
def audit_log(audit: LogOnDatabase) -> LogOnDatabase:
    audit.append(STORY)
    return audit


def found(audit: LogOnDatabase, search: Search, limit: int = 50) -> list[int]:
    return [leaf.index for leaf in audit.history.page(auditor("auditor"), search, None, limit).leaves]


@pytest.mark.parametrize(
    ("search", "indices"),
    [
        (Search(), [0, 1, 2, 3, 4]),
        (Search(referral_id=FIRST), [0, 1]),
        (Search(organization=OSH), [0, 1, 4]),
        (Search(organization=MOSCOW), [1, 3]),
        (Search(organization="tj.nobody"), []),
        (Search(type="kopuro.offer.opened.v1"), [1, 3]),
        (Search(since=NOON + HOUR), [1, 2, 3]),
        (Search(until=NOON + HOUR), [0, 4]),
        (Search(since=NOON + HOUR, until=NOON + 2 * HOUR), [1, 2]),
        (Search(organization=MOSCOW, type="kopuro.offer.opened.v1", referral_id=SECOND), [3]),
        (Search(organization=OSH, until=NOON + HOUR), [0, 4]),
    ],
)
def test_search_returns_exactly_the_matching_entries(
    audit_log: LogOnDatabase, search: Search, indices: list[int]
) -> None:
    assert found(audit_log, search) == indices


def pages(audit: LogOnDatabase, search: Search, limit: int) -> Iterator[list[int]]:
    position: Position | None = None
    while True:
        page = audit.history.page(auditor("auditor"), search, position, limit)
        yield [leaf.index for leaf in page.leaves]
        if (position := page.following) is None:
            return


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
def test_pages_hold_every_entry_once_despite_read_records(audit_log: LogOnDatabase, limit: int) -> None:
    seen: list[int] = []
    delivered = 0
    for page in pages(audit_log, Search(), limit):
        assert 0 < len(page) <= limit
        seen += page
        reads = audit_log.recorded_reads()
        audit_log.append(reads[delivered:])
        delivered = len(reads)
    assert seen == [0, 1, 2, 3, 4]


def test_exactly_full_page_is_the_last(audit_log: LogOnDatabase) -> None:
    assert list(pages(audit_log, Search(organization=MOSCOW), 2)) == [[1, 3]]


def test_forged_cursor_reaches_no_further_than_the_log(audit_log: LogOnDatabase) -> None:
    page = audit_log.history.page(auditor("auditor"), Search(), Position(start=3, size=10**9), 50)
    assert [leaf.index for leaf in page.leaves] == [3, 4]
    assert (
        audit_log.history.page(auditor("auditor"), Search(), Position(start=10**9, size=10**9), 50).leaves
        == ()
    )


def test_read_is_recorded_with_reader_and_filter(audit_log: LogOnDatabase) -> None:
    audit_log.history.page(auditor("ann"), Search(referral_id=FIRST, since=NOON), None, 1)
    audit_log.history.page(auditor("bek"), Search(type="kopuro.offer.opened.v1"), None, 50)
    first, second = audit_log.recorded_reads()
    assert first.type == "kopuro.history.read.v1"
    assert first.data == {
        "reader": "ann",
        "client_id": "ann-client",
        "roles": ["auditor"],
        "filter": {"referral": FIRST, "from": "2026-03-01T12:00:00+00:00"},
        "entries": 1,
        "referral_ids": [FIRST],
    }
    assert second.data == {
        "reader": "bek",
        "client_id": "bek-client",
        "roles": ["auditor"],
        "filter": {"type": "kopuro.offer.opened.v1"},
        "entries": 2,
        "referral_ids": [FIRST, SECOND],
    }
    assert second.source == "/kg/audit"
    assert audit_log.woken == 2


def test_read_of_a_referral_is_in_its_own_history(audit_log: LogOnDatabase) -> None:
    audit_log.history.page(auditor("ann"), Search(referral_id=FIRST), None, 50)
    audit_log.history.entry(auditor("bek"), 1)
    audit_log.history.page(auditor("cat"), Search(referral_id=SECOND), None, 50)
    audit_log.append(audit_log.recorded_reads())
    assert found(audit_log, Search(referral_id=FIRST)) == [0, 1, 5, 6]
    assert [read.partition_key for read in audit_log.recorded_reads()[:3]] == [FIRST, FIRST, SECOND]


def test_single_entry_is_returned_unchanged_and_its_read_recorded(audit_log: LogOnDatabase) -> None:
    assert audit_log.history.entry(auditor("ann"), 4).message_id == STORY[4].id
    (read,) = audit_log.recorded_reads()
    assert (read.data["reader"], read.data["filter"], read.data["entries"]) == ("ann", {"index": 4}, 1)
    assert read.data["referral_ids"] == [], "the entry is about an organisation"
    with pytest.raises(Refused):
        audit_log.history.entry(auditor("ann"), 5)


def test_read_record_is_a_decodable_event(audit_log: LogOnDatabase) -> None:
    audit_log.history.page(auditor("ann"), Search(organization=OSH), None, 50)
    read: Envelope = audit_log.recorded_reads()[0]
    assert read.event().type == "kopuro.history.read.v1"


def situation(sender: str, need: str, region: str, time: dt.datetime = NOON) -> Envelope:
    facts = {"needs": [need], "region": region, "origin_country": "KG", "sex": "female"}
    data = {"sender": sender, "facts": facts}
    return event(
        "kopuro.referral.submitted.v1", partition_key=new_id(), data=data, time=time, source="/kg/intake"
    )


@pytest.mark.parametrize(
    ("facets", "indices"),
    [
        ((("need", "legal.wage_claim"),), [0, 2]),
        ((("need", "legal"),), [0, 1, 2]),
        ((("region", "RU"),), [0, 1, 3]),
        ((("corridor", "KG-RU"), ("need", "legal")), [0, 1]),
        ((("origin", "KG"),), [0, 1, 2, 3]),
        ((("actor", OSH),), [0, 3]),
        ((("actor", "/kg/routing"),), [4]),
        ((("outcome", "resolved"),), [4]),
        ((("actor", OSH), ("need", "shelter"), ("region", "RU-MOW")), [3]),
        ((("need", "shelter"), ("region", "KZ")), []),
    ],
)
@pytest.mark.parametrize("limit", [1, 50])
def test_entries_are_found_by_their_facets(
    audit: LogOnDatabase, facets: tuple[tuple[str, str], ...], indices: list[int], limit: int
) -> None:
    completed = event("kopuro.referral.completed.v1", data={"sender": OSH, "outcome": "resolved"})
    audit.append(
        [
            situation(OSH, "legal.wage_claim", "RU-MOW"),
            situation(ALMATY, "legal.work_permit", "RU-SPE"),
            situation(ALMATY, "legal.wage_claim", "KZ-75"),
            situation(OSH, "shelter", "RU-MOW"),
            completed,
        ]
    )
    all_pages = list(pages(audit, Search(facets=facets), limit))
    assert [index for page in all_pages for index in page] == indices


def test_facet_search_combines_with_other_criteria(audit: LogOnDatabase) -> None:
    audit.append([situation(OSH, "shelter", "RU-MOW", NOON + n * HOUR) for n in range(4)])
    shelter = (("need", "shelter"),)
    assert found(audit, Search(facets=shelter, since=NOON + HOUR, until=NOON + 3 * HOUR)) == [1, 2]
    assert found(audit, Search(facets=shelter, organization=OSH, type="kopuro.referral.submitted.v1")) == [
        0,
        1,
        2,
        3,
    ]
    assert found(audit, Search(facets=shelter, type="kopuro.offer.opened.v1")) == []


def test_facet_search_is_recorded_with_its_filter(audit_log: LogOnDatabase) -> None:
    audit_log.history.page(auditor("ann"), Search(facets=(("corridor", "KG-RU"),)), None, 1)
    assert audit_log.recorded_reads()[0].data["filter"] == {"corridor": "KG-RU"}


def test_story_read_has_content_and_is_in_the_referrals_history(
    audit_log: LogOnDatabase,
) -> None:
    leaves = audit_log.history.opened(auditor("ann"), FIRST, {"story": "ru"})
    assert [leaf.data for leaf in leaves] == [STORY[0].data, STORY[1].data]
    (read,) = audit_log.recorded_reads()
    assert read.partition_key == FIRST
    assert (read.data["reader"], read.data["entries"]) == ("ann", 2)
    assert read.data["filter"] == {"referral": FIRST, "story": "ru"}
    with pytest.raises(Refused):
        audit_log.history.opened(auditor("ann"), new_id(), {})
    assert len(audit_log.recorded_reads()) == 1


def read_as(audit: LogOnDatabase, party: str, referral: str = FIRST) -> list[int]:
    leaves = audit.history.opened(
        Reader(id=party, roles=("partner",)), referral, {"story": "ru"}, as_party=True
    )
    return [leaf.index for leaf in leaves]


def test_party_reads_its_own_part_and_its_read_is_recorded(audit_log: LogOnDatabase) -> None:
    assert read_as(audit_log, OSH) == [0, 1]
    assert read_as(audit_log, MOSCOW) == [1]
    for read, entries in zip(audit_log.recorded_reads(), (2, 1), strict=True):
        assert read.partition_key == FIRST
        assert read.data["entries"] == entries
        assert read.data["filter"] == {"referral": FIRST, "story": "ru"}
    assert [read.data["reader"] for read in audit_log.recorded_reads()] == [OSH, MOSCOW]


@pytest.mark.parametrize("end", ["offer.declined", "referral.withdrawn"])
def test_story_and_bundle_lack_the_facts_after_the_end(audit: LogOnDatabase, end: str) -> None:
    """Those of a past candidate lack all content, so that an erasure of it does not show."""
    referral, offer = new_id(), {"organization": MOSCOW, "sender": OSH, "rank": 1}
    left = None if end == "offer.declined" else offer
    facts = {"needs": ["legal"]}

    def at_routing(fact: str, data: dict[str, Any]) -> Envelope:
        return event(f"kopuro.{fact}.v1", partition_key=referral, data=data, time=NOON)

    def read_by_candidate() -> list[Any]:
        reader = Reader(id=MOSCOW, roles=("partner",))
        story = audit.history.opened(reader, referral, {"story": "ru"}, as_party=True)
        bundle = audit.history.export(reader, referral, as_party=True)
        return [story[0].data, bundle.entries[0].leaf.data, bundle.entries[0].leaf.salt is None]

    audit.publish(
        [
            at_routing("referral.submitted", {"sender": OSH, "facts": facts}),
            at_routing("offer.opened", {**offer, "facts": facts}),
        ]
    )
    assert read_by_candidate() == [{**offer, "facts": facts}, {**offer, "facts": facts}, False]
    # In the log, but not published yet.
    audit.append([at_routing(end, {"organization": MOSCOW, "sender": OSH, "reason": "other"})])
    assert read_by_candidate() == [left, None, True]
    audit.publish([])
    assert read_by_candidate() == [left, None, True]


@pytest.mark.parametrize("referral", [FIRST, new_id()], ids=["another's", "unknown"])
def test_organization_that_is_not_a_party_gets_not_found(audit_log: LogOnDatabase, referral: str) -> None:
    with pytest.raises(Refused) as refused:
        read_as(audit_log, ALMATY, referral)
    assert (refused.value.slug, refused.value.detail) == (
        "not-found",
        "The log has no entries about this referral that you may read.",
    )
    assert audit_log.recorded_reads() == []


def readers_of(audit: LogOnDatabase, organization: str | None, referral: str = FIRST) -> list[dict[str, Any]]:
    """Append what has been recorded since, and return the readers as the organisation or staff sees them."""
    audit.append(audit.recorded_reads())  # the log recognises those that it has
    reader = auditor("zoe") if organization is None else Reader(id=organization, roles=("partner",))
    items, _ = audit.history.readers(reader, referral, start=0, limit=50, as_party=organization is not None)
    return [plain(item) for item in items]


def read_by_staff(*referral_ids: str, reader: str = "coord", **filter: str) -> Envelope:
    data = {
        "reader": reader,
        "client_id": f"{reader}-client",
        "roles": ["coordinator"],
        "resource": "GET /v1/referrals",
        "filter": filter,
        "referral_ids": list(referral_ids),
        "entries": len(referral_ids),
    }
    return event("kopuro.referral.read.v1", partition_key=reader, data=data, source="/kg/intake")


def test_sender_sees_who_read_its_referral_alone_and_in_lists(audit_log: LogOnDatabase) -> None:
    audit_log.append([read_by_staff(FIRST, SECOND, status="unplaced"), read_by_staff(SECOND)])
    audit_log.history.page(auditor("ann"), Search(organization=MOSCOW), None, 50)
    audit_log.history.entry(auditor("bek"), 1)
    audit_log.publisher.turn()
    audit_log.history.export(auditor("cat"), FIRST)
    seen = readers_of(audit_log, OSH)
    assert [item["reader"] for item in seen] == ["coord", "ann", "bek", "cat"]
    assert seen[0] == {
        "index": 5,
        "time": seen[0]["time"],
        "type": "kopuro.referral.read.v1",
        "reader": "coord",
        "client_id": "coord-client",
        "roles": ["coordinator"],
        "resource": "GET /v1/referrals",
        "filter": {"status": "unplaced"},
        "entries": 2,
    }
    assert SECOND not in str(seen), "another person's referral"
    assert [item["reader"] for item in readers_of(audit_log, OSH)][-1] == OSH, "its own question"


def test_candidate_sees_staff_but_no_other_party_nor_the_values_of_a_filter(audit_log: LogOnDatabase) -> None:
    audit_log.append([read_by_staff(FIRST, organization=ALMATY)])
    audit_log.append([event("kopuro.offer.opened.v1", partition_key=FIRST, data={"organization": ALMATY})])
    read_as(audit_log, OSH)
    read_as(audit_log, ALMATY)
    seen = readers_of(audit_log, MOSCOW)
    assert [item["reader"] for item in seen] == ["coord"]
    assert ALMATY not in str(seen)
    assert seen[0]["filter"] == {"organization": None}
    assert [item["reader"] for item in readers_of(audit_log, OSH)] == ["coord", OSH, ALMATY, MOSCOW]


def test_export_that_contained_the_referral_is_among_its_readers(audit_log: LogOnDatabase) -> None:
    def export(reader: str, start: int, stop: int, **filter: str) -> Envelope:
        data = {"reader": reader, "form": "ndjson", "filter": filter, "start": start, "stop": stop}
        return event(
            "kopuro.log.exported.v1",
            partition_key=reader,
            data={**data, "entries": 1, "size": 5},
            source="/kg/audit",
        )

    hour = (NOON + HOUR).isoformat()
    audit_log.append(
        [
            export("all", 0, 5),
            export("later", 2, 5),
            export("offers", 0, 5, type="kopuro.offer.opened.v1"),
            export("outcomes", 0, 5, type="kopuro.referral.completed.v1"),
            export("since", 0, 5, **{"from": hour}),
            export("until", 1, 5, to=hour),
        ]
    )
    assert [item["reader"] for item in readers_of(audit_log, OSH)] == ["all", "offers", "since"]


def test_story_for_a_party_names_the_staff_that_read_it(audit_log: LogOnDatabase) -> None:
    audit_log.append([read_by_staff(FIRST, SECOND)])
    assert read_as(audit_log, OSH) == [0, 1, 5]
    assert read_as(audit_log, MOSCOW) == [1, 5]


def test_organization_that_is_not_a_party_gets_no_readers(audit_log: LogOnDatabase) -> None:
    with pytest.raises(Refused):
        readers_of(audit_log, ALMATY)
    assert audit_log.recorded_reads() == []


def test_readers_come_in_pages(audit_log: LogOnDatabase) -> None:
    audit_log.append([read_by_staff(FIRST, reader=name) for name in ("a", "b", "c")])
    first, following = audit_log.history.readers(auditor("z"), FIRST, start=0, limit=2, as_party=False)
    assert [item.reader for item in first] == ["a", "b"]
    assert following == 7
    rest, following = audit_log.history.readers(auditor("z"), FIRST, start=7, limit=2, as_party=False)
    assert [item.reader for item in rest] == ["c"]
    assert following is None


def test_flood_of_reads_hides_neither_story_nor_bundle_nor_readers(
    audit_log: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_EXPORTED", 3)
    monkeypatch.setattr(history, "MOST_READS_TOLD", 4)
    monkeypatch.setattr(recorded_reads, "STEP", 2)
    fetched = [
        event("kopuro.case.fetched.v1", partition_key=FIRST, data={"organization": MOSCOW}) for _ in range(3)
    ]
    names = [f"r{number}" for number in range(6)]
    audit_log.publish(
        [
            *fetched,
            *(read_by_staff(FIRST, reader=name) for name in names),
            read_by_staff(SECOND),
            read_by_staff(SECOND),
        ]
    )
    told = audit_log.history.opened(auditor("ann"), FIRST, {"story": "en"})
    assert [leaf.index for leaf in told] == [0, 1, 5, 6, 7, 8]
    bundle = audit_log.history.export(auditor("ann"), FIRST)
    assert [entry.leaf.index for entry in bundle.entries] == [0, 1, 5]
    seen: list[str] = []
    start: int | None = 0
    while start is not None:
        items, start = audit_log.history.readers(auditor("z"), FIRST, start=start, limit=2, as_party=False)
        seen += [item.reader for item in items]
    assert seen == [MOSCOW, MOSCOW, MOSCOW, *names]


def refused(number: int, organization: str = MOSCOW) -> list[Envelope]:
    """Return a statement of an organisation and its refusal."""
    stated = event(
        "kopuro.progress.submitted.v1",
        id=f"{number:08}-0000-7000-8000-000000000000",
        partition_key=FIRST,
        source="/kg/intake",
        data={"organization": organization, "status": "in_progress"},
    )
    refusal = event(
        "kopuro.submission.refused.v1",
        partition_key=FIRST,
        data={"organization": organization, "submission_id": stated.id, "problem": {"title": "Not yours"}},
    )
    return [stated, refusal]


@pytest.mark.parametrize(("reader", "as_party"), [("ann", False), (OSH, True), (MOSCOW, True)])
def test_flood_of_refused_statements_hides_neither_story_nor_bundle_nor_readers(
    audit_log: LogOnDatabase, monkeypatch: pytest.MonkeyPatch, reader: str, as_party: bool
) -> None:
    monkeypatch.setattr(history, "MOST_EXPORTED", 5)
    monkeypatch.setattr(history, "MOST_STATEMENTS_TOLD", 10)
    progressed = event(
        "kopuro.referral.progressed.v1", partition_key=FIRST, data={"organization": MOSCOW, "sender": OSH}
    )
    flood = [one for number in range(20) for one in refused(number)]
    delivered = [
        event(
            "kopuro.delivery.delivered.v1",
            partition_key=FIRST,
            source="/kg/delivery",
            data={"organization": MOSCOW},
        )
        for _ in range(20)
    ]
    audit_log.publish([*flood, *delivered, progressed])
    told = audit_log.history.opened(auditor(reader), FIRST, {"story": "en"}, as_party=as_party)
    types = [leaf.fields["type"] for leaf in told]
    assert types.count("kopuro.submission.refused.v1") == 3, "the first ones"
    assert "kopuro.progress.submitted.v1" not in types, "it did not take effect"
    assert types[-1] == "kopuro.referral.progressed.v1", "what took effect is told however many statements"
    assert audit_log.history.export(auditor(reader), FIRST, as_party=as_party).entries
    audit_log.history.readers(auditor(reader), FIRST, start=0, limit=2, as_party=as_party)


@pytest.mark.parametrize("act", ["placement", "intervention", "coordinator_withdrawal"])
def test_refused_act_of_a_coordinator_is_in_the_story_once(audit_log: LogOnDatabase, act: str) -> None:
    def acted() -> list[Envelope]:
        data = {"organization": MOSCOW, "coordinator": "kg.coordinator"}
        submitted = event(f"kopuro.{act}.submitted.v1", partition_key=FIRST, data=data)
        refusal = {**data, "submission_id": submitted.id, "problem": {"title": "Conflict"}}
        return [submitted, event(f"kopuro.{act}.refused.v1", partition_key=FIRST, data=refusal)]

    took_effect, _ = acted()
    # More than the refusals of an organisation that a story tells.
    audit_log.publish([took_effect, *(one for _ in range(5) for one in acted())])
    told = audit_log.history.opened(auditor("ann"), FIRST, {"story": "en"})
    acts = [leaf.fields["type"] for leaf in told if f".{act}." in leaf.fields["type"]]
    assert acts == [f"kopuro.{act}.submitted.v1", *[f"kopuro.{act}.refused.v1"] * 5]


def test_repeated_read_by_a_party_is_on_record_once_and_again_after_a_further_step(
    audit_log: LogOnDatabase,
) -> None:
    audit_log.publish([])
    party = Reader(id=MOSCOW, roles=("partner",))

    def read_everything() -> int:
        for _ in range(3):
            read_as(audit_log, MOSCOW)
            audit_log.history.readers(party, FIRST, start=0, limit=5, as_party=True)
            audit_log.history.export(party, FIRST, as_party=True)
        return len(audit_log.recorded_reads())

    assert read_everything() == 3
    assert read_everything() == 3
    audit_log.publish([event("kopuro.offer.declined.v1", partition_key=FIRST, data={"organization": MOSCOW})])
    assert read_everything() == 6


def test_every_read_by_staff_is_on_record(audit_log: LogOnDatabase) -> None:
    audit_log.publish([])
    for _ in range(2):
        audit_log.history.opened(auditor("ann"), FIRST, {"story": "en"})
        audit_log.history.readers(auditor("ann"), FIRST, start=0, limit=5, as_party=False)
        audit_log.history.export(auditor("ann"), FIRST)
    assert len(audit_log.recorded_reads()) == 6


@pytest.mark.parametrize(
    "end", ["offer.declined", "offer.expired", "offer.revoked", "acceptance.revoked", "referral.handed_back"]
)
def test_past_candidate_sees_no_read_after_the_end_of_its_part(audit_log: LogOnDatabase, end: str) -> None:
    audit_log.append([read_by_staff(FIRST, reader="before")])
    audit_log.append([event(f"kopuro.{end}.v1", partition_key=FIRST, data={"organization": MOSCOW})])
    audit_log.append([read_by_staff(FIRST, reader="after")])
    assert [item["reader"] for item in readers_of(audit_log, MOSCOW)] == ["before"]
    assert [item["reader"] for item in readers_of(audit_log, MOSCOW)] == ["before", MOSCOW]
    assert read_as(audit_log, MOSCOW) == [1, 5, 6, 8]
    readers = [item["reader"] for item in readers_of(audit_log, OSH)]
    assert readers[:3] == ["before", "after", MOSCOW]
    # Its answer came in time after all, or it was asked again.
    audit_log.append([event("kopuro.offer.opened.v1", partition_key=FIRST, data={"organization": MOSCOW})])
    assert "after" in [item["reader"] for item in readers_of(audit_log, MOSCOW)]


def test_long_history_is_read_step_by_step(audit_log: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "STEP", 2)
    notes = [
        event("kopuro.note.submitted.v1", partition_key=FIRST, data={"organization": OSH}) for _ in range(6)
    ]
    audit_log.publish([*notes, read_by_staff(FIRST)])
    told = audit_log.history.opened(auditor("ann"), FIRST, {"story": "en"})
    assert [leaf.index for leaf in told] == [0, 1, *range(5, 12)]
    assert len(audit_log.history.export(auditor("ann"), FIRST).entries) == 8


def test_other_requests_run_while_entries_about_reads_are_passed_over(
    audit_log: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody of the staff can add reads without end, and on SQLite one statement holds the process."""
    monkeypatch.setattr(sql_log, "WINDOW", 3)
    read = {"reader": "ann", "filter": {"referral": FIRST}, "entries": 2, "referral_ids": [FIRST]}
    audit_log.publish([event("kopuro.history.read.v1", partition_key=FIRST, data=read) for _ in range(10)])
    counted = count_turns(monkeypatch)
    exported = audit_log.history.export(Reader(id=MOSCOW, roles=("partner",)), FIRST, as_party=True)
    assert [entry.leaf.index for entry in exported.entries] == [1]
    # The steps, then the statements: twelve entries in windows of three.
    assert counted["opened_leaves"] == 2 * 4


def test_own_reads_do_not_tell_a_past_candidate_that_the_referral_continues(audit_log: LogOnDatabase) -> None:
    declined = event("kopuro.offer.declined.v1", partition_key=FIRST, data={"organization": MOSCOW})
    accepted = event("kopuro.offer.accepted.v1", partition_key=FIRST, data={"organization": ALMATY})
    audit_log.publish([declined])

    def read_everything() -> list[str]:
        party = Reader(id=MOSCOW, roles=("partner",))
        read_as(audit_log, MOSCOW)
        audit_log.history.export(party, FIRST, as_party=True)
        return [item["reader"] for item in readers_of(audit_log, MOSCOW)]

    for _ in range(3):
        seen = read_everything()
    audit_log.publish([accepted])
    assert [read_everything() for _ in range(2)] == [seen, seen]


@pytest.fixture
def rotated(database: Database) -> LogOnDatabase:
    """A log whose key was replaced after its last checkpoint."""
    former = LogOnDatabase(database=database, key=new_key())
    former.check()
    former.publish(STORY)
    keys = LogKey(signer=new_key().signer, earlier=(former.key.signer,))
    audit = LogOnDatabase(database=database, key=keys, publication=former.publication)
    audit.check()
    return audit


def test_bundle_names_a_key_that_signed_its_checkpoint_while_the_log_key_is_replaced(
    rotated: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next checkpoint is published while the entries are proved."""

    def published_meanwhile(leaves: Iterable[Any]) -> Iterator[Any]:
        yield from leaves
        rotated.publish([event(partition_key=SECOND)])

    monkeypatch.setattr(history, "in_turns", published_meanwhile)
    bundle = rotated.history.export(auditor("ann"), FIRST)
    assert rotated.published.verifier_key == rotated.key.verifier_key != bundle.log_key
    open_note(bundle.published.note, [Ed25519Verifier.parse(bundle.log_key)])


def test_proved_entries_name_a_key_that_signed_their_checkpoint_while_the_log_key_is_replaced(
    rotated: LogOnDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next checkpoint is published while the entries are opened."""

    def published_meanwhile(_turn: Turn) -> None:
        monkeypatch.undo()  # publishing has turns too
        rotated.publish([event(partition_key=SECOND)])

    monkeypatch.setattr(Turn, "end_if_over", published_meanwhile)
    proved = ProvedEntries(
        database=rotated.database, log=rotated.log, published=rotated.published, author="/kg/routing"
    ).of([STORY[1].id], None)
    assert proved.entries == ()
    assert rotated.published.verifier_key == rotated.key.verifier_key != proved.log_key
    open_note(proved.published.note, [Ed25519Verifier.parse(proved.log_key)])
