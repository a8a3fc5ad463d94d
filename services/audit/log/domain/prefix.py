"""The first entries of a log, told in a few hundred bytes: as much as it takes to go on from there."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import Frontier


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefix:
    """frontier, chronology: of these entries. Equal to another exactly when all leaves and times are."""

    frontier: Frontier = field(default_factory=Frontier)
    chronology: Chronology = field(default_factory=Chronology)

    @property
    def size(self) -> int:
        """How many entries they are."""
        return self.frontier.size

    @classmethod
    def of(cls, head: Head) -> Prefix:
        """All that the head speaks for."""
        return cls(frontier=head.frontier, chronology=head.chronology)
