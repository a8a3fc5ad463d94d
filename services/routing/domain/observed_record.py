"""An observation as a decision's record keeps it: JSON values, without what is zero."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from contracts.codes import Urgency
from contracts.records import Encoded, dump
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.observation import NOTHING_OBSERVED, Observation, ServiceLoad
from services.routing.domain.places import Demand
from services.routing.domain.withdrawn_offers import WithdrawnCounts, still_counting

# Each count by name; `last_asked` as ISO 8601; by service: `services` with `accepted` and `demand`, which is
# [sender, urgency, offers, waiting], sorted, and `full_since` as ISO 8601. Without the withdrawn offers
# (`OwnWithdrawnOffers`).
ObservedRecord = Mapping[str, Any]

_COUNTS: Final = ("answered", "expired", "answer_seconds", "returned")


class ObservedOrganizations:
    """A decision's observations of its candidates' organisations, as records by id.

    An observation keeps its record once that was made, because many decisions record it before it changes.
    Organisations without observations are left out.
    """

    __slots__ = ("_each", "_observed", "_organizations")

    def __init__(
        self,
        organizations: Sequence[str] = (),
        observed: Callable[[str], Observation] = lambda _: NOTHING_OBSERVED,
    ) -> None:
        """observed: returns an organisation's observation at the decision's time, however late it is called.

        organizations: repetitions do not count.
        """
        self._organizations = organizations
        self._observed = observed
        self._each: Sequence[Observation] | None = None

    @property
    def each(self) -> Sequence[Observation]:
        """The observation of each organisation."""
        if self._each is None:
            self._each = list(map(self._observed, self._organizations))
        return self._each

    def by_organization(self) -> Iterator[tuple[str, Observation]]:
        """Return each organisation with its observation; organisations may repeat."""
        return zip(self._organizations, self.each, strict=True)

    def encoded(self) -> bytes:
        """Return the records as JSON."""
        return dump(
            {
                name: record
                for name, seen in self.by_organization()
                if (record := seen.record or prepare_record(seen)) is not _NOTHING_RECORDED
            }
        )


class OwnWithdrawnOffers:
    """The withdrawn offers of a decision's sender at its candidates' organisations, as records by id.

    Withdrawn offers of other senders, or that no longer count, or do not count for this urgency, do not
    change the decision, so they are not recorded with it. Organisations without any are left out.
    """

    __slots__ = ("_given", "_observed")

    def __init__(
        self, given: Circumstances | None = None, observed: ObservedOrganizations | None = None
    ) -> None:
        """given, observed: of the decision. None: nothing was considered."""
        self._given = given
        self._observed = ObservedOrganizations() if observed is None else observed

    def encoded(self) -> bytes:
        """Return the records as JSON."""
        return dump(
            {
                name: sorted([urgency, at.isoformat(), offers] for (urgency, at), offers in counts.items())
                for name, seen in self._observed.by_organization()
                if seen.withdrawn and (counts := self._own(seen))
            }
        )

    def _own(self, seen: Observation) -> WithdrawnCounts:
        given = self._given
        if given is None or (counts := seen.withdrawn.get(given.sender)) is None:
            return {}
        return still_counting(
            counts, urgency=given.facts.urgency, now=given.now, bounds=given.offers_per_sender
        )


def withdrawn_counts_of(record: Sequence[Sequence[Any]]) -> WithdrawnCounts:
    """Return the counts of one organisation's record. Raises TypeError or ValueError for another value."""
    return {(Urgency(urgency), dt.datetime.fromisoformat(at)): offers for urgency, at, offers in record}


_NOTHING_RECORDED: Final = Encoded(b"{}")


def prepare_record(seen: Observation) -> Encoded:
    """Return the record of an observation, which keeps it."""
    if seen.record is not None:
        return seen.record
    record = _record(seen)
    kept = Encoded(dump(record)) if record else _NOTHING_RECORDED
    object.__setattr__(seen, "record", kept)
    return kept


def _record(seen: Observation) -> ObservedRecord:
    record: dict[str, Any] = {name: count for name in _COUNTS if (count := getattr(seen, name))}
    if seen.last_asked is not None:
        record["last_asked"] = seen.last_asked.isoformat()
    if seen.services:
        record["services"] = {service: _load_record(load) for service, load in seen.services.items()}
    if seen.full_since:
        record["full_since"] = {service: at.isoformat() for service, at in seen.full_since.items()}
    return record


def observation_of(record: ObservedRecord) -> Observation:
    """Return the observation of a record. Raises KeyError, TypeError or ValueError for any other value."""
    asked = record.get("last_asked")
    return Observation(
        **{name: record[name] for name in _COUNTS if name in record},
        last_asked=None if asked is None else dt.datetime.fromisoformat(asked),
        services={service: _load_of(load) for service, load in record.get("services", {}).items()},
        full_since={
            service: dt.datetime.fromisoformat(at) for service, at in record.get("full_since", {}).items()
        },
    )


def _load_record(load: ServiceLoad) -> Mapping[str, Any]:
    record: dict[str, Any] = {"accepted": load.accepted} if load.accepted else {}
    if load.demand:
        record["demand"] = sorted(
            [sender, urgency, one.offers, one.waiting] for (sender, urgency), one in load.demand.items()
        )
    return record


def _load_of(record: Mapping[str, Any]) -> ServiceLoad:
    demand = {
        (sender, Urgency(urgency)): Demand(offers=offers, waiting=waiting)
        for sender, urgency, offers, waiting in record.get("demand", ())
    }
    return ServiceLoad(accepted=record.get("accepted", 0), demand=demand)
