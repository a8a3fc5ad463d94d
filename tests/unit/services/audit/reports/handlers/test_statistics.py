"""Statistics over a log in a real database, and the entries behind them."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from contracts.envelope import Envelope
from contracts.part_id import part_id
from runtime.identifiers import new_id
from services.audit.adapters.tables import OPENINGS
from services.audit.log.domain.search import Search
from services.audit.reports.adapters.sql_statistics import SqlReferrals
from services.audit.reports.domain.statistics_counts import (
    DIMENSIONS,
    ERASED,
    SITUATION,
    UNKNOWN,
    combined_of,
    is_class,
)
from services.audit.reports.handlers.statistics import StatisticsHandler
from tests.unit.services.audit.logs import NOON, LogOnDatabase, auditor, event

MOSCOW = "ru.moscow-union"
MINUTE = dt.timedelta(minutes=1)


def record(kind: str) -> Envelope:
    data = {"revision": 1, "organization": {"id": MOSCOW, "kind": kind}}
    return event("kopuro.organization.changed.v1", data=data, partition_key=MOSCOW)


def referral(
    sex: str, *, needs: tuple[str, ...] = ("shelter",), minutes: int | None = None, outcome: str | None = None
) -> list[Envelope]:
    number = new_id()
    facts = {"sex": sex, "needs": list(needs), "region": "RU-MOW", "origin_country": "KG"}

    def referral_event(fact: str, after: int, **data: Any) -> Envelope:
        content = {"referral_id": number, "organization": MOSCOW, **data}
        time = NOON + after * MINUTE
        return event(f"kopuro.{fact}.v1", data=content, partition_key=number, time=time)

    events_of_referral = [referral_event("referral.submitted", 0, facts=facts)]
    if minutes is not None:
        events_of_referral.append(referral_event("offer.accepted", minutes))
    if outcome is not None:
        events_of_referral.append(referral_event("referral.completed", 600, outcome=outcome))
    return events_of_referral


def handler(audit: LogOnDatabase) -> StatisticsHandler:
    return StatisticsHandler(
        database=audit.database, log=audit.log, referrals=SqlReferrals(audit.log), history=audit.history
    )


def figures(
    audit: LogOnDatabase, *by: str, span: Search | None = None, exact: bool = False
) -> dict[tuple[str, ...], int | None]:
    counted = handler(audit).count(auditor("ann"), by, span or Search(), exact=exact)
    return {tuple(f.values.get(name, "") for name in by): f.count for f in counted.statistics.figures}


def test_referrals_are_counted_by_situation_and_outcome(audit: LogOnDatabase) -> None:
    audit.append([record("ngo"), record("union")])
    for n in range(12):
        audit.append(referral("female", minutes=n, outcome="resolved"))
    for _ in range(7):
        audit.append(referral("male"))
    assert figures(audit, "sex") == {("female",): 12, ("male",): 7, ("",): 19}
    assert figures(audit, "outcome") == {("resolved",): 12, ("open",): 7, ("",): 19}
    assert figures(audit, "organization_kind") == {("union",): 12, ("none",): 7, ("",): 19}
    assert figures(audit, "origin") == {("KG",): 19, ("",): 19}
    counted = handler(audit).count(auditor("ann"), ["sex"], Search()).statistics
    women = next(f for f in counted.figures if f.values == {"sex": "female"})
    assert (women.median, women.ninetieth) == (5 * 60, 10 * 60)
    assert next(f for f in counted.figures if f.values == {"sex": "male"}).median is None


@pytest.mark.parametrize("end", ["referral.handed_back", "acceptance.revoked"])
def test_referral_whose_acceptance_ended_has_no_acceptor(audit: LogOnDatabase, end: str) -> None:
    audit.append([record("union")])
    for _ in range(7):
        accepted = referral("female", minutes=5)
        number = accepted[0].partition_key
        content = {"referral_id": number, "organization": MOSCOW}
        audit.append(
            [*accepted, event(f"kopuro.{end}.v1", data=content, partition_key=number, time=NOON + 9 * MINUTE)]
        )
    assert figures(audit, "organization_kind") == {("none",): 7, ("",): 7}


def test_unplaced_referral_is_counted_as_such_until_an_organization_is_asked_again(
    audit: LogOnDatabase,
) -> None:
    def waiting(*steps: str) -> None:
        found = referral("female")
        number = found[0].partition_key
        content = {"referral_id": number, "organization": MOSCOW}
        later = [
            event(f"kopuro.{step}.v1", data=content, partition_key=number, time=NOON + n * MINUTE)
            for n, step in enumerate(steps, 1)
        ]
        audit.append([*found, *later])

    for _ in range(5):
        waiting("offer.opened", "offer.expired", "referral.unplaced")
        waiting("referral.unplaced", "offer.opened")
        waiting("referral.unplaced", "offer.opened", "offer.declined", "referral.unplaced")
        waiting("referral.unplaced", "referral.withdrawn")
    assert figures(audit, "outcome") == {("unplaced",): 10, ("open",): 5, ("withdrawn",): 5, ("",): 20}


def test_split_referral_counts_once_and_its_parts_do_not_count_as_persons(audit: LogOnDatabase) -> None:
    for _ in range(6):
        whole = referral("female", needs=("shelter", "legal"))
        number = whole[0].partition_key
        parts = (part_id(number, 1), part_id(number, 2))

        def said(fact: str, about: str, **data: Any) -> Envelope:
            content = {"referral_id": about, **data}
            return event(f"kopuro.{fact}.v1", data=content, partition_key=about, time=NOON + MINUTE)

        facts = whole[0].data["facts"]
        audit.append([*whole, said("referral.split", number, parts=list(parts))])
        for part, need in zip(parts, ("shelter", "legal"), strict=True):
            opened = said("part.opened", part, part_of=number, facts={**facts, "needs": [need]})
            accepted = said("offer.accepted", part, organization=MOSCOW)
            completed = said("referral.completed", part, organization=MOSCOW, outcome="not_resolved")
            audit.append([opened, accepted, completed])
        audit.append([said("referral.completed", number, organization=None, outcome="partly_resolved")])
    assert figures(audit, "sex") == {("female",): 6, ("",): 6}
    assert figures(audit, "outcome") == {("partly_resolved",): 6, ("",): 6}
    # Its parts have the acceptors.
    assert figures(audit, "organization_kind") == {("none",): 6, ("",): 6}


def test_referral_with_two_needs_counts_twice_with_unit_need(audit: LogOnDatabase) -> None:
    for _ in range(6):
        audit.append(referral("female", needs=("shelter", "legal.wage_claim")))
    assert figures(audit, "need") == {("shelter",): 6, ("legal.wage_claim",): 6, ("",): 12}
    assert handler(audit).count(auditor("ann"), ["need"], Search()).statistics.unit == "need"


def test_small_class_is_combined_unless_exact(
    audit: LogOnDatabase,
) -> None:
    for sex, count in (("female", 9), ("male", 6), ("other", 4)):
        for _ in range(count):
            audit.append(referral(sex))
    assert figures(audit, "sex") == {("female",): 9, ("combined",): 10, ("",): 19}
    protected = handler(audit).count(auditor("ann"), ["sex"], Search()).statistics
    # All classes of the vocabulary, including those without referrals.
    assert combined_of(protected) == {"sex": ["male", "other", "unknown"]}
    assert not protected.exact
    exact = handler(audit).count(auditor("ann"), ["sex"], Search(), exact=True).statistics
    assert {f.values.get("sex", ""): f.count for f in exact.figures} == {
        "female": 9,
        "male": 6,
        "other": 4,
        "": 19,
    }
    assert combined_of(exact) == {}
    assert audit.recorded_reads()[-1].data["filter"] == {"statistics": "sex", "exact": "true"}


def test_time_range_selects_by_submission(audit: LogOnDatabase) -> None:
    for _ in range(5):
        audit.append(referral("female", outcome="resolved"))
    assert figures(audit, "outcome", span=Search(until=NOON + MINUTE)) == {("resolved",): 5, ("",): 5}
    assert figures(audit, "outcome", span=Search(since=NOON + MINUTE)) == {("",): None}


def test_erased_referral_counts_as_erased(audit: LogOnDatabase) -> None:
    for _ in range(5):
        audit.append(referral("female", minutes=1, outcome="resolved"))
    with audit.database.write() as transaction:
        transaction.execute(OPENINGS.delete())
    assert figures(audit, "sex") == {("erased",): 5, ("",): 5}


def test_figure_entries_are_those_it_was_counted_from(audit: LogOnDatabase) -> None:
    men = [referral("male") for _ in range(3)]
    women = [referral("female", minutes=5, outcome="resolved") for _ in range(5)]
    for events_of_referral in (*men, *women):
        audit.append(events_of_referral)
    ids = audit.message_ids()
    seen = []
    start: int | None = 0
    while start is not None:
        values = {"sex": "female", "outcome": "resolved"}
        some, start = handler(audit).entries(auditor("ann"), values, Search(), start=start, limit=2)
        seen += some
    assert [[ids[index] for index in counted.entries] for counted in seen] == [
        [message.id for message in events_of_referral] for events_of_referral in women
    ]


def test_every_statistics_query_is_recorded(audit: LogOnDatabase) -> None:
    handler(audit).count(auditor("ann"), ["sex", "outcome"], Search(since=NOON))
    handler(audit).entries(auditor("bek"), {"sex": "female"}, Search(), start=0, limit=5)
    first, second = audit.recorded_reads()
    assert first.data["filter"] == {"statistics": "sex,outcome", "from": "2026-03-01T12:00:00+00:00"}
    assert second.data["filter"] == {"statistics": "entries", "sex": "female"}


def test_suppression_lets_other_greenlets_run(audit: LogOnDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    monkeypatch.setattr(time, "sleep", turns.append)
    for sex in ("female", "male", "other"):
        for need in ("shelter", "legal.wage_claim"):
            for _ in range(5 if (sex, need) != ("male", "shelter") else 3):
                audit.append(referral(sex, needs=(need,)))
    assert figures(audit, "sex", "need")["male", "shelter"] is None
    assert turns
    assert not any(turns)


def test_table_by_need_and_region_of_many_thin_classes_is_answered(audit: LogOnDatabase) -> None:
    for n in range(30):
        audit.append(referral(f"s{n}", needs=tuple(f"n{n}_{m}" for m in range(3))))
    everybody = ("combined", "combined")
    expected = {everybody: 90, (everybody[0], ""): 90, ("", everybody[1]): 90, ("", ""): 90}
    assert figures(audit, "sex", "need") == expected
    exact = figures(audit, "sex", "need", exact=True)
    assert exact["s7", "n7_2"] == 1
    assert len(exact) == 90 + 30 + 90 + 1


def test_tables_of_fewer_than_five_and_of_none_are_equal(audit: LogOnDatabase) -> None:
    nobody = figures(audit, "sex", "need")
    for _ in range(4):
        audit.append(referral("female"))
    assert figures(audit, "sex", "need") == nobody == {("", ""): None}


def test_every_value_of_a_figure_selects_entries(audit: LogOnDatabase) -> None:
    """Also values that no vocabulary has, such as those of open and of erased referrals."""
    wages = ("legal.wage_claim",)
    audit.append([record("union"), *referral("male", needs=wages, minutes=3, outcome="resolved")])
    audit.append([*referral("female", needs=wages), *referral("female", needs=wages, minutes=5)])
    for dimension in DIMENSIONS:
        shown = {values[0] for values in figures(audit, dimension, exact=True)} - {""}
        assert shown
        assert [value for value in {*shown, ERASED} if not is_class(dimension, value)] == [], dimension
    assert all(is_class(dimension, UNKNOWN) for dimension in SITUATION)
    assert all(is_class("outcome", value) for value in ("withdrawn", "failed", "open", "unplaced"))
