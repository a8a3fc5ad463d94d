"""The decision which employers are watched. Pure: it depends on the reports, not on their order.

An employer is watched while at least two unrelated organisations in good standing report it. Organisations
are related if their chains of parents end in the same organisation; all of them together count once.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from contracts.codes import EmployerPractice, ReporterClass
from contracts.employer import Employer
from contracts.organization import Organization
from contracts.records import dump
from services.directory.domain.employer_identity import Identities, identities
from services.directory.domain.watch_report import EmployerReply, WatchReport

LEAST_REPORTERS: Final = 2
# An organisation's report ends 24 months after it; a new one of the same organisation begins anew.
REPORTS_KEPT: Final = dt.timedelta(days=730)

# The organisation that a reporter counts as; None: its reports do not count.
CountedAs = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A watched employer. recipients: of the reports that count; not shown.

    until: when, without a further report, it is no longer watched.
    """

    id: str
    employer: Employer
    practices: tuple[EmployerPractice, ...]
    first_month: str
    last_month: str
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


def counted_as(organization: str, known: Mapping[str, Organization]) -> str | None:
    """Return the root of an organisation in good standing; None for any other: its reports do not count."""
    record = known.get(organization)
    return root_of(organization, known) if record is not None and record.in_good_standing else None


def watched_employers(
    reports: Iterable[WatchReport],
    replies: Iterable[EmployerReply],
    counts_as: CountedAs,
    *,
    now: dt.datetime,
    kept: dt.timedelta = REPORTS_KEPT,
) -> list[Watched]:
    """Return the watched employers, ordered by id.

    reports: all that may count, of every employer of a country. kept: how long a report counts.
    """
    counted = [
        (report, root)
        for report in reports
        if report.retracted_at is None
        and now < report.reported_at + kept
        and (root := counts_as(report.reporter)) is not None
    ]
    known = identities(report.allegation.employer for report, _ in counted)
    groups: dict[str, list[tuple[WatchReport, str]]] = {}
    for report, root in counted:
        groups.setdefault(known.id_of(report.allegation.employer), []).append((report, root))
    latest = _latest(replies, known)
    return [
        _watched(employer_id, group, latest.get(employer_id), kept)
        for employer_id, group in sorted(groups.items())
        if len({root for _, root in group}) >= LEAST_REPORTERS
    ]


def _latest(replies: Iterable[EmployerReply], known: Identities) -> dict[str, EmployerReply]:
    found: dict[str, EmployerReply] = {}
    for reply in sorted(replies, key=lambda one: (one.at, one.watched_id)):
        found[known.id_of(reply.employer)] = reply
    return found


def _watched(
    employer_id: str,
    group: list[tuple[WatchReport, str]],
    reply: EmployerReply | None,
    kept: dt.timedelta,
) -> Watched:
    allegations = [report.allegation for report, _ in group]
    practices = {practice for allegation in allegations for practice in allegation.practices}
    ends: dict[str, dt.datetime] = {}
    for report, root in group:
        ends[root] = max(ends.get(root, report.reported_at + kept), report.reported_at + kept)
    return Watched(
        id=employer_id,
        employer=_as_most_state_it(group),
        practices=tuple(practice for practice in EmployerPractice if practice in practices),
        first_month=min(allegation.first_month for allegation in allegations),
        last_month=max(allegation.last_month for allegation in allegations),
        reporters=_class_of(len(ends)),
        until=sorted(ends.values())[-LEAST_REPORTERS],
        recipients=tuple(sorted({name for report, _ in group for name in report.recipients})),
        reply=reply,
    )


def _as_most_state_it(group: list[tuple[WatchReport, str]]) -> Employer:
    """Return the employer as most unrelated organisations state it; of equals, the first in JSON."""
    stated = {(report.allegation.employer, root) for report, root in group}
    votes = Counter(employer for employer, _ in stated)
    chosen = min(votes, key=lambda employer: (-votes[employer], dump(employer)))
    numbers = {employer.registration_number for employer in votes} - {None}
    # A group has one number at most.
    return replace(chosen, registration_number=min(numbers, key=str, default=None))


def _class_of(reporters: int) -> ReporterClass:
    if reporters < 5:
        return ReporterClass.two_to_four
    return ReporterClass.five_to_nine if reporters < 10 else ReporterClass.ten_or_more
