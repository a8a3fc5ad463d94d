"""The vault's tables."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    and_,
)

from runtime.messaging.tables import messaging_tables, replica_table
from runtime.storage.columns import Instant

METADATA = MetaData()
MESSAGING = messaging_tables(METADATA)
REPLICA = replica_table(METADATA)

CUSTODIES = Table(
    "custodies",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("sender", String(100)),
    Column("receiver", String(100)),
    Column("kid", String(100)),
    Column("acceptor", String(100)),
    Column("acceptance_id", String(64)),
    # The accepted offer; null for acceptances of earlier builds.
    Column("offer_id", String(36)),
    Column("correlation_id", String(64)),
    Column("traceparent", String(100)),
    Column("changed_at", Instant, nullable=False),
    # When the pause of a release ends, as last announced; None: it was never paused.
    Column("paused_until", Instant),
    # The referral whose case is released under this id; null unless this is a part.
    Column("part_of", String(36)),
    # Into how many parts the referral was split; null if it was not.
    Column("parts", SmallInteger),
    # The id of the message that last replaced the case; null if none has since this column exists.
    Column("replaced_by", String(64)),
)
WAITING = and_(CUSTODIES.c.state == "held", CUSTODIES.c.acceptor.is_not(None))
Index("custodies_waiting", CUSTODIES.c.acceptor, sqlite_where=WAITING, postgresql_where=WAITING)

# The signed facts that the vault acted on. They contain no personal data, and are never deleted.
EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("message_id", String(64), primary_key=True),
    Column("type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signed", Text, nullable=False),
    Column("acted_at", Instant, nullable=False),
)

# Separate from custodies: erasure deletes a row, and reading custodies never loads ciphertext.
# key_id: of the case key in the key store that seals `wrapped_key`; null: not sealed, by an earlier build.
SEALED_CASES = Table(
    "sealed_cases",
    METADATA,
    Column("referral_id", String(36), primary_key=True),
    Column("wrapped_key", Text, nullable=False),
    Column("ciphertext", Text, nullable=False),
    Column("key_id", String(36)),
)

# Case keys whose cases were erased or replaced, until they are destroyed.
DOOMED_KEYS = Table("doomed_keys", METADATA, Column("key_id", String(36), primary_key=True))

# The transit keys that are not destroyed. sealed: how many messages intake has sealed to the key, null while
# it may seal more; opened: how many of them the vault has read.
TRANSIT_KEYS = Table(
    "transit_keys",
    METADATA,
    Column("kid", String(100), primary_key=True),
    Column("published_at", Instant, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("sealed", BigInteger),
    Column("closed_at", Instant),
)

# Notes of declines whose answers routing has not decided yet. body: the encoded sealed message.
HELD_NOTES = Table(
    "held_notes",
    METADATA,
    Column("submission_id", String(64), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("held_notes_referral", "referral_id"),
)

# Routing's decisions on answers to offers of open referrals, for notes that arrive later than the decision.
ANSWERS = Table(
    "answers",
    METADATA,
    Column("submission_id", String(64), primary_key=True),
    Column("referral_id", String(36), nullable=False),
    Column("took_effect", Boolean, nullable=False),
    Index("answers_referral", "referral_id"),
)
