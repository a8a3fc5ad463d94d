"""Sample records, and the real use cases on a real database in the test process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from joserfc.jwk import OKPKey
from sqlalchemy import select

from contracts.envelope import Event, decode
from contracts.facts import ClientChanged, Fact
from contracts.organization import Agreement, Organization, SealingKey
from runtime.access.signer import TokenSigner
from runtime.access.tokens import Principal
from runtime.messaging.outbox.event_batch import decode_batch
from runtime.messaging.outbox.outbox import Outbox
from runtime.settings import KEY_PAUSE
from runtime.storage.database import Database
from services.directory import admission
from services.directory.adapters.application_store import SqlApplicationStore
from services.directory.adapters.approvals import SqlApprovalStore
from services.directory.adapters.challenge_sealing import sealed_answer
from services.directory.adapters.client_assertions import JwtAssertionReader
from services.directory.adapters.client_signatures import check_points
from services.directory.adapters.expiry_notices import SqlExpiryNoticeStore
from services.directory.adapters.register import SqlRegister
from services.directory.adapters.request_proofs import SqlProofKeyStore, read_proof
from services.directory.adapters.sealing_keys import SqlSealingKeyStore
from services.directory.adapters.service_index import SqlServiceIndex
from services.directory.adapters.tables import MESSAGING, REVISIONS
from services.directory.adapters.watch_store import SqlWatchStore
from services.directory.domain.amendment import Editor
from services.directory.domain.approval import Approval, Policy
from services.directory.domain.client import Role, digest
from services.directory.domain.watched import REPORTS_KEPT
from services.directory.handlers.access import RegisteredAccess
from services.directory.handlers.amqp_passwords import AmqpPasswords
from services.directory.handlers.application_steps import ApplicationSteps
from services.directory.handlers.applications import Applications
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.client_assertions import ClientAssertions
from services.directory.handlers.credentials import Credentials, Issued
from services.directory.handlers.entries import Entries
from services.directory.handlers.expiry_notices import ExpiryNotices
from services.directory.handlers.failed_attempts import FailedAttempts
from services.directory.handlers.ledger import Ledger
from services.directory.handlers.listings import Listings
from services.directory.handlers.own_credentials import OwnCredentials
from services.directory.handlers.request_proofs import RequestProofs
from services.directory.handlers.sealing_keys import SealingKeys
from services.directory.handlers.service_approvals import ServiceApprovals
from services.directory.handlers.snapshots import Snapshots
from services.directory.handlers.suspensions import Suspensions
from services.directory.handlers.tokens import TokenIssuer
from services.directory.handlers.watch_reports import WatchReports
from services.directory.handlers.watched_employers import WatchedEmployers
from tests.support.settable_clock import SettableClock

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
OSH = "kg.osh-legal-aid"
OPERATOR = Editor(id="kg.operator", operator=True)
# The organisation with a token that its client `desk` got.
DESK = Principal(id=OSH, roles=frozenset({"partner"}), client_id="desk")
OSH_ITSELF = Editor(id=OSH, operator=False)
SOURCE = "/kg/directory"
ISSUER = "https://hub.example"


def service_record(**changes: Any) -> dict[str, Any]:
    """A service as JSON."""
    return {
        "id": "legal",
        "name": "Advice",
        "needs": ["legal.wage_claim"],
        "areas": ["KG-GO"],
        "languages": ["ky"],
        "cost": "free",
        "capacity": {"status": "capacity", "updated_at": "2026-03-01T09:00:00Z"},
        **changes,
    }


def organization_record(organization_id: str = OSH, **changes: Any) -> dict[str, Any]:
    """An organisation as JSON."""
    return {
        "id": organization_id,
        "name": "Osh Legal Aid",
        "kind": "ngo",
        "country": "KG",
        "vetting": "vetted",
        "vetted_by": "The desk",
        "vetted_on": "2025-01-02",
        "services": [service_record()],
        **changes,
    }


def organization(organization_id: str = OSH, **changes: Any) -> Organization:
    """An organisation as a record."""
    return admission.organization(organization_record(organization_id, **changes), NOON)


def agreement(agreement_id: str = "network-memorandum", **changes: Any) -> Agreement:
    """An agreement of all vetted organisations."""
    return admission.agreement(
        {
            "id": agreement_id,
            "title": "Memorandum",
            "kind": "network_memorandum",
            "parties": ["*"],
            "disclosure": "standard",
            "effective_from": "2021-03-01",
            **changes,
        },
        NOON,
    )


def without_digest(fact: Fact) -> Fact:
    """Return the fact without the digest of a client's record."""
    return replace(fact, record_sha256=None) if isinstance(fact, ClientChanged) else fact


def issue(
    directory: Directory,
    principal: str,
    client_id: str,
    secret: str,
    role: Role = Role.partner,
    **options: Any,
) -> Issued | Approval:
    """Issue a client whose owner made the secret."""
    return directory.credentials.issue(
        OPERATOR.id,
        client_id=client_id,
        principal=principal,
        roles=(role,),
        secret_sha256=digest(secret),
        **options,
    )


