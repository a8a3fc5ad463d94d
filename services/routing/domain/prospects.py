"""The candidates that a decision excludes and that a free place, or time alone, may make available."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.routing.domain.capacity_rules import PLACE_LEFT
from services.routing.domain.failure import UNTIL, Failure
from services.routing.domain.offered_service import OfferedService


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospects:
    """The candidates that may become available without a change of the directory.

    lack_only_a_place: those, as (organisation, service), that could be asked if a place were free. retry_at:
    the earliest time at which one fails no rule any more, or only lacks a place; None if time alone changes
    nothing.
    """

    lack_only_a_place: frozenset[tuple[str, str]] = frozenset()
    retry_at: dt.datetime | None = None

    def plus(self, other: Prospects) -> Prospects:
        """Return the prospects of both."""
        times = [at for at in (self.retry_at, other.retry_at) if at is not None]
        return Prospects(
            lack_only_a_place=self.lack_only_a_place | other.lack_only_a_place,
            retry_at=min(times, default=None),
        )


NO_PROSPECTS = Prospects()


def sum_of(prospects: Iterable[Prospects]) -> Prospects:
    """Return the prospects of all together."""
    total = NO_PROSPECTS
    for one in prospects:
        total = total.plus(one)
    return total


def prospects_of(excluded: Sequence[tuple[OfferedService, tuple[Failure, ...]]]) -> Prospects:
    """Return the prospects of services that may not be asked, each with all rules that it fails."""
    # Many services share the tuple of their failures: whether they lack a place, and until when they fail.
    known: dict[int, tuple[bool, dt.datetime | None]] = {}
    places: set[tuple[str, str]] = set()
    times: set[dt.datetime] = set()
    for offered, failures in excluded:
        key = id(failures)
        if (found := known.get(key)) is None:
            found = known[key] = _prospect(failures)
        lacks_place, until = found
        if lacks_place:
            places.add((offered.organization_id, offered.service_id))
        elif until is not None:
            times.add(until)
    return Prospects(lack_only_a_place=frozenset(places), retry_at=min(times, default=None))


def _prospect(failures: tuple[Failure, ...]) -> tuple[bool, dt.datetime | None]:
    untils: list[dt.datetime] = []
    for failure in failures:
        if failure.rule != PLACE_LEFT or UNTIL in failure.detail:
            until = failure.detail.get(UNTIL)
            if not isinstance(until, dt.datetime):
                return False, None
            untils.append(until)
    return not untils, max(untils, default=None)
