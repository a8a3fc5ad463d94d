"""Routing's tables. No column holds personal data."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)

from runtime.messaging.tables import messaging_tables, replica_changes_table, replica_table
from runtime.storage.columns import Instant, Json, RowNumber

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)
# Each change of the directory as routing read it, for `recomputation.py`.
DIRECTORY_CHANGES = replica_changes_table(METADATA)

_QUEUE_ORDER = ("priority", "turn_at", "id")
_HELD = text("status IN ('accepted', 'in_progress', 'on_hold')")
# Ended, and their facts not yet reduced.
_ENDED = text("facts_state IS NULL AND status IN ('completed', 'withdrawn', 'failed', 'entered_in_error')")
_REVOKED = text("facts_state = 'revoked'")
_ACCEPTOR_SUSPENDED = text("acceptor_suspended_since IS NOT NULL")
_ONWARD = text("onward_from IS NOT NULL")

REFERRALS = Table(
    "referrals",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("status", String(20), nullable=False),
    Column("acceptor", String(100)),
    Column("outcome", String(30)),
    Column("facts", Json, nullable=False),
    # Null: as submitted. `revoked`: to be reduced at once. `reduced`: coarse (`domain/reduced_facts.py`).
    Column("facts_state", String(10)),
    Column("correlation_id", String(64), nullable=False),
    # The span in which routing handled the submission; null if there is none. Decisions of deadlines continue
    # it.
    Column("traceparent", String(55)),
    Column("submitted_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("due_at", Instant),
    # Since when the acceptor's report has been overdue.
    Column("overdue_since", Instant),
    # Since when the acceptor has been reported as suspended, so that one suspension is reported once.
    Column("acceptor_suspended_since", Instant),
    # The rank of the urgency, 0 for an emergency; null for a closed referral.
    Column("priority", SmallInteger),
    # The turn in the coordinators' queues (`domain/coordination_queue.py`). Every referral has one. A
    # referral that was split is in no queue, but can become whole again.
    Column("turn_at", Instant),
    # The group of the first need and the country of the region: what the figures count by.
    Column("need_group", String(60)),
    Column("country", String(2)),
    # The referral that the sender refers onward with this one, and what precedes that (`domain/chain.py`).
    Column("onward_from", String(36)),
    Column("chain", Json),
    # The referral of which this one is a part, and what else makes it one (`domain/part_of.py`).
    Column("part_of", String(36)),
    Column("part", Json),
    # Into how many parts this referral was split; null for one that was not.
    Column("parts", SmallInteger),
    # For each organisation, why it is not asked: the reason about the person that it gave for another part.
    # Null: none.
    Column("left_out", Json),
    # Whether the person has withdrawn the consent, also after the end; null: no.
    Column("consent_revoked", Boolean),
    Index("referrals_sender", "sender", "id"),
    Index("referrals_status", "status", "id"),
    # A partial index of referrals with a deadline stays small as the table grows.
    Index(
        "referrals_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    # For the accepted referrals of a suspended organisation.
    Index("referrals_held", "acceptor", sqlite_where=_HELD, postgresql_where=_HELD),
    # The coordinators' queues: `queues.py`.
    Index(
        "referrals_queue",
        "status",
        *_QUEUE_ORDER,
        sqlite_where=text("priority IS NOT NULL"),
        postgresql_where=text("priority IS NOT NULL"),
    ),
    # The latest turn of a sender.
    Index(
        "referrals_turns",
        "sender",
        "priority",
        "turn_at",
        sqlite_where=text("priority IS NOT NULL"),
        postgresql_where=text("priority IS NOT NULL"),
    ),
    # The counts of the open referrals and the oldest of each kind: `network_figures.py`.
    Index(
        "referrals_figures",
        "status",
        "priority",
        "need_group",
        "country",
        "submitted_at",
        sqlite_where=text("priority IS NOT NULL"),
        postgresql_where=text("priority IS NOT NULL"),
    ),
    Index(
        "referrals_overdue",
        *_QUEUE_ORDER,
        sqlite_where=text("overdue_since IS NOT NULL"),
        postgresql_where=text("overdue_since IS NOT NULL"),
    ),
    Index(
        "referrals_acceptor_suspended",
        *_QUEUE_ORDER,
        sqlite_where=_ACCEPTOR_SUSPENDED,
        postgresql_where=_ACCEPTOR_SUSPENDED,
    ),
    # For the referrals of readmitted organisations.
    Index(
        "referrals_suspended_acceptors",
        "acceptor",
        sqlite_where=_ACCEPTOR_SUSPENDED,
        postgresql_where=_ACCEPTOR_SUSPENDED,
    ),
    Index(
        "referrals_emergencies",
        *_QUEUE_ORDER,
        sqlite_where=text("priority = 0"),
        postgresql_where=text("priority = 0"),
    ),
    Index("referrals_onward", "onward_from", sqlite_where=_ONWARD, postgresql_where=_ONWARD),
    Index("referrals_ended", "updated_at", sqlite_where=_ENDED, postgresql_where=_ENDED),
    Index("referrals_revoked", "id", sqlite_where=_REVOKED, postgresql_where=_REVOKED),
)

OFFERS = Table(
    "offers",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("organization", String(100), nullable=False),
    Column("service", String(60), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("deadline", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("reason", String(50)),
    # The coordinator who placed the referral, if one did.
    Column("placed_by", String(100)),
    # When a coordinator last reminded the organisation.
    Column("nudged_at", Instant),
    # The organisation's first answer that came too late, and when it arrived.
    Column("late_answer", String(10)),
    Column("late_at", Instant),
    # When the timer next acts on the open offer: the policy's next step, or the deadline.
    Column("acts_at", Instant, nullable=False),
    Index("offers_referral", "referral_id", "id"),
    Index("offers_organization", "organization", "referral_id"),
    Index(
        "offers_due",
        "acts_at",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    # For the open offers of a suspended organisation.
    Index(
        "offers_open",
        "organization",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

DECISIONS = Table(
    "decisions",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("decided_at", Instant, nullable=False),
    # Byte for byte what the log's commitment covers.
    Column("record", Json, nullable=False),
    # The commitment's salt; null in decisions of earlier builds, which the log does not know.
    Column("salt", LargeBinary),
    # When the record was erased. The record is then `{}`, and `commitment` has what the log committed to.
    Column("erased_at", Instant),
    Column("commitment", String(80)),
    # The organisations that it asked, a JSON list, and the message that commits to it; null in decisions of
    # earlier builds. The first is erased with the record.
    Column("asked", Json),
    Column("logged_in", String(36)),
    # Filled at the erasure: for each organisation that was asked, its opened leaf (`domain/kept_proofs.py`).
    Column("proofs", Json),
    Index("decisions_referral", "referral_id", "id"),
)

TIMELINE = Table(
    "timeline",
    METADATA,
    Column("number", RowNumber, primary_key=True, autoincrement=True),
    Column("referral_id", String(36), nullable=False),
    Column("time", Instant, nullable=False),
    Column("fact", String(60), nullable=False),
    Column("organization", String(100)),
    Column("detail", Json, nullable=False),
    Index("timeline_referral", "referral_id", "number"),
)

OBSERVATIONS = Table(
    "observations",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("answered", Integer, nullable=False),
    Column("expired", Integer, nullable=False),
    Column("answer_seconds", RowNumber, nullable=False),
    # When the latest offer was opened, null if none was.
    Column("last_asked", Instant),
    # The answered offers whose acceptance was handed back or revoked.
    Column("returned", Integer, nullable=False, server_default="0"),
)

# How many open referrals each service's organisation has accepted for it. Services without any have no row.
HELD_BY_SERVICE = Table(
    "held",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("referrals", Integer, nullable=False),
)

# Open offers and waiting referrals, by service, sender and urgency. Without either there is no row.
DEMAND = Table(
    "demand",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("sender", String(100), primary_key=True),
    Column("urgency", String(20), primary_key=True),
    Column("offers", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
)

# The candidates of unplaced referrals that lack only a place. since: when the referral was submitted.
WAITING = Table(
    "waiting",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("sender", String(100), nullable=False),
    Column("urgency", String(20), nullable=False),
    Column("since", Instant, nullable=False),
    Index("waiting_queue", "organization", "service", "sender", "urgency", "since", "referral_id"),
)

# Idempotency-Keys of placements. content: the digest of the parsed request.
PLACEMENT_KEYS = Table(
    "placement_keys",
    METADATA,
    Column("coordinator", String(100), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("content", String(64), nullable=False),
    Column("submission_id", String(36), nullable=False),
    Column("used_at", Instant, nullable=False),
    Index("placement_keys_used_at", "used_at"),
)

# Append-only. The highest number is in force. digest: of the content, see `policy_document.py`.
POLICIES = Table(
    "policies",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("version", String(200), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Json, nullable=False),
    Column("applied_by", String(200), nullable=False),
    Column("applied_at", Instant, nullable=False),
)

# The referrals that may get another offer: unplaced ones, and emergencies with open offers. receiver: the
# organisation that a referral names, if any. Each column is an index of one reason to decide them again.
SEEKING = Table(
    "seeking",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("need", String(60), nullable=False),
    Column("region", String(10), nullable=False),
    Column("country", String(2), nullable=False),
    Column("sender", String(100), nullable=False),
    Column("receiver", String(100)),
    Index("seeking_region", "need", "region", "referral_id"),
    Index("seeking_country", "need", "country", "referral_id"),
    Index("seeking_sender", "sender", "referral_id"),
    Index("seeking_receiver", "receiver", "referral_id"),
)

# The further needs of unplaced referrals that may be split (`splitting.further_needs`). `seeking` has the
# first need of each.
FURTHER_NEEDS = Table(
    "further_needs",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("need", String(60), primary_key=True),
    Column("region", String(10), nullable=False),
    Column("country", String(2), nullable=False),
    Index("further_needs_region", "need", "region", "referral_id"),
    Index("further_needs_country", "need", "country", "referral_id"),
)

# When each service last declined or handed back for lack of capacity.
FULL_SERVICES = Table(
    "full_services",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("service", String(60), primary_key=True),
    Column("since", Instant, nullable=False),
)

# Offers that ended with their referral soon after their opening, by the time of opening, rounded up.
WITHDRAWN_OFFERS = Table(
    "withdrawn_offers",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("sender", String(100), primary_key=True),
    Column("urgency", String(20), primary_key=True),
    Column("counted_at", Instant, primary_key=True),
    Column("offers", Integer, nullable=False),
    Index("withdrawn_offers_counted_at", "counted_at"),
)

# The figures of each week that may be shown, and each organisation's own. timeline_to: the number in the
# timeline behind which the next week begins.
WEEKLY_REPORTS = Table(
    "weekly_reports",
    METADATA,
    Column("week", String(8), primary_key=True),
    Column("made_at", Instant, nullable=False),
    Column("timeline_to", BigInteger, nullable=False),
    Column("report", Json, nullable=False),
    Column("statements", Json, nullable=False),
)

# The decisions that asked an organisation in a week, a JSON list of ids in their order.
ASKED_IN_WEEK = Table(
    "asked_in_week",
    METADATA,
    Column("organization", String(100), primary_key=True),
    Column("week", String(8), primary_key=True),
    Column("decisions", Json, nullable=False),
)

# The monthly statements as they were issued. content: byte for byte what the log's digest covers. logged_in:
# the message that says so.
STATEMENTS = Table(
    "statements",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("organization", String(100), primary_key=True),
    Column("issued_at", Instant, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("logged_in", String(36), nullable=False),
)

# The months whose statements have all been issued.
ISSUED_MONTHS = Table(
    "issued_months",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("issued_at", Instant, nullable=False),
)

# The days or weeks whose digest is written.
DIGESTS = Table(
    "digests",
    METADATA,
    Column("period", String(10), primary_key=True),
    Column("written_at", Instant, nullable=False),
)

# The emergencies that were reported as unanswered and still wait for an acceptance.
UNANSWERED = Table(
    "unanswered",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("reported_at", Instant, nullable=False),
)