def new_sealing_key() -> SealingKey:
    """An X25519 key with its thumbprint."""
    key = OKPKey.generate_key("X25519", private=False)
    return SealingKey(kty="OKP", crv="X25519", x=str(key.as_dict()["x"]), kid=key.thumbprint())


def new_signing_key() -> dict[str, Any]:
    """A private Ed25519 JWK."""
    return dict(OKPKey.generate_key("Ed25519", private=True).as_dict(private=True))


@dataclass
class Directory:
    """The use cases on one database, with access to the results. `clock` starts at noon.

    seconds: of the clock that rates run on.
    """

    database: Database
    commits: int = 0
    seconds: float = 0.0
    policy: Policy = Policy.one_person
    signer: TokenSigner = field(default_factory=lambda: TokenSigner(new_signing_key(), "kopuro:kg"))

    def __post_init__(self) -> None:
        register, index, clock = SqlRegister(), SqlServiceIndex(), SettableClock(NOON)
        self.outbox = Outbox(MESSAGING.outbox)
        keys = SqlSealingKeyStore()
        ledger = Ledger(
            database=self.database,
            register=register,
            index=index,
            keys=keys,
            outbox=self.outbox,
            source=SOURCE,
            clock=clock,
            committed=self._committed,
        )
        self.clock = clock
        self.ledger = ledger
        approval_store = SqlApprovalStore()
        self.steps = ApplicationSteps(SqlApplicationStore(), approval_store, dt.timedelta(days=30))
        self.rates = ChangeRates(lambda: self.seconds)
        self.approvals = Approvals(
            ledger, approval_store, self.policy, self.rates, self.steps.approval_settled
        )
        self.waiting = 0
        self.most_applications(200)
        self.entries = Entries(ledger, self.approvals, self.rates)
        self.credentials = Credentials(ledger, self.approvals, check_points)
        self.expiring: Mapping[int, int] = {}
        self.expiry = ExpiryNotices(ledger, SqlExpiryNoticeStore(), self._count_expiring)
        self.own_credentials = OwnCredentials(ledger, check_points, self.rates)
        self.amqp_passwords = AmqpPasswords(ledger, self.rates)
        self.keys = SealingKeys(ledger, keys, self.approvals, sealed_answer, self.rates)
        self.service_approvals = ServiceApprovals(ledger, self.approvals)
        self.suspensions = Suspensions(ledger)
        self.watch_store = SqlWatchStore()
        self.watch_reports = WatchReports(ledger, self.watch_store, REPORTS_KEPT, self.rates, pause=KEY_PAUSE)
        self.watched_employers = WatchedEmployers(ledger, self.watch_store, REPORTS_KEPT)
        self.listings = Listings(database=self.database, register=register, index=index)
        proof_keys = SqlProofKeyStore()
        self.proofs = RequestProofs(
            database=self.database,
            register=register,
            store=proof_keys,
            read=read_proof,
            policy=self.policy,
            clock=clock,
        )
        self.failed = FailedAttempts(ledger, lambda: None)
        self.tokens = TokenIssuer(
            database=self.database,
            register=register,
            signer=lambda: self.signer,
            proofs=self.proofs,
            failed=self.failed,
            assertions=ClientAssertions(
                database=self.database,
                register=register,
                store=proof_keys,
                reader=JwtAssertionReader(),
                audiences=lambda: {ISSUER, f"{ISSUER}/oauth/token"},
                clock=clock,
            ),
            clock=clock,
        )
        self.access = RegisteredAccess(database=self.database, register=register)
        self.snapshots = Snapshots(register, SOURCE)

    def most_applications(self, number: int) -> None:
        """Take at most this number of applications."""
        self.applications = Applications(
            self.ledger,
            SqlApplicationStore(),
            self.approvals,
            self.steps,
            dt.timedelta(days=90),
            number,
            self._count_waiting,
        )

    def events(self) -> list[Event[Fact]]:
        """Return the events in the outbox."""
        with self.database.read() as transaction:
            waiting = self.outbox.oldest(transaction, 1000)
        return [decode(event) for _, message in waiting for event in decode_batch(message.body)]

    def revisions(self, entry_id: str) -> list[tuple[int, int | None, str]]:
        """Return (number, previous number, changed by) of each revision of an entry."""
        columns = (REVISIONS.c.number, REVISIONS.c.previous, REVISIONS.c.changed_by)
        query = select(*columns).where(REVISIONS.c.id == entry_id).order_by(REVISIONS.c.number)
        with self.database.read() as transaction:
            return [(row.number, row.previous, row.changed_by) for row in transaction.execute(query)]

    def _count_expiring(self, counts: Mapping[int, int]) -> None:
        self.expiring = counts

    def _count_waiting(self, number: int) -> None:
        self.waiting = number

    def _committed(self) -> None:
        self.commits += 1
