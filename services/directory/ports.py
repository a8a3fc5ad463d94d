"""The directory's storage ports. Every method takes the transaction that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.organization import Organization, Service
from services.directory.domain.entry import DirectoryEntry, E, Revision, Standing, Subject


class Register(Protocol):
    """The current entries and all their revisions."""

    def hold(self, transaction: Connection) -> None:
        """Lock all entries against other writers until the transaction ends.

        Call it before `standing` if `store` follows, so that revisions have no gaps across processes.
        Readers are not blocked.
        """
        ...

    def standing(self, transaction: Connection, kind: type[E], ids: Sequence[str]) -> dict[str, Standing[E]]:
        """Return the existing entries of those ids."""
        ...

    def store(self, transaction: Connection, revisions: Sequence[Revision[Any]]) -> None:
        """Write the revisions and make their entries current. All must be of one kind."""
        ...

    def page(
        self, transaction: Connection, kind: type[E], where: Mapping[str, str], after: str, limit: int
    ) -> list[Standing[E]]:
        """Return at most `limit` entries with ids above `after`, ordered by id.

        where: for organisations, the required `kind` and `country`.
        """
        ...

    def every(self, transaction: Connection, subject: Subject) -> Iterator[Standing[DirectoryEntry]]:
        """Yield every entry of that kind, ordered by id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Offered:
    """A service and the organisation that offers it."""

    organization: str
    service: Service


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedAt:
    """A service in one of the areas it serves."""

    organization: str
    service: Service
    area: str


class ServiceIndex(Protocol):
    """An index of the services of active, vetted organisations, by need and area."""

    def replace(self, transaction: Connection, organizations: Sequence[Organization]) -> None:
        """Replace the index entries of these organisations."""
        ...

    def find(
        self,
        transaction: Connection,
        needs: frozenset[str] | None,
        areas: frozenset[str] | None,
        after: tuple[str, str],
        limit: int,
    ) -> list[Offered]:
        """Return services with one of the needs and areas (None: any), after (organisation, service)."""
        ...

    def areas(self, transaction: Connection, after: tuple[str, str, str], limit: int) -> list[OfferedAt]:
        """Return each service once for each of its areas, after (organisation, service, area)."""
        ...
