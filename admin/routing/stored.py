"""Reads the rows of routing and the directory from which decisions are made again. Read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError

from admin.hub_databases import ServiceDatabase
from admin.read_only_engine import open_read_only
from contracts.facts import AgreementChanged, OrganizationChanged
from contracts.organization import Agreement, Organization
from contracts.records import Malformed, read
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.replica import entry_digest
from services.directory.adapters.tables import REVISIONS
from services.routing.adapters.stored_decisions import (
    STORED_DECISIONS,
    newest_referrals,
    stored_decision,
    stored_policies,
    stored_referral,
)
from services.routing.adapters.tables import DIRECTORY_CHANGES
from services.routing.domain.decision import Decision
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import DirectoryChange, DirectoryStates
from services.routing.domain.stored_decision import DecisionSources, StoredDecision

_SUBJECTS: Final[Mapping[str, type[Organization] | type[Agreement]]] = {
    OrganizationChanged.type: Organization,
    AgreementChanged.type: Agreement,
}
# Ids in one query: SQLite bounds the parameters of a statement.
_PAGE: Final = 500


@dataclass(kw_only=True)
class Stored:
    """The databases of routing and of the directory. faults: the changed and missing rows, by name."""

    routing: Connection
    directory: Connection
    faults: dict[str, str] = field(default_factory=dict)

    def decisions(self, *, referral: str | None = None, last: int | None = None) -> list[StoredDecision]:
        """Return stored decisions by the directory's version: all of a referral, or else the last ones."""
        wanted = select(STORED_DECISIONS).order_by(STORED_DECISIONS.c.id.desc())
        if referral is not None:
            wanted = wanted.where(STORED_DECISIONS.c.referral_id == referral)
        return self._parsed(wanted if last is None else wanted.limit(last))

    def decisions_of_last(self, last: int) -> list[StoredDecision]:
        """Return the searches for the last referrals, by the directory's version: no coordinator's choice."""
        ids = list(self.routing.execute(newest_referrals(last)).scalars())
        found: list[StoredDecision] = []
        for at in range(0, len(ids), _PAGE):
            found += self._parsed(
                select(STORED_DECISIONS).where(STORED_DECISIONS.c.referral_id.in_(ids[at : at + _PAGE]))
            )
        return [one for one in found if one.is_search]

    @cached_property
    def sources(self) -> DecisionSources:
        """The sources of the decisions. Make these again in ascending order of the directory's version."""
        return DecisionSources(
            referral_of=lambda referral: stored_referral(self.routing, referral),
            policies=lambda: self._policies,
            directory_at=lambda version: self._states.at(version),
        )

    def again(self, decision: StoredDecision) -> Decision:
        """Make the decision again under the policy that it names. Raises NotReproducible."""
        return self.sources.again(decision)

    def _parsed(self, wanted: Any) -> list[StoredDecision]:
        found = []
        for row in self.routing.execute(wanted):
            decision = stored_decision(row)
            if decision is None:
                self.faults[f"decision {row.id}"] = "its record is not JSON"
            else:
                found.append(decision)
        return sorted(found, key=lambda one: (one.version, one.id))

    @cached_property
    def _policies(self) -> Mapping[str, RoutingPolicy]:
        return stored_policies(self.routing, self.faults)

    @cached_property
    def _states(self) -> DirectoryStates:
        rows = self.routing.execute(select(DIRECTORY_CHANGES).order_by(DIRECTORY_CHANGES.c.change))
        changes: Sequence[DirectoryChange] = [
            DirectoryChange(
                change=row.change, type=row.type, key=row.key, revision=row.revision, digest=row.digest
            )
            for row in rows
        ]
        return DirectoryStates(changes, self._entry)

    def _entry(self, change: DirectoryChange) -> Organization | Agreement | None:
        kind = _SUBJECTS.get(change.type)
        if kind is None:
            return None
        subject = "organization" if kind is Organization else "agreement"
        name = f"revision {change.revision} of the {subject} {change.key}"
        table = REVISIONS.c
        wanted = select(table.record).where(
            table.subject == subject, table.id == change.key, table.number == change.revision
        )
        try:
            record = self.directory.execute(wanted).scalar_one_or_none()
            if record is None:
                self.faults[name] = "the directory does not have it"
                return None
            entry = read(kind, record)
        except (Malformed, ValueError):
            self.faults[name] = "the directory's record is damaged"
            return None
        if change.digest is not None and entry_digest(entry) != change.digest:
            self.faults[name] = "the directory's record is not the one that routing read"
        return entry


@contextmanager
def _at_one_moment(engine: Engine) -> Iterator[Connection]:
    """Connect to a database that stays, for the block, as it was at the first query.

    Otherwise a decision could be read, and the facts of its referral be erased before they are.
    """
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Python's driver would begin no transaction for a query.
            connection.exec_driver_sql("BEGIN")
        yield connection


@contextmanager
def stored_by(databases: Mapping[str, ServiceDatabase]) -> Iterator[Stored]:
    """Open both databases for the block. Raises InvalidArgumentError if one cannot be read."""
    places = [databases[service] for service in ("routing", "directory")]
    engines = [open_read_only(place.url, place.tls) for place in places]
    try:
        with _at_one_moment(engines[0]) as routing, engines[1].connect() as directory:
            yield Stored(routing=routing, directory=directory)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()
        raise InvalidArgumentError(f"a database cannot be read: {cause[0] if cause else 'unknown'}") from None
    finally:
        for engine in engines:
            engine.dispose()
