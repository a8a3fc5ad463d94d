"""The figures of one week in the network: exact, as published, and for each organisation.

A report is made once, after its week, and keeps only the figures that may be shown (`withholding.py`). So
everything that is computed from reports (changes, months, series) reveals no more than they do, and two
readings of a week never differ by the few units that changed in between.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from statistics import median_low
from typing import Final

from contracts.codes import DeclineReason
from contracts.vocabularies import codes, country_of, need_group
from services.routing.domain.blocking_rule import BLOCKING_RULES
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.domain.passed_over import REASONS
from services.routing.domain.withholding import (
    THRESHOLD,
    Path,
    PublishedFigures,
    published,
    published_by_source,
)

ACCEPTED: Final = "accepted"
RESULTS: Final = (ACCEPTED, *DeclineReason)
# The language of a referral whose facts were reduced before the report was made.
UNKNOWN_LANGUAGE: Final = "und"
# The reasons that share a row of a statement.
ALL_OTHERS: Final = "others"

# Cells, need groups of a country, countries, everything.
_GAP_LEVELS: Final = (5, 2, 1, 0)
_ANSWER_LEVELS: Final = (2, 1, 0)
_FLAT: Final = (1, 0)
_MINUTE: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class UnplacedInWeek:
    """A referral that became unplaced, or the first part of it that did: a person counts once.

    need: the principal one; language: the first; rule: the blocking rule (`blocking_rule.py`).
    """

    region: str
    need: str
    language: str
    rule: str

    @property
    def gap(self) -> Path:
        """The cell that counts the referral."""
        return country_of(self.region), need_group(self.need), self.region, self.need, self.language


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerInWeek:
    """An answer to an offer. result: `accepted`, or the reason of a decline. seconds: since the offer."""

    organization: str
    result: str
    seconds: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WeekEvents:
    """The events of one week.

    asked, silent: offers that were opened and that expired, by organisation. asked_by: the decisions that
    asked an organisation, the oldest first; those of earlier builds are missing. passed_over: referrals for
    which an organisation was considered and not asked, by organisation, reason (`passed_over.py`) and
    sender.
    """

    submitted: int = 0
    unplaced: Sequence[UnplacedInWeek] = ()
    asked: Mapping[str, int] = field(default_factory=dict)
    answers: Sequence[AnswerInWeek] = ()
    silent: Mapping[str, int] = field(default_factory=dict)
    passed_over: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    asked_by: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class WeeklyReport:
    """The published figures of a week.

    organizations: all that the directory had. gaps: by country, need group, region, need and language. rules:
    by rule (`blocking_rule.py`). asked, silent: by organisation. answers: by organisation and result.
    median_seconds, medians: the median time of all answers, and by organisation, to the minute; None or
    missing where the published rows show fewer than 5 answers.
    """

    week: CalendarWeek
    made_at: dt.datetime
    organizations: Sequence[str]
    submitted: int | None
    gaps: PublishedFigures
    rules: PublishedFigures
    asked: PublishedFigures
    answers: PublishedFigures
    silent: PublishedFigures
    median_seconds: int | None
    medians: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """The figures of one organisation's week, for itself. declined: by reason.

    All are exact, except how often it was passed over, by reason: `passed_over` has the rows that may be
    shown, and `ALL_OTHERS` for those that share one. passed_over_in_all: None if it is withheld.
    """

    asked: int = 0
    accepted: int = 0
    declined: Mapping[str, int] = field(default_factory=dict)
    silent: int = 0
    median_seconds: int | None = None
    passed_over_in_all: int | None = None
    passed_over: Mapping[str, int] = field(default_factory=dict)


def report_of(
    week: CalendarWeek,
    events: WeekEvents,
    organizations: Collection[str],
    now: dt.datetime,
    lot: Callable[[Path], int],
) -> WeeklyReport:
    """Return the week's report. organizations: of the directory, whether or not anything happened.

    lot: see `published`.
    """
    listed = sorted({*organizations, *events.asked, *events.silent, *_answering(events.answers)})
    breadth = partial(_organization_breadth, len(listed))
    answers = published(_answer_cells(events.answers), _ANSWER_LEVELS, breadth, lot)
    times = _answer_times(events.answers)
    return WeeklyReport(
        week=week,
        made_at=now,
        organizations=listed,
        submitted=events.submitted if events.submitted >= THRESHOLD else None,
        gaps=published(Counter(one.gap for one in events.unplaced), _GAP_LEVELS, _gap_breadth, lot),
        rules=published(
            Counter((one.rule,) for one in events.unplaced), _FLAT, lambda _: len(BLOCKING_RULES), lot
        ),
        asked=published(_flat(events.asked), _FLAT, breadth, lot),
        answers=answers,
        silent=published(_flat(events.silent), _FLAT, breadth, lot),
        median_seconds=None if answers.total is None else _median([one.seconds for one in events.answers]),
        medians={
            organization: _median(times[organization])
            for organization in listed
            if shown_answers(answers, organization)
        },
    )


def statements_of(
    events: WeekEvents, root_of: Callable[[str], str], lot: Callable[[Path], int]
) -> dict[str, Statement]:
    """Return the statement of each organisation that was considered, asked, answered or was silent.

    root_of: the organisation above all others that an organisation is a branch of. Referrals of the same root
    do not count, and all senders of one root are one source (`published_by_source`). lot: see `published`.
    """
    cells, times = _answer_cells(events.answers), _answer_times(events.answers)
    passed_over = {
        organization: published_by_source(
            _by_root(events, organization, root_of), _FLAT, lambda _: len(REASONS), lot
        )
        for organization in events.passed_over
    }
    return {
        organization: Statement(
            asked=events.asked.get(organization, 0),
            accepted=cells[organization, ACCEPTED],
            declined={
                reason.value: count for reason in DeclineReason if (count := cells[organization, reason])
            },
            silent=events.silent.get(organization, 0),
            median_seconds=_median(times[organization]) if organization in times else None,
            passed_over_in_all=(over := passed_over.get(organization, PublishedFigures())).total,
            passed_over={"".join(path) or ALL_OTHERS: count for path, count in over.rows.items()},
        )
        for organization in sorted({*events.asked, *events.silent, *times, *passed_over})
    }


def shown_answers(answers: PublishedFigures, organization: str) -> int:
    """Return how many answers of an organisation the rows show: at least that many exist."""
    return sum(count for path, count in answers.rows.items() if path[:1] == (organization,))


def counted_reasons(
    events: WeekEvents, organization: str, root_of: Callable[[str], str]
) -> Mapping[str, int]:
    """Return the exact counts of an organisation's reasons; a reason that is missing counts 0."""
    by_root = _by_root(events, organization, root_of)
    return Counter({reason: sum(counts.values()) for (reason,), counts in by_root.items()})


