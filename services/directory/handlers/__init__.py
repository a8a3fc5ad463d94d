"""The directory's use cases."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.envelope import Event
from contracts.facts import Fact
from runtime.clock import Clock
from runtime.messaging.batches import BatchProcessor
from services.directory.handlers.amqp_passwords import AmqpPasswords
from services.directory.handlers.application_rates import ApplicationRates
from services.directory.handlers.applications import Applications
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.authorization_server import AuthorizationServer
from services.directory.handlers.credentials import Credentials
from services.directory.handlers.entries import Entries
from services.directory.handlers.listings import Listings
from services.directory.handlers.own_credentials import OwnCredentials
from services.directory.handlers.request_proofs import RequestProofs
from services.directory.handlers.sealing_keys import SealingKeys
from services.directory.handlers.service_approvals import ServiceApprovals
from services.directory.handlers.suspensions import Suspensions
from services.directory.handlers.tokens import TokenIssuer
from services.directory.handlers.watch_reports import WatchReports
from services.directory.handlers.watched_employers import WatchedEmployers


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryHandlers:
    """The handlers that the API calls. clock: for rejecting dates in the future."""

    tokens: TokenIssuer
    server: AuthorizationServer
    proofs: RequestProofs
    listings: Listings
    entries: Entries
    approvals: Approvals
    credentials: Credentials
    own_credentials: OwnCredentials
    amqp_passwords: AmqpPasswords
    keys: SealingKeys
    service_approvals: ServiceApprovals
    suspensions: Suspensions
    watch_reports: WatchReports
    watched_employers: WatchedEmployers
    applications: Applications
    application_rates: ApplicationRates
    requests: BatchProcessor[Event[Fact]]
    clock: Clock
