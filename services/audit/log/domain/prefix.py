"""Prefixes of a log: a few hundred bytes from which a verification can continue."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.head import Head
from services.audit.log.domain.merkle import Frontier


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefix:
    """The first entries of a log. Prefixes are equal exactly when all their leaves and times are."""

    frontier: Frontier = field(default_factory=Frontier)
    chronology: Chronology = field(default_factory=Chronology)

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.frontier.size

    @classmethod
    def of(cls, head: Head) -> Prefix:
        """Return the prefix of all entries under the head."""
        return cls(frontier=head.frontier, chronology=head.chronology)