def _by_root(
    events: WeekEvents, organization: str, root_of: Callable[[str], str]
) -> dict[Path, Counter[str]]:
    """Return the counts by reason and by root of the senders, without those of the organisation's own."""
    own = root_of(organization)
    found: dict[Path, Counter[str]] = {}
    for reason, senders in events.passed_over.get(organization, {}).items():
        for sender, count in senders.items():
            if (root := root_of(sender)) != own:
                found.setdefault((reason,), Counter())[root] += count
    return found


def _answering(answers: Iterable[AnswerInWeek]) -> set[str]:
    return {one.organization for one in answers}


def _answer_cells(answers: Iterable[AnswerInWeek]) -> Counter[Path]:
    return Counter((one.organization, one.result) for one in answers)


def _answer_times(answers: Iterable[AnswerInWeek]) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {}
    for one in answers:
        times.setdefault(one.organization, []).append(one.seconds)
    return times


def _median(seconds: Sequence[int]) -> int:
    return round(median_low(seconds) / _MINUTE) * _MINUTE


def _flat(counts: Mapping[str, int]) -> dict[Path, int]:
    return {(name,): count for name, count in counts.items()}


def _organization_breadth(organizations: int, branch: Path) -> int:
    return len(RESULTS) if branch else organizations


@cache
def _gap_breadth(branch: Path) -> int:
    countries = Counter(map(country_of, codes("regions")))
    groups = Counter(map(need_group, codes("needs")))
    if not branch:
        return len(countries)
    if len(branch) == 1:
        return len(groups)
    return countries[branch[0]] * groups[branch[1]] * len(codes("languages"))
