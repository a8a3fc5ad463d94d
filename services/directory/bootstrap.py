"""Assembly of the directory service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge

from contracts.envelope import decode
from runtime.access.signer import TokenSigner
from runtime.access.tokens import TokenVerifier, audience_of, issuer_of
from runtime.application import Application
from runtime.periodic import Periodic
from runtime.service_platform import build_platform
from runtime.settings import Settings, SettingsError
from runtime.web.discovery import service_address
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
from services.directory.adapters.signing_keys import SigningKeys
from services.directory.adapters.tables import MESSAGING
from services.directory.adapters.watch_store import SqlWatchStore
from services.directory.domain.approval import Policy
from services.directory.handlers import DirectoryHandlers
from services.directory.handlers.access import RegisteredAccess
from services.directory.handlers.amqp_passwords import AmqpPasswords
from services.directory.handlers.application_rates import ApplicationRates
from services.directory.handlers.application_steps import ApplicationSteps
from services.directory.handlers.applications import Applications
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.authorization_server import AuthorizationServer
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.client_assertions import ClientAssertions
from services.directory.handlers.credentials import Credentials
from services.directory.handlers.entries import Entries
from services.directory.handlers.expiry_notices import ExpiryNotices
from services.directory.handlers.failed_attempts import FailedAttempts
from services.directory.handlers.ledger import Ledger
from services.directory.handlers.listings import Listings
from services.directory.handlers.own_credentials import OwnCredentials
from services.directory.handlers.request_proofs import RequestProofs
from services.directory.handlers.role_report import RoleReport
from services.directory.handlers.sealing_keys import SealingKeys
from services.directory.handlers.service_approvals import ServiceApprovals
from services.directory.handlers.snapshots import Snapshots
from services.directory.handlers.suspensions import Suspensions
from services.directory.handlers.tokens import TokenIssuer
from services.directory.handlers.watch_reports import WatchReports
from services.directory.handlers.watched_employers import WatchedEmployers

# How often the directory looks for another file of token keys.
KEYS_SECONDS: Final = 2.0
# How often the directory looks for secrets and keys that expire.
EXPIRY_SECONDS: Final = 3600.0
# How often the directory deletes expired reports about employers.
WATCH_SECONDS: Final = 3600.0
# How often the directory ends applications that nobody decided about, and deletes the traces of ended ones.
APPLICATION_SECONDS: Final = 60.0
# How often the failed attempts to get a token are put on record.
ATTEMPTS_SECONDS: Final = 60.0


def build(settings: Settings) -> Application[DirectoryHandlers]:
    """Build the directory application. Raises SettingsError without a usable signing key."""
    issuer, audience = issuer_of(settings.hub, settings.issuer), audience_of(settings.hub)
    if settings.token_signing_key is None:
        raise SettingsError(["KOPURO_TOKEN_SIGNING_KEY is not set"])
    platform = build_platform("directory", settings, MESSAGING)
    messenger = platform.messenger
    register = SqlRegister()
    index = SqlServiceIndex()
    keys = SqlSealingKeyStore()
    ledger = Ledger(
        database=platform.database,
        register=register,
        index=index,
        keys=keys,
        outbox=messenger.outbox,
        source=platform.source,
        clock=platform.clock,
        committed=messenger.wake,
    )
    policy = Policy(settings.approvals)
    application_store = SqlApplicationStore()
    approval_store = SqlApprovalStore()
    application_steps = ApplicationSteps(application_store, approval_store, settings.application_traces_kept)
    rates = ChangeRates()
    approvals = Approvals(ledger, approval_store, policy, rates, application_steps.approval_settled)
    entries = Entries(ledger, approvals, rates)
    try:
        signing_keys = SigningKeys(
            settings.token_signing_key,
            lambda key: TokenSigner(key, issuer, audience),
            lambda keys: entries.announce(keys, by=platform.source),
            platform.clock,
        )
    except (OSError, ValueError):
        # Not chained: the cause may quote the contents of the key file.
        raise SettingsError(
            ["KOPURO_TOKEN_SIGNING_KEY must name a file with a private Ed25519 JWK"]
        ) from None
    server = AuthorizationServer(
        issuer=issuer,
        is_url=settings.issuer is not None,
        address=lambda: service_address(settings.discovery, "directory"),
        keys=signing_keys.public,
    )
    proof_keys = SqlProofKeyStore()
    proofs = RequestProofs(
        database=platform.database,
        register=register,
        store=proof_keys,
        read=read_proof,
        policy=policy,
        clock=platform.clock,
    )
    access = RegisteredAccess(database=platform.database, register=register)
    snapshots = Snapshots(register, platform.source)
    failures = Counter(
        "kopuro_directory_token_failures",
        "Attempts to get a token that failed",
        registry=platform.registry,
    )
    failed = FailedAttempts(ledger, failures.inc)
    watch = SqlWatchStore()
    watched = WatchedEmployers(ledger, watch, settings.watch_reports_kept)
    waiting = Gauge(
        "kopuro_directory_applications_waiting",
        "Applications to join the network that wait for a decision",
        registry=platform.registry,
    )
    applications = Applications(
        ledger,
        application_store,
        approvals,
        application_steps,
        settings.application_decided_within,
        settings.most_applications,
        waiting.set,
    )
    handlers = DirectoryHandlers(
        tokens=TokenIssuer(
            database=platform.database,
            register=register,
            signer=signing_keys.signer,
            proofs=proofs,
            failed=failed,
            assertions=ClientAssertions(
                database=platform.database,
                register=register,
                store=proof_keys,
                reader=JwtAssertionReader(),
                audiences=server.audiences,
                clock=platform.clock,
            ),
            clock=platform.clock,
        ),
        server=server,
        proofs=proofs,
        listings=Listings(database=platform.database, register=register, index=index),
        entries=entries,
        approvals=approvals,
        credentials=Credentials(ledger, approvals, check_points),
        own_credentials=OwnCredentials(ledger, check_points, rates),
        amqp_passwords=AmqpPasswords(ledger, rates),
        keys=SealingKeys(ledger, keys, approvals, sealed_answer, rates),
        service_approvals=ServiceApprovals(ledger, approvals),
        suspensions=Suspensions(ledger),
        watch_reports=WatchReports(
            ledger, watch, settings.watch_reports_kept, rates, pause=settings.key_pause
        ),
        watched_employers=watched,
        applications=applications,
        application_rates=ApplicationRates(settings.most_applications),
        requests=messenger.consumer("directory.requests", snapshots.answer, decode),
        clock=platform.clock,
    )
    mixed = Gauge(
        "kopuro_directory_mixed_roles",
        "Principals whose clients break the separation of roles",
        registry=platform.registry,
    )
    roles = RoleReport(database=platform.database, register=register, count=mixed.set)
    expiring = Gauge(
        "kopuro_directory_credentials_expiring",
        "Secrets and keys of live clients that expire within the given number of days; 0: already expired",
        ["days"],
        registry=platform.registry,
    )

    def count_expiring(counts: Mapping[int, int]) -> None:
        for days, number in counts.items():
            expiring.labels(days=str(days)).set(number)

    expiry = ExpiryNotices(ledger, SqlExpiryNoticeStore(), count_expiring)
    return Application(
        name="directory",
        settings=settings,
        database=platform.database,
        handlers=handlers,
        # The directory signs the tokens, so it needs no replica of the keys.
        verifier=TokenVerifier(server.keys, issuer, platform.clock, clients=access.client, audience=audience),
        is_excluded=access.is_excluded,
        messenger=messenger,
        reads=platform.read_recorder(),
        spans=platform.spans,
        readiness=[("broker", messenger.unready)],
        warnings=[*platform.warnings(), ("roles", roles.alarm), ("applications", applications.full)],
        background=[
            *platform.background(),
            signing_keys,
            roles,
            Periodic("token keys", signing_keys.look, seconds=KEYS_SECONDS),
            Periodic("failed attempts", failed.publish, seconds=ATTEMPTS_SECONDS),
            Periodic("expiry notices", expiry.run, seconds=EXPIRY_SECONDS),
            Periodic("watch reports", watched.forget_old, seconds=WATCH_SECONDS),
            Periodic("applications", applications.tidy, seconds=APPLICATION_SECONDS),
        ],
        registry=platform.registry,
        clock=platform.clock,
    )
