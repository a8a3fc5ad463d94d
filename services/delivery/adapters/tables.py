"""Delivery's tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from runtime.messaging.tables import messaging_tables, replica_table
from runtime.storage.columns import Instant, Json, RowNumber

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)

_WAITING = text("acknowledged_at IS NULL")
_FORGOTTEN = text("forget_after IS NOT NULL")
_CLOSING = text("closes_at IS NOT NULL")
_HAS_SUBJECT = text("subject IS NOT NULL")

MESSAGES = Table(
    "mailbox_messages",
    METADATA,
    Column("sequence", RowNumber, primary_key=True, autoincrement=True),
    Column("organization", String(100), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("type", String(100), nullable=False),
    Column("referral_id", String(36), nullable=False),
    Column("correlation_id", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(20), nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("acknowledged_at", Instant),
    # When the time for which an acknowledged message is kept began: at its acknowledgement, or later while a
    # named consumer still needs it.
    Column("forget_after", Instant),
    # The offer of an `offer.opened`.
    Column("offer_id", String(36)),
    # Whether the body is erased at an end (`domain/closing.py`): null if not, `open` before the end, the
    # reason of the closing after it. closed_at: when. closes_at: when the body is erased, null if not known.
    Column("content", String(20)),
    Column("closed_at", Instant),
    Column("closes_at", Instant),
    # The subject of an alert that is about no referral (`domain/alert_subjects.py`).
    Column("subject", String(240)),
    # The accepted offer by which the organisation got a note; null for the sender's, and from earlier builds.
    Column("acceptance", String(36)),
    UniqueConstraint("message_id", "organization", name="mailbox_messages_once"),
    # Partial, so that a poll never scans acknowledged rows. A row is in one of the two partial indexes.
    Index(
        "mailbox_messages_waiting",
        "organization",
        "sequence",
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    ),
    Index(
        "mailbox_messages_forgotten",
        "forget_after",
        sqlite_where=_FORGOTTEN,
        postgresql_where=_FORGOTTEN,
    ),
    # For named consumers and for reading again.
    Index("mailbox_messages_all", "organization", "sequence"),
    # For the end of an offer or a referral, and to say where a message is.
    Index("mailbox_messages_referral", "referral_id"),
    Index("mailbox_messages_closing", "closes_at", sqlite_where=_CLOSING, postgresql_where=_CLOSING),
    Index(
        "mailbox_messages_subject",
        "subject",
        sqlite_where=_HAS_SUBJECT,
        postgresql_where=_HAS_SUBJECT,
    ),
    # Numbers are never reused, so cursors stay valid when old rows are deleted.
    sqlite_autoincrement=True,
)

# How many alerts of the coordinators an organisation has caused in the hour that began at `since`. urgency:
# "" for a type that does not state it.
ALERT_COUNTS = Table(
    "alert_counts",
    METADATA,
    Column("since", Instant, primary_key=True),
    Column("organization", String(100), primary_key=True),
    Column("type", String(100), primary_key=True),
    Column("urgency", String(20), primary_key=True),
    Column("messages", Integer, nullable=False),
)

# Named consumers. position: the sequence up to which the consumer needs no message; types: a JSON array.
CONSUMERS = Table(
    "mailbox_consumers",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("name", String(100), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("types", Text, nullable=False),
    Column("contract", String(20), nullable=False),
    Column("created_at", Instant, nullable=False),
)

# Messages that a named consumer has acknowledged above its position.
CONSUMER_ACKNOWLEDGEMENTS = Table(
    "consumer_acknowledgements",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("consumer", String(100), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Index("consumer_acknowledgements_sequence", "sequence"),
)

# The row of a closed referral is kept for a while, without the case.
CASE_LETTERS = Table(
    "case_letters",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("organization", String(100)),
    Column("sealed_case", Text),
    # The accepted offer; null for cases that an earlier build released.
    Column("offer_id", String(36)),
    Column("closed_at", Instant),
    # The reason, as in `message.closed`; null in rows of earlier builds.
    Column("closed_because", String(20)),
    Index("case_letters_closed", "closed_at"),
)

# Offers that ended without an acceptance, kept for a while, so that a late offer is stored without content.
ENDED_OFFERS = Table(
    "ended_offers",
    METADATA,
    Column("offer_id", String(36), primary_key=True),
    Column("reason", String(20), nullable=False),
    Column("ended_at", Instant, nullable=False),
    Index("ended_offers_ended_at", "ended_at"),
)

# The watch reports in mailboxes, until their messages are closed or they expire. sent_at: by the directory.
DELIVERED_REPORTS = Table(
    "delivered_reports",
    METADATA,
    Column("message_id", String(64), primary_key=True),
    Column("report_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("sent_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("delivered_reports_report", "report_id"),
    Index("delivered_reports_organization", "organization", "sent_at"),
    Index("delivered_reports_expires_at", "expires_at"),
)

# The ends of watch reports, kept for a while, so that a late report is stored without content. subject: a
# report that was retracted, or an organisation that opted out.
REPORT_ENDS = Table(
    "report_ends",
    METADATA,
    Column("subject", String(100), primary_key=True),
    Column("reason", String(20), nullable=False),
    Column("ended_at", Instant, nullable=False),
    Index("report_ends_ended_at", "ended_at"),
)

# The offers whose acceptances were handed back or revoked. A case that is released for one of them arrives
# late and is not kept.
ENDED_ACCEPTANCES = Table(
    "ended_acceptances",
    METADATA,
    Column("offer_id", String(36), primary_key=True),
    Column("ended_at", Instant, nullable=False),
    Index("ended_acceptances_ended_at", "ended_at"),
)

# A partner's endpoints. position: the sequence up to which its mailbox has been turned into notices.
WEBHOOK_ENDPOINTS = Table(
    "webhook_endpoints",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("organization", String(100), nullable=False),
    Column("url", Text, nullable=False),
    Column("types", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("state", String(20), nullable=False),
    # Why it is disabled.
    Column("reason", String(20)),
    # Also null for an endpoint that an earlier build disabled.
    Column("disabled_at", Instant),
    Column("position", RowNumber, nullable=False),
    Column("challenge", String(64), nullable=False),
    Column("failing_since", Instant),
    Column("last_failure", Instant),
    # The highest share of the failing time, in percent, that its owner was notified of.
    Column("noticed", Integer, nullable=False),
    # Opens the log's commitment to the URL and the types. Null for an endpoint that an earlier build
    # registered, until its owner changes it.
    Column("salt", LargeBinary),
    Index("webhook_endpoints_organization", "organization"),
)

# sealed: with a key that is not in this database.
WEBHOOK_SECRETS = Table(
    "webhook_secrets",
    METADATA,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("endpoint_id", String(36), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    # Null for the newest.
    Column("expires_at", Instant),
    Index("webhook_secrets_endpoint", "endpoint_id"),
    sqlite_autoincrement=True,
)

_NOTICE_WAITING = text("due_at IS NOT NULL")
_NOTICE_ENDED = text("ended_at IS NOT NULL")

# due_at: null if the notice does not wait. While an attempt is under way it says when another one may start.
WEBHOOK_NOTICES = Table(
    "webhook_notices",
    METADATA,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("endpoint_id", String(36), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("type", String(100), nullable=False),
    Column("referral_id", String(36), nullable=False),
    Column("sequence", RowNumber, nullable=False),
    Column("queued_at", Instant, nullable=False),
    Column("haste", String(20), nullable=False),
    Column("until", Instant, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),
    Column("ended_at", Instant),
    UniqueConstraint("endpoint_id", "message_id", name="webhook_notices_once"),
    Index(
        "webhook_notices_due",
        "endpoint_id",
        "due_at",
        sqlite_where=_NOTICE_WAITING,
        postgresql_where=_NOTICE_WAITING,
    ),
    Index(
        "webhook_notices_waiting",
        "endpoint_id",
        "referral_id",
        "sequence",
        sqlite_where=_NOTICE_WAITING,
        postgresql_where=_NOTICE_WAITING,
    ),
    Index("webhook_notices_ended", "ended_at", sqlite_where=_NOTICE_ENDED, postgresql_where=_NOTICE_ENDED),
    sqlite_autoincrement=True,
)

WEBHOOK_ATTEMPTS = Table(
    "webhook_attempts",
    METADATA,
    Column("position", RowNumber, primary_key=True, autoincrement=True),
    Column("endpoint_id", String(36), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("type", String(100), nullable=False),
    # 1 for the first attempt of a notice.
    Column("number", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("milliseconds", Integer, nullable=False),
    Column("url", Text, nullable=False),
    Column("status", Integer),
    Column("answer_type", String(100)),
    Column("answer_size", Integer, nullable=False),
    Column("fault", String(40)),
    Column("next_at", Instant),
    Index("webhook_attempts_endpoint", "endpoint_id", "position"),
    Index("webhook_attempts_started_at", "started_at"),
    sqlite_autoincrement=True,
)
