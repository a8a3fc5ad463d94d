"""Corroboration: when two reports of an employer support each other.

Organisations are related if their chains of parents end in the same organisation, their root. Two reports
support each other if their reporters are unrelated, and each of them went to a recipient that is related to
neither reporter, so that somebody else holds its name. In the entry of a name, one of the two states no
number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass

from services.directory.domain.watch_report import WatchReport


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOrigin:
    """The facts about a report that decide which others it supports. root: of the reporter.

    only_recipient: the root of the only recipients that are not related to the reporter, None if there are
    others. has_number: whether the report states a number that its entry is not about.
    """

    root: str
    only_recipient: str | None
    has_number: bool = False

    def supports(self, other: ReportOrigin) -> bool:
        """Return whether reports of the two origins support each other."""
        return (
            self.root != other.root
            and self.only_recipient != other.root
            and other.only_recipient != self.root
            and not (self.has_number and other.has_number)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedReport:
    """A report that counts in an entry."""

    report: WatchReport
    origin: ReportOrigin


def origin_of(root: str, recipient_roots: Collection[str], *, has_number: bool) -> ReportOrigin | None:
    """Return the origin of a report; None if nobody unrelated received the report.

    recipient_roots: the roots of the recipients.
    """
    outside = set(recipient_roots) - {root}
    if not outside:
        return None
    return ReportOrigin(
        root=root, only_recipient=outside.pop() if len(outside) == 1 else None, has_number=has_number
    )


def first_supported(
    reports: Iterable[CountedReport], stated: Callable[[CountedReport], Hashable] = lambda _: None
) -> CountedReport | None:
    """Return the first report that supports an earlier one with the same statement, None if none does."""
    seen: dict[Hashable, set[ReportOrigin]] = defaultdict(set)
    for counted in reports:
        same = seen[stated(counted)]
        if counted.origin in same:
            continue
        if any(counted.origin.supports(other) for other in same):
            return counted
        same.add(counted.origin)
    return None


def number_of_supported(origins: Iterable[ReportOrigin], most: int) -> int:
    """Return how many roots are supported by another one; at most `most`, where counting stops."""
    by_root: dict[str, set[ReportOrigin]] = defaultdict(set)
    for origin in origins:
        by_root[origin.root].add(origin)
    count = 0
    for root, own in by_root.items():
        others = (origin for name, theirs in by_root.items() if name != root for origin in theirs)
        count += any(origin.supports(other) for other in others for origin in own)
        if count == most:
            break
    return count
