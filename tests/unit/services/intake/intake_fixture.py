"""Intake's use cases on a real database, with a fake of routing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select

from contracts.envelope import Event, decode
from contracts.errors import Refused
from contracts.facts import Fact, TransitKeyPublished
from contracts.queries import EndedQuery, Query, Role, RolesQuery
from runtime.access.rate_limits import SubmissionRates
from runtime.identifiers import new_id
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.settings import CUSTODY_MIB
from runtime.storage.database import Database
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import IDEMPOTENCY_KEYS, MESSAGING, METADATA, SUBMISSIONS
from services.intake.adapters.transit_keys import SqlTransitKeys
from services.intake.commits import SubmissionCommits
from services.intake.domain.admission import Admission, Claim
from services.intake.domain.custody_bound import MIB
from services.intake.domain.members import Member
from services.intake.handlers import IntakeHandlers
from services.intake.referral_views import ReferralViews
from services.intake.sealed_rates import SealedRates
from tests.support.migrated import upgrade
from tests.support.transit_secrets import TransitSecrets
from tests.unit.services.intake.samples import CUSTODY_KID, MEMBERS, OSH, caller, submission


class FakeRouting:
    """Replies from `answers`; raises Refused `not-found` for any other query.

    roles: those of RolesQuery, by (organisation, referral id); an error raises. ended: the referrals that
    have ended; an error raises. asked: the other queries.
    """

    def __init__(self) -> None:
        self.answers: dict[Query, Any] = {}
        self.asked: list[Query] = []
        self.roles: dict[tuple[str, str], Role] | Exception = {}
        self.ended: set[str] | Exception = set()

    def ask(self, query: Query) -> Any:
        if isinstance(query, RolesQuery):
            if isinstance(self.roles, Exception):
                raise self.roles
            found = {id_: self.roles.get((query.organization, id_)) for id_ in query.ids}
            return {id_: role for id_, role in found.items() if role is not None}
        if isinstance(query, EndedQuery):
            if isinstance(self.ended, Exception):
                raise self.ended
            return sorted(self.ended.intersection(query.ids))
        self.asked.append(query)
        answer = self.answers.get(query, Refused("not-found", "Unknown referral."))
        if isinstance(answer, Exception):
            raise answer
        return answer


class IntakeBench:
    """Intake's handlers. backlog, custody_kids and members may be changed at any time."""

    def __init__(self, database_url: str) -> None:
        self.database = Database.open(database_url)
        upgrade("services.intake", self.database)
        self.routing = FakeRouting()
        self.members: dict[str, Member] = dict(MEMBERS)
        self.custody_kids: Callable[[], Collection[str]] = lambda: (CUSTODY_KID,)
        self.backlog = 0
        self.woken = 0
        self.transit_keys = SqlTransitKeys(self.database, process=new_id())
        self.transit = TransitSecrets()
        self.rates = SubmissionRates(per_minute=60, burst=100_000)
        self.sealed = SealedRates(CUSTODY_MIB)
        self.custody_bytes = CUSTODY_MIB * MIB
        self.publish_transit_key(self.transit.new())
        self.handlers = self.new_handlers()
        self.views = ReferralViews(database=self.database, store=SqlAdmissionStore(), referrals=self.routing)

    def new_handlers(self) -> IntakeHandlers:
        """Return handlers as in another process on the same database."""
        return IntakeHandlers(
            database=self.database,
            store=SqlAdmissionStore(),
            commits=SubmissionCommits(
                database=self.database,
                store=SqlAdmissionStore(),
                outbox=Outbox(MESSAGING.outbox),
                transit_keys=SqlTransitKeys(self.database, process=new_id()),
                backlog=lambda: self.backlog,
                after_commit=self._wake,
                rates=self.rates,
                sealed=self.sealed,
                custody_bytes=self.custody_bytes,
            ),
            referrals=self.routing,
            members=lambda organization: self.members.get(organization),
            custody_kids=lambda: self.custody_kids(),
            hub_country="KG",
        )

    def submit(self, claim: Claim | None = None, *, by: str = OSH, **changes: Any) -> str:
        """Submit a referral; return its id."""
        return self.handlers.submit_referral(caller(by, new_id=new_id), submission(**changes), claim)

    def prepared(self, claim: Claim | None = None, **changes: Any) -> Admission:
        found = self.handlers.prepare_referral(caller(new_id=new_id), submission(**changes), claim)
        assert isinstance(found, Admission)
        return found

    def publish_transit_key(self, key: TransitKeyPublished) -> list[tuple[str, int]]:
        """Adopt a transit key; return the closed ones with their counts."""
        with self.database.write() as transaction:
            return self.transit_keys.adopt(transaction, [key])

    def sent(self) -> list[Event[Fact]]:
        """Return the events in the outbox, in order, as the vault opens them."""
        return [self.transit.opened(event) for event in self.sealed_in_transit()]

    def sealed_in_transit(self) -> list[Event[Fact]]:
        """Return the events in the outbox, in order."""
        return [decode(event) for row in self.outbox() for event in decode_batch(row["body"])]

    def outbox(self) -> list[Mapping[str, Any]]:
        with self.database.read() as transaction:
            rows = transaction.execute(select(MESSAGING.outbox).order_by(MESSAGING.outbox.c.number))
            return [dict(row) for row in rows.mappings()]

    def count(self, table: Any) -> int:
        with self.database.read() as transaction:
            return transaction.execute(select(func.count()).select_from(table)).scalar_one()

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of referrals, Idempotency-Keys and outbox events."""
        # A batch's line is also stored by its content, under a key that begins with a line feed.
        with self.database.read() as transaction:
            keys = transaction.execute(select(IDEMPOTENCY_KEYS.c.key)).scalars().all()
        return self.count(SUBMISSIONS), sum(not key.startswith("\n") for key in keys), len(self.sent())

    def everything_but_the_outbox(self) -> str:
        with self.database.read() as transaction:
            return "\n".join(
                str(tuple(row))
                for table in METADATA.sorted_tables
                if table is not MESSAGING.outbox
                for row in transaction.execute(select(table))
            )

    def commits(self) -> Callable[[], int]:
        """Return a function that counts write commits from now on."""
        counted = [0]

        def count(connection: Connection) -> None:
            counted[0] += bool(connection.get_execution_options().get("kopuro_writing"))

        event.listen(self.database.engine, "commit", count)
        return lambda: counted[0]

    def _wake(self) -> None:
        self.woken += 1


def not_found_detail(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        call()
    assert (caught.value.slug, caught.value.errors) == ("not-found", ())
    return caught.value.detail
