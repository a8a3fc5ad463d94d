"""The directory's schema."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, MetaData, String, Table

from runtime.messaging.tables import messaging_tables
from runtime.storage.columns import Instant, Json

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)


def _standing(name: str, *more: Column[str] | Column[int] | Index) -> Table:
    """Return a table of current entries, one row each."""
    return Table(
        name,
        METADATA,
        Column("id", String(100), primary_key=True),
        Column("revision", Integer, nullable=False),
        Column("record", Json, nullable=False),
        *more,
    )


ORGANIZATIONS = _standing(
    "organizations",
    Column("kind", String(40), nullable=False),
    Column("country", String(2), nullable=False),
)
AGREEMENTS = _standing("agreements")
TOKEN_KEYS = _standing("token_keys")
CLIENTS = _standing(
    "clients",
    Column("principal", String(100), nullable=False),
    # Ascends with each transaction that registers new clients, whatever the clock says.
    Column("registered", Integer, nullable=False),
    Index("clients_principal", "principal"),
)

# Append-only.
REVISIONS = Table(
    "revisions",
    METADATA,
    Column("subject", String(40), primary_key=True),
    Column("id", String(100), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("previous", Integer),
    Column("changed_by", String(100), nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("record", Json, nullable=False),
    # Why the change suspends the organisation; null for every other change.
    Column("reason", String(40)),
)

# The search index of offered services; the organisation's record is authoritative.
SERVICES = Table(
    "services",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("record", Json, nullable=False),
)


def _of_service(name: str, column: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("organization", String(100), primary_key=True),
        Column("service", String(60), primary_key=True),
        Column(column, String(60), primary_key=True),
        ForeignKeyConstraint(
            ["organization", "service"], ["services.organization", "services.service"], ondelete="CASCADE"
        ),
        Index(f"{name}_{column}", column, "organization", "service"),
    )


SERVICE_NEEDS = _of_service("service_needs", "need")
SERVICE_AREAS = _of_service("service_areas", "area")

# Requests for a second person's approval, open and decided. `change` is what was requested.
APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("concerned", String(100), nullable=False),
    Column("organization", String(100)),
    Column("change", Json, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("basis", String(100), nullable=False),
    Column("requested_by", String(100), nullable=False),
    # The client that made the request for its organisation; null for staff, and in earlier builds.
    Column("client", String(100)),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("state", String(20), nullable=False),
    Column("decided_by", String(100)),
    Column("decided_at", Instant),
    Column("endorsed_by", String(100)),
    Column("endorsed_at", Instant),
    Index("approvals_requester", "state", "requested_by"),
    Index("approvals_open", "state", "kind", "subject"),
    Index("approvals_organization", "organization", "id"),
)

# Append-only but for `until`: every sealing key that an organisation has had. number: of the revision.
SEALING_KEYS = Table(
    "sealing_keys",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("key", Json, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
    Column("manner", String(20), nullable=False),
    Column("by", String(100), nullable=False),
    Column("approved_by", String(100)),
)

# One open challenge for each organisation and new key. The answer is kept only as its digest.
KEY_CHALLENGES = Table(
    "key_challenges",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("kid", String(43), primary_key=True),
    Column("id", String(36), nullable=False),
    Column("key", Json, nullable=False),
    Column("previous", String(43), nullable=False),
    Column("answer_sha256", String(64), nullable=False),
    Column("expires_at", Instant, nullable=False),
)

# The public half of the key that each secret of a client yields: it verifies the client's request proofs.
PROOF_KEYS = Table(
    "proof_keys",
    METADATA,
    Column("client_id", String(100), primary_key=True),
    Column("secret_sha256", String(64), primary_key=True),
    Column("key", String(43), nullable=False),
)

# Proofs and client assertions that were accepted lately: each is good for one request.
USED_PROOFS = Table(
    "used_proofs",
    METADATA,
    Column("client_id", String(100), primary_key=True),
    Column("proof_id", String(100), primary_key=True),
    Column("until", Instant, nullable=False),
    Index("used_proofs_until", "until"),
)

# The notices about secrets and keys that expire. days: the stage; each is announced once.
EXPIRY_NOTICES = Table(
    "expiry_notices",
    METADATA,
    Column("client_id", String(100), primary_key=True),
    Column("credential", String(100), primary_key=True),
    Column("expires_at", Instant, primary_key=True),
    Column("days", Integer, primary_key=True),
)

# Reports about employers, without their evidence. body_sha256: of the request, in canonical form.
WATCH_REPORTS = Table(
    "watch_reports",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("reporter", String(100), nullable=False),
    Column("country", String(2), nullable=False),
    Column("allegation", Json, nullable=False),
    Column("recipients", Json, nullable=False),
    Column("salt", String(43), nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("retracted_at", Instant),
    Column("idempotency_key", String(255)),
    Column("body_sha256", String(64), nullable=False),
    Index("watch_reports_reporter", "reporter", "id"),
    Index("watch_reports_key", "reporter", "idempotency_key", unique=True),
    Index("watch_reports_country", "country", "reported_at"),
    Index("watch_reports_reported_at", "reported_at"),
)

# The organisations that opted in to watch reports.
WATCH_RECIPIENTS = Table(
    "watch_recipients",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("since", Instant, nullable=False),
)

# The latest reply for each watched employer.
EMPLOYER_REPLIES = Table(
    "employer_replies",
    METADATA,
    Column("watched_id", String(36), primary_key=True),
    Column("country", String(2), nullable=False),
    Column("employer", Json, nullable=False),
    Column("text", Json, nullable=False),
    Column("by", String(100), nullable=False),
    Column("at", Instant, nullable=False),
    Index("employer_replies_country", "country"),
)

# Applications to join the network. content and salt: null once they need not be kept.
APPLICATIONS = Table(
    "applications",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("content", Json),
    Column("salt", String(43)),
    Column("reference_sha256", String(64), nullable=False),
    Column("submitted_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("approval_id", String(36)),
    Column("organization", String(100)),
    Column("decided_by", String(100)),
    Column("decided_at", Instant),
    Column("reason", String(40)),
    Column("note", Json),
    Index("applications_state", "state", "id"),
    Index("applications_expires_at", "expires_at"),
    Index("applications_reference", "reference_sha256", unique=True),
    Index("applications_approval", "approval_id"),
)
