"""The revisions of the services' schemas, and migration to a newer one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import make_url

from admin.hub_databases import ServiceDatabase
from kopuro_client.errors import InvalidArgumentError
from runtime.storage import migrate
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.database_url import UnusableDatabaseUrl


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaRevision:
    """A database's revision and those of this build, oldest first. current: None for an empty database."""

    service: str
    current: str | None
    known: tuple[str, ...]

    @property
    def newest(self) -> str:
        return self.known[-1]

    @property
    def pending(self) -> tuple[str, ...]:
        """Return the revisions that a migration would apply; none for a revision of a newer build."""
        if self.is_of_another_build:
            return ()
        return self.known[0 if self.current is None else self.known.index(self.current) + 1 :]

    @property
    def is_of_another_build(self) -> bool:
        """Return whether this build does not know the database's revision: a newer one has migrated it."""
        return self.current is not None and self.current not in self.known

    @property
    def state(self) -> str:
        """Return `current`, `n pending` or `unknown to this build`."""
        if self.is_of_another_build:
            return "unknown to this build"
        return f"{len(self.pending)} pending" if self.pending else "current"


class MigrationRefused(Exception):
    """Raised for a migration that cannot be made; the text says why."""


def revision_of(place: ServiceDatabase) -> SchemaRevision:
    """Return the revision of a service's database. Raises InvalidArgumentError if it cannot be used."""
    with opened_database(place) as database:
        return SchemaRevision(
            service=place.service,
            current=migrate.current_revision(database),
            known=migrate.known_revisions(place.package),
        )


def migrated(place: ServiceDatabase, to: str | None) -> Sequence[str]:
    """Migrate to the newest revision, or to the revision `to`; return the applied ones.

    Raises MigrationRefused for an unknown or earlier revision, InvalidArgumentError.
    """
    before = revision_of(place)
    if before.is_of_another_build:
        raise MigrationRefused(
            f"{place.service} is at revision {before.current}, which this build does not know: "
            "use the build that migrated it, or a newer one"
        )
    if to is None:
        wanted = before.pending
    elif to in before.pending:
        wanted = before.pending[: before.pending.index(to) + 1]
    elif to == before.current:
        wanted = ()
    elif to in before.known:
        raise MigrationRefused(
            f"{place.service} is already beyond {to}; schemas only go forward: restore a backup instead"
        )
    else:
        raise MigrationRefused(f"{place.service} has no revision {to}; it has {', '.join(before.known)}")
    if wanted:
        with opened_database(place) as database:
            migrate.upgrade(place.package, database, wanted[-1])
    return wanted


@contextmanager
def opened_database(place: ServiceDatabase) -> Iterator[Database]:
    try:
        database = Database.open(place.url, tls=place.tls)
    except UnusableDatabaseUrl as error:
        raise InvalidArgumentError(f"the database URL of {place.service} {error}") from None
    try:
        yield database
    except DatabaseUnavailable as error:
        # PostgreSQL's driver names the server itself. The URL is not shown: it may have a password.
        url = make_url(place.url)
        file = f" ({url.database})" if url.get_backend_name() == "sqlite" else ""
        raise InvalidArgumentError(
            f"the database of {place.service}{file} cannot be used: {error.reason()}"
        ) from None
    finally:
        database.close()
