"""Decides which employers are watched. Pure: the result depends on the reports, not on their order.

An employer is watched while two reports of organisations in good standing support each other
(`corroboration.py`). Two such reports state what its entry shows. If the reports differ in the name, kind or
region, the entry shows the value that two of them stated first, or else the oldest report's. So a report
changes neither which other employers are watched nor what two other reports state.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from contracts.codes import EmployerPractice, ReporterClass
from contracts.employer import Allegation, Employer
from contracts.organization import Organization
from services.directory.domain.corroboration import (
    CountedReport,
    ReportOrigin,
    first_supported,
    number_of_supported,
    origin_of,
)
from services.directory.domain.employer_identity import EntryKey, entry_keys, normalized_name
from services.directory.domain.watch_report import EmployerReply, WatchReport

# An organisation's report ends 730 days after it; a new one of the same organisation starts over.
REPORTS_KEPT: Final = dt.timedelta(days=730)
_MOST_COUNTED: Final = 10
# Records accept no earlier month.
_FIRST_YEAR: Final = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A watched employer. recipients: of the reports that count; not shown.

    practices, first_month, last_month: as two supporting reports state them; None if they have no month in
    common. until: when, without a further report, it is no longer watched.
    """

    id: str
    employer: Employer
    practices: tuple[EmployerPractice, ...]
    first_month: str | None
    last_month: str | None
    reporters: ReporterClass
    until: dt.datetime
    recipients: tuple[str, ...]
    reply: EmployerReply | None = None


def root_of(organization: str, known: Mapping[str, Organization]) -> str:
    """Return the last organisation of the chain of parents. In a cycle, its lowest id."""
    passed = [organization]
    while (record := known.get(passed[-1])) is not None and record.parent is not None:
        if record.parent in passed:
            return min(passed[passed.index(record.parent) :])
        passed.append(record.parent)
    return passed[-1]


def watched_employers(
    reports: Iterable[WatchReport],
    replies: Iterable[EmployerReply],
    known: Mapping[str, Organization],
    *,
    now: dt.datetime,
    kept: dt.timedelta = REPORTS_KEPT,
    pause: Callable[[], None] = lambda: None,
) -> list[Watched]:
    """Return the watched employers, ordered by id.

    reports: all that may count. known: the reporters and recipients, with all above them. kept: how long a
    report counts. pause: called every few reports, to let other work run.
    """
    by_entry = {reply.watched_id: reply for reply in replies}
    roots: dict[str, str] = {}

    def root(organization: str) -> str:
        if organization not in roots:
            roots[organization] = root_of(organization, known)
        return roots[organization]

    groups: dict[EntryKey, list[CountedReport]] = defaultdict(list)
    for report in sorted(reports, key=lambda one: (one.reported_at, one.id)):
        pause()
        reporter = known.get(report.reporter)
        if (
            report.retracted_at is not None
            or now >= report.reported_at + kept
            or reporter is None
            or not reporter.in_good_standing
        ):
            continue
        recipient_roots = {root(recipient) for recipient in report.recipients}
        keys = entry_keys(report.allegation.employer)
        for key in keys:
            has_number = key.number is None and len(keys) > 1
            origin = origin_of(root(report.reporter), recipient_roots, has_number=has_number)
            if origin is not None:
                groups[key].append(CountedReport(report=report, origin=origin))
    found = []
    for key, group in groups.items():
        if first_supported(_pausing(group, pause)) is not None:
            found.append(_watched(key, group, by_entry.get(key.id), kept, pause))
    return sorted(found, key=lambda one: one.id)


def _watched(
    key: EntryKey,
    group: Sequence[CountedReport],
    reply: EmployerReply | None,
    kept: dt.timedelta,
    pause: Callable[[], None],
) -> Watched:
    """Return the entry of a group, oldest first, in which some support each other."""

    def again() -> Iterator[CountedReport]:
        return _pausing(group, pause)

    practices = [
        practice
        for practice in EmployerPractice
        if first_supported(one for one in again() if practice in one.report.allegation.practices)
    ]
    last = first_supported(_pausing(reversed(group), pause))
    assert last is not None  # whether two reports support each other does not depend on their order
    months = _common_months(again())
    return Watched(
        id=key.id,
        employer=_as_stated(key, group, pause),
        practices=tuple(practices),
        first_month=months[0] if months else None,
        last_month=months[1] if months else None,
        reporters=_class_of(number_of_supported((one.origin for one in again()), _MOST_COUNTED)),
        until=last.report.reported_at + kept,
        recipients=tuple(sorted({name for one in again() for name in one.report.recipients})),
        reply=reply,
    )


def _as_stated(key: EntryKey, group: Sequence[CountedReport], pause: Callable[[], None]) -> Employer:
    def employer(counted: CountedReport) -> Employer:
        return counted.report.allegation.employer

    def name(counted: CountedReport) -> str:
        return normalized_name(employer(counted).name)

    named = name(first_supported(_pausing(group, pause), name) or group[0])
    spelled = next(one for one in _pausing(group, pause) if name(one) == named)
    kind = first_supported(_pausing(group, pause), lambda one: employer(one).kind) or group[0]
    with_region = (one for one in _pausing(group, pause) if employer(one).region is not None)
    region = first_supported(with_region, lambda one: employer(one).region) or group[0]
    return Employer(
        name=employer(spelled).name,
        kind=employer(kind).kind,
        country=key.country,
        region=employer(region).region,
        registration_number=key.number,
    )


def _common_months(group: Iterable[CountedReport]) -> tuple[str, str] | None:
    """Return the first and last month that two supporting reports have in common.

    Months are bits of an integer, so that reports with many periods cost little.
    """
    stated: dict[ReportOrigin, int] = defaultdict(int)
    for one in group:
        stated[one.origin] |= _bits(one.report.allegation)
    common = 0
    for first, second in combinations(stated, 2):
        if first.supports(second):
            common |= stated[first] & stated[second]
    if not common:
        return None
    return _month((common & -common).bit_length() - 1), _month(common.bit_length() - 1)


def _bits(allegation: Allegation) -> int:
    first, last = _number(allegation.first_month), _number(allegation.last_month)
    return (1 << (last + 1)) - (1 << first)


def _number(month: str) -> int:
    return (int(month[:4]) - _FIRST_YEAR) * 12 + int(month[5:]) - 1


def _month(number: int) -> str:
    year, month = divmod(number, 12)
    return f"{year + _FIRST_YEAR}-{month + 1:02}"


def _pausing(group: Iterable[CountedReport], pause: Callable[[], None]) -> Iterator[CountedReport]:
    for counted in group:
        pause()
        yield counted


def _class_of(reporters: int) -> ReporterClass:
    if reporters < 5:
        return ReporterClass.two_to_four
    return ReporterClass.five_to_nine if reporters < _MOST_COUNTED else ReporterClass.ten_or_more
