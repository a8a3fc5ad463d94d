"""Reads the rows of routing and the directory from which decisions are made again. Read-only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, Text, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from admin.hub_databases import ServiceDatabase
from admin.read_only_engine import open_read_only
from contracts.codes import Urgency
from contracts.errors import Defect
from contracts.facts import AgreementChanged, OrganizationChanged
from contracts.organization import Agreement, Organization
from contracts.records import Malformed, read
from contracts.referral import ReferralFacts
from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.replica import entry_digest
from services.directory.adapters.tables import REVISIONS
from services.routing.adapters.policies import applied_policy
from services.routing.adapters.tables import DIRECTORY_CHANGES, POLICIES
from services.routing.domain.decision import Decision, Trigger
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import (
    DirectoryChange,
    DirectoryStates,
    Erased,
    NotReproducible,
    made_again,
)

_DECISIONS = table(
    "decisions", column("id"), column("referral_id"), column("record", Text), column("erased_at")
)
_REFERRALS = table("referrals", column("id"), column("sender"), column("facts", Text))
_SUBJECTS: Final[Mapping[str, type[Organization] | type[Agreement]]] = {
    OrganizationChanged.type: Organization,
    AgreementChanged.type: Agreement,
}
# Ids in one query: SQLite bounds the parameters of a statement.
_PAGE: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredDecision:
    """A decision's record: its bytes, and the JSON values in them."""

    id: str
    record: bytes
    values: Mapping[str, Any]
    is_erased: bool = False

    @property
    def version(self) -> int:
        """The number of the last change of the directory that it took into account; 0 in a damaged record."""
        version = self.values.get("directory_version")
        return version if type(version) is int and version > 0 else 0


@dataclass(kw_only=True)
class Stored:
    """The databases of routing and of the directory. faults: the changed and missing rows, by name."""

    routing: Connection
    directory: Connection
    faults: dict[str, str] = field(default_factory=dict)
    _known_policies: dict[str, RoutingPolicy] | None = None
    _known_states: DirectoryStates | None = None

    def decisions(self, *, referral: str | None = None, last: int | None = None) -> list[StoredDecision]:
        """Return stored decisions by the directory's version: all of a referral, or else the last ones."""
        wanted = select(_DECISIONS).order_by(_DECISIONS.c.id.desc())
        if referral is not None:
            wanted = wanted.where(_DECISIONS.c.referral_id == referral)
        return self._parsed(wanted if last is None else wanted.limit(last))

    def first_decisions(self, last: int) -> list[StoredDecision]:
        """Return the first decisions about the last referrals, by the directory's version."""
        newest = select(_REFERRALS.c.id).order_by(_REFERRALS.c.id.desc()).limit(last)
        ids = list(self.routing.execute(newest).scalars())
        found: list[StoredDecision] = []
        for at in range(0, len(ids), _PAGE):
            found += self._parsed(
                select(_DECISIONS).where(_DECISIONS.c.referral_id.in_(ids[at : at + _PAGE]))
            )
        return [one for one in found if one.values.get("trigger") == Trigger.submitted]

    def again(self, decision: StoredDecision, policy: RoutingPolicy | None = None) -> Decision:
        """Make the decision again. policy: None for the one that it names. Call it by ascending versions.

        Raises NotReproducible.
        """
        if decision.is_erased:
            raise Erased("erased after the referral had ended")
        policy = policy or self.policy_of(decision)
        sender, facts = self._referral(decision)
        directory = self._states().at(decision.version)
        return made_again(decision.values, sender=sender, facts=facts, policy=policy, directory=directory)

    def policy_of(self, decision: StoredDecision) -> RoutingPolicy:
        """Return the policy that the decision names. Raises NotReproducible."""
        version = str(decision.values.get("policy_version"))
        policy = self._policies().get(version)
        if policy is None:
            raise NotReproducible(f"the database has no usable policy {version}")
        return policy

    def urgency_of(self, decision: StoredDecision) -> Urgency:
        """Return the urgency of the decision's referral. Raises NotReproducible."""
        return self._referral(decision)[1].urgency

    def _referral(self, decision: StoredDecision) -> tuple[str, ReferralFacts]:
        referral = str(decision.values.get("referral_id"))
        row = self.routing.execute(select(_REFERRALS).where(_REFERRALS.c.id == referral)).first()
        if row is None:
            raise NotReproducible(f"the database has no referral {referral}")
        try:
            return row.sender, read(ReferralFacts, orjson.loads(row.facts))
        except (Malformed, ValueError):
            raise NotReproducible(f"the facts of the referral {referral} are damaged") from None

    def _parsed(self, wanted: Any) -> list[StoredDecision]:
        found = []
        for row in self.routing.execute(wanted):
            try:
                values = orjson.loads(row.record)
            except ValueError:
                values = None
            if isinstance(values, dict):
                erased = row.erased_at is not None
                found.append(
                    StoredDecision(id=row.id, record=row.record.encode(), values=values, is_erased=erased)
                )
            else:
                self.faults[f"decision {row.id}"] = "its record is not JSON"
        return sorted(found, key=lambda one: (one.version, one.id))

    def _policies(self) -> Mapping[str, RoutingPolicy]:
        if self._known_policies is None:
            self._known_policies = {}
            for row in self._policy_rows():
                try:
                    self._known_policies[row.version] = applied_policy(row).document.policy
                except Defect as defect:
                    self.faults[f"policy {row.version}"] = defect.detail
        return self._known_policies

    def _policy_rows(self) -> Sequence[Row[Any]]:
        try:
            return self.routing.execute(select(POLICIES).order_by(POLICIES.c.number)).all()
        except ValueError:
            self.faults["policies"] = "the content of a policy is not JSON"
            return ()

    def _states(self) -> DirectoryStates:
        if self._known_states is None:
            rows = self.routing.execute(select(DIRECTORY_CHANGES).order_by(DIRECTORY_CHANGES.c.change))
            changes: Sequence[DirectoryChange] = [
                DirectoryChange(
                    change=row.change, type=row.type, key=row.key, revision=row.revision, digest=row.digest
                )
                for row in rows
            ]
            self._known_states = DirectoryStates(changes, self._entry)
        return self._known_states

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
