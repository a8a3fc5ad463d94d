"""What the use cases need of storage. Every call takes the transaction it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.organization import Organization, Service
from services.directory.domain.entry import DirectoryEntry, E, Revision, Standing, Subject


class Register(Protocol):
    """The entries as they stand, and every revision that made them so."""

    def hold(self, transaction: Connection) -> None:
        """From here to the end of the transaction nobody else changes an entry.

        To be called before `standing` by whoever goes on to `store`: revisions then follow each other
        without a gap, in this process and in others. Readers do not wait.
        """
        ...

    def standing(self, transaction: Connection, kind: type[E], ids: Sequence[str]) -> dict[str, Standing[E]]:
        """The entries of those ids that exist."""
        ...

    def store(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        """Keeps the revisions, and their entries as those that stand now. All of one kind."""
        ...

    def page(
        self, transaction: Connection, kind: type[E], where: Mapping[str, str], after: str, limit: int
    ) -> list[Standing[E]]:
        """At most `limit` entries after the id `after`, in the order of ids.

        where: for organisations, the `kind` and the `country` they must have.
        """
        ...

    def every(self, transaction: Connection, subject: Subject) -> Iterator[Standing[DirectoryEntry]]:
        """Every entry of that kind, in the order of ids."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A service with the organisation that gives it."""

    organization: str
    service: Service


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedAt:
    """A service in one of the areas it serves."""

    organization: str
    service: Service
    area: str


class ServiceIndex(Protocol):
    """Which services are on offer: those of active, vetted organisations, by need and by area."""

    def replace(self, transaction: Connection, organizations: Sequence[Organization]) -> None:
        """Indexes the organisations as they now are, whatever was indexed of them before."""
        ...

    def find(
        self,
        transaction: Connection,
        needs: frozenset[str] | None,
        areas: frozenset[str] | None,
        after: tuple[str, str],
        limit: int,
    ) -> list[Offered]:
        """Services with one of the needs and one of the areas (None: any), after (organisation, service)."""
        ...

    def areas(self, transaction: Connection, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """Each service once for each of its areas, after (organisation, service, area)."""
        ...
