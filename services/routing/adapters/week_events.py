"""The events of a week, read from the timeline in the order of its numbers.

The timeline has no index by time, because every referral would pay for one. Its numbers ascend with time,
except for entries that several processes wrote at the same moment, so each report reads on from where the one
before ended: a week costs what was written since.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection

from runtime.storage.columns import microseconds, moment_of
from runtime.storage.sql_statement import SqlStatement
from runtime.turn import Turn
from services.routing.domain.blocking_rule import blocking_rule
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.passed_over import first_reasons, passed_over
from services.routing.domain.reduced_facts import is_reduced
from services.routing.domain.weekly_report import (
    ACCEPTED,
    UNKNOWN_LANGUAGE,
    AnswerInWeek,
    UnplacedInWeek,
    WeekEvents,
)

# Clocks of processes differ less, and transactions take less.
SKEW: Final = dt.timedelta(hours=1)
_PAGE: Final = 500

STEPS = SqlStatement(
    "SELECT number, referral_id, time, fact, organization, detail FROM timeline WHERE number > ?"
    " ORDER BY number LIMIT ?"
)
FIRST_STEP = SqlStatement("SELECT time FROM timeline ORDER BY number LIMIT 1")
FACTS_OF = SqlStatement("SELECT id, facts FROM referrals WHERE id = ANY (?)")
DECISIONS_OF = SqlStatement(
    "SELECT referral_id, decided_at, record, id, asked FROM decisions WHERE referral_id = ANY (?)"
    " ORDER BY referral_id, id"
)
SENDERS_OF = SqlStatement("SELECT id, sender, part_of FROM referrals WHERE id = ANY (?)")
OPENED_AT = SqlStatement("SELECT id, opened_at FROM offers WHERE id = ANY (?)")


class SqlWeekEvents:
    """See `ports.WeekEventReader`."""

    def began(self, transaction: Connection) -> dt.datetime | None:
        """See `ports.WeekEventReader`."""
        found = FIRST_STEP.run(transaction).scalar()
        return None if found is None else moment_of(found)

    def read(
        self, transaction: Connection, week: CalendarWeek, after: int, now: dt.datetime
    ) -> tuple[WeekEvents, int]:
        """See `ports.WeekEventReader`."""
        tally, turn = _Tally(week), Turn()
        start, end = microseconds(week.start), microseconds(week.end)
        last = microseconds(week.end + SKEW)
        # A later row has the time of a clock that was wrong, and says nothing about the rows behind it.
        latest = microseconds(now + SKEW)
        following: int | None = None
        while True:
            page = [_Step(*row) for row in STEPS.run(transaction, after, _PAGE)]
            for row in page:
                if start <= row.time < end:
                    tally.add(row)
                elif end <= row.time <= latest and following is None:
                    following = row.number - 1
                turn.end_if_over()
            known = [row.time for row in page if row.time <= latest]
            if len(page) < _PAGE or (known and known[-1] >= last):
                break
            after = page[-1].number
        if following is None:
            following = page[-1].number if page else after
        return tally.events(transaction, turn), following


class _Step(NamedTuple):
    """A row of STEPS. time: in microseconds; detail: JSON."""

    number: int
    referral_id: str
    time: int
    fact: str
    organization: str
    detail: str


class _Tally:
    """The steps of one week, as they are read."""

    def __init__(self, week: CalendarWeek) -> None:
        self._start, self._end = microseconds(week.start), microseconds(week.end)
        self._submitted = 0
        # Every referral with a step in the week -> the organisations that were asked about it in the week.
        self._referrals: dict[str, set[str]] = {}
        self._asked: Counter[str] = Counter()
        # Offer -> organisation, result and time of the answer; the organisations of expired offers.
        self._answers: dict[str, tuple[str, str, int]] = {}
        self._expired: dict[str, str] = {}
        # Referral -> when it became unplaced for the first time in the week.
        self._unplaced: dict[str, int] = {}

    def add(self, row: _Step) -> None:
        asked = self._referrals.setdefault(row.referral_id, set())
        match row.fact:
            case "referral.submitted":
                self._submitted += 1
            case "referral.unplaced":
                self._unplaced.setdefault(row.referral_id, row.time)
            case "offer.opened":
                self._asked[row.organization] += 1
                asked.add(row.organization)
            case "offer.expired":
                self._expired[_offer(row)] = row.organization
            case "offer.accepted":
                self._answers[_offer(row)] = row.organization, ACCEPTED, row.time
            case "offer.declined":
                reason = orjson.loads(row.detail)["reason"]
                self._answers[_offer(row)] = row.organization, reason, row.time

    def events(self, transaction: Connection, turn: Turn) -> WeekEvents:
        opened = dict(_in_pages(transaction, OPENED_AT, list(self._answers), turn))
        # An answer in time takes back an expiry that was noted before it was read.
        silent = Counter(
            organization for offer, organization in self._expired.items() if offer not in self._answers
        )
        known = {
            referral_id: (sender, part_of)
            for referral_id, sender, part_of in _in_pages(
                transaction, SENDERS_OF, list(self._referrals), turn
            )
        }
        passed, asked_by = self._considered(transaction, known, turn)
        return WeekEvents(
            submitted=self._submitted,
            unplaced=self._found_nobody(transaction, known, turn),
            asked=self._asked,
            answers=[
                AnswerInWeek(
                    organization=organization,
                    result=result,
                    seconds=max(0, at - opened.get(offer, at)) // 1_000_000,
                )
                for offer, (organization, result, at) in self._answers.items()
            ],
            silent=silent,
            passed_over=passed,
            asked_by={organization: sorted(ids) for organization, ids in asked_by.items()},
        )

    def _considered(
        self, transaction: Connection, known: Mapping[str, tuple[str, str | None]], turn: Turn
    ) -> tuple[dict[str, dict[str, Counter[str]]], dict[str, list[str]]]:
        """Count each referral once for each organisation that was considered in the week and not asked.

        A whole and its parts count as one, because they are one person: the organisation counts under the
        first of its reasons, and not at all if it was asked about one of them. A decision that changed
        nothing leaves no step. It counts if its referral has another step. Also returns the decisions that
        asked an organisation. known: the sender of each referral, and the referral that it is a part of.
        """
        counts: dict[str, dict[str, Counter[str]]] = {}
        asked_by: dict[str, list[str]] = {}
        # Keyed by the id of the whole. Other referrals are counted at once: their reasons need not be kept.
        families: dict[str, list[tuple[str, dict[str, str]]]] = {
            part_of: [] for _, part_of in known.values() if part_of is not None
        }
        rows = _in_pages(transaction, DECISIONS_OF, list(self._referrals), turn)
        for referral_id, decisions in groupby(rows, key=lambda row: row[0]):
            records = []
            for _, decided_at, record, decision_id, asked in decisions:
                if self._start <= decided_at < self._end:
                    records.append(orjson.loads(record))
                    for organization in orjson.loads(asked or "[]"):
                        asked_by.setdefault(organization, []).append(decision_id)
            sender, part_of = known[referral_id]
            reasons = passed_over(records, self._referrals[referral_id])
            if (family := families.get(part_of or referral_id)) is None:
                _count(counts, reasons, sender)
            else:
                family.append((referral_id, reasons))
        for family in filter(None, families.values()):
            asked_about = set[str]().union(*(self._referrals[one] for one, _ in family))
            sender, _ = known[family[0][0]]
            _count(counts, first_reasons([found for _, found in family], asked_about), sender)
        return counts, asked_by

    def _found_nobody(
        self, transaction: Connection, known: Mapping[str, tuple[str, str | None]], turn: Turn
    ) -> list[UnplacedInWeek]:
        """Return the referrals that became unplaced. A whole and its parts are one person."""
        first: dict[str, str] = {}
        for referral_id in sorted(self._unplaced, key=self._unplaced.__getitem__):
            first.setdefault(known[referral_id][1] or referral_id, referral_id)
        ids = list(first.values())
        rules: dict[str, str] = {}
        for referral_id, decided_at, record, *_ in _in_pages(transaction, DECISIONS_OF, ids, turn):
            if decided_at <= self._unplaced[referral_id]:
                rules[referral_id] = blocking_rule(orjson.loads(record))
        return [
            _unplaced(orjson.loads(facts), rules.get(referral_id, blocking_rule({})))
            for referral_id, facts in _in_pages(transaction, FACTS_OF, ids, turn)
        ]


def _count(counts: dict[str, dict[str, Counter[str]]], reasons: Mapping[str, str], sender: str) -> None:
    for organization, reason in reasons.items():
        counts.setdefault(organization, {}).setdefault(reason, Counter())[sender] += 1


def _unplaced(facts: dict[str, Any], rule: str) -> UnplacedInWeek:
    return UnplacedInWeek(
        region=facts["region"],
        need=facts["needs"][0],
        language=UNKNOWN_LANGUAGE if is_reduced(facts) else facts["languages"][0],
        rule=rule,
    )


def _offer(row: _Step) -> str:
    found: str = orjson.loads(row.detail)["offer_id"]
    return found


def _in_pages(transaction: Connection, wanted: SqlStatement, ids: Sequence[str], turn: Turn) -> Iterator[Any]:
    for start in range(0, len(ids), _PAGE):
        # A page is read whole before its rows are used, and the records of a week are never all in memory.
        for row in wanted.run(transaction, list(ids[start : start + _PAGE])).all():
            yield tuple(row)
            turn.end_if_over()
