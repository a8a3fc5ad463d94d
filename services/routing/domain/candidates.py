"""The candidates of a decision.

A decision considers some hundred services, and most of them may not be asked. The decision itself reads the
records of the eligible ones only. The record of another is made when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, overload

from contracts.codes import CapacityStatus
from contracts.records import dump
from services.routing.domain.failure import Failure
from services.routing.domain.offered_service import OfferedService

_NOTHING: Final[Mapping[str, float]] = {}
# The end of an excluded candidate's JSON.
_EXCLUDED: Final = ',"score":null,"contributions":{},"rank":null}'


# Neither frozen nor by keyword: a decision makes many.
@dataclass(slots=True)
class Candidate:
    """One service that was considered.

    rank: from 1, in the order of asking; None for an ineligible service, and for a service whose
    organisation has a better one. capacity: as the directory stated it.
    """

    organization: str
    service: str
    capacity: CapacityStatus
    # The revision of the organisation's record in the directory service.
    revision: int = 0
    failures: tuple[Failure, ...] = ()
    score: float | None = None
    contributions: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    rank: int | None = None

    @property
    def is_eligible(self) -> bool:
        """Whether the organisation may be asked: every rule holds or was overridden."""
        return self.score is not None


class Candidates(Sequence[Candidate]):
    """The candidates in order: the ranked ones, other eligible ones, then those that may not be asked."""

    __slots__ = ("_excluded", "_failures", "_made", "_positions", "_services", "eligible")

    def __init__(
        self,
        eligible: Sequence[Candidate],
        services: Sequence[OfferedService],
        positions: Sequence[int],
        failures: Callable[[], Sequence[tuple[Failure, ...]]],
    ) -> None:
        """eligible: in order. positions: theirs among the services.

        failures: returns the failures of each service. It is called when the services that may not be asked
        are read for the first time, however long after the decision.
        """
        self.eligible = eligible
        self._services = services
        self._positions = positions
        self._failures = failures
        self._excluded: Sequence[tuple[OfferedService, tuple[Failure, ...]]] | None = None
        self._made: tuple[Candidate, ...] | None = None

    @property
    def excluded(self) -> Sequence[tuple[OfferedService, tuple[Failure, ...]]]:
        """The services that may not be asked, each with the rules that it fails."""
        if self._excluded is None:
            eligible = set(self._positions)
            each = enumerate(zip(self._services, self._failures(), strict=True))
            self._excluded = [one for position, one in each if position not in eligible]
        return self._excluded

    @property
    def organizations(self) -> Iterator[str]:
        """The organisation of each candidate."""
        return (offered.organization_id for offered in self._services)

    def _all(self) -> tuple[Candidate, ...]:
        if self._made is None:
            self._made = (
                *self.eligible,
                *(
                    Candidate(
                        offered.organization_id,
                        offered.service_id,
                        offered.status,
                        offered.revision,
                        failures,
                    )
                    for offered, failures in self.excluded
                ),
            )
        return self._made

    def encoded(self) -> bytes:
        """Return the candidates as JSON: the same as of a tuple of them, without making each."""
        # Many fail the same rules, which are tuples that they share.
        known: dict[int, str] = {}
        texts: list[str] = []
        for offered, failures in self.excluded:
            rest = known.get(id(failures))
            if rest is None:
                rest = known[id(failures)] = f"[{','.join([one.json for one in failures])}]{_EXCLUDED}"
            texts.append(offered.candidate_json + rest)
        excluded = ",".join(texts).encode()
        if not self.eligible:
            return b"[" + excluded + b"]"
        eligible = dump(self.eligible)
        return eligible[:-1] + b"," + excluded + b"]" if texts else eligible

    @overload
    def __getitem__(self, index: int) -> Candidate: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Candidate]: ...

    def __getitem__(self, index: int | slice) -> Candidate | Sequence[Candidate]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._services)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidates):
            return NotImplemented
        return self._all() == other._all()

    __hash__ = None  # type: ignore[assignment]
