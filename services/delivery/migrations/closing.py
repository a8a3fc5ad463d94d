"""closing of messages that say something about a person

The content of messages whose referral has ended is erased. Offers of open referrals that ended before this
migration are closed with their referral.
"""

import orjson
import sqlalchemy as sa
from alembic import op

revision = "7d41c0be9a56"
down_revision = "dd4f2db15b80"
branch_labels = None
depends_on = None

OPEN = sa.text("content = 'open'")
CLOSING = sa.text("closes_at IS NOT NULL")
OFFER = "kopuro.offer.opened.v1"
CARRIERS = (OFFER, "kopuro.note.delivered.v1", "kopuro.referral.unplaced.v1")
# Earlier builds did not store why a referral ended. A withdrawal says the least.
REASON = "withdrawn"

MESSAGES = sa.table(
    "mailbox_messages",
    *map(sa.column, ("sequence", "type", "referral_id", "body", "offer_id", "content", "closed_at")),
)
LETTERS = sa.table("case_letters", *map(sa.column, ("referral_id", "closed_at", "closed_because")))


def upgrade() -> None:
    op.add_column("mailbox_messages", sa.Column("offer_id", sa.String(length=36)))
    op.add_column("mailbox_messages", sa.Column("content", sa.String(length=20)))
    op.add_column("mailbox_messages", sa.Column("closed_at", sa.BigInteger()))
    op.add_column("mailbox_messages", sa.Column("closes_at", sa.BigInteger()))
    op.add_column("case_letters", sa.Column("closed_because", sa.String(length=20)))
    op.create_table(
        "ended_offers",
        sa.Column("offer_id", sa.String(length=36), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("offer_id"),
    )
    op.create_index("ended_offers_ended_at", "ended_offers", ["ended_at"])

    connection = op.get_bind()
    closed_at = (
        sa.select(LETTERS.c.closed_at)
        .where(LETTERS.c.referral_id == MESSAGES.c.referral_id)
        .scalar_subquery()
    )
    carriers = MESSAGES.c.type.in_(CARRIERS)
    connection.execute(
        sa.update(MESSAGES)
        .where(carriers, closed_at.is_not(None))
        .values(content=REASON, closed_at=closed_at, body=b"")
    )
    connection.execute(
        sa.update(MESSAGES).where(carriers, MESSAGES.c.content.is_(None)).values(content="open")
    )
    offers = sa.select(MESSAGES.c.sequence, MESSAGES.c.body).where(
        MESSAGES.c.type == OFFER, MESSAGES.c.content == "open"
    )
    found = [
        {"number": sequence, "offer": orjson.loads(bytes(body))["data"]["offer_id"]}
        for sequence, body in connection.execute(offers)
    ]
    if found:
        change = sa.update(MESSAGES).where(MESSAGES.c.sequence == sa.bindparam("number"))
        connection.execute(change.values(offer_id=sa.bindparam("offer")), found)

    op.create_index(
        "mailbox_messages_open",
        "mailbox_messages",
        ["referral_id"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index(
        "mailbox_messages_closing",
        "mailbox_messages",
        ["closes_at"],
        sqlite_where=CLOSING,
        postgresql_where=CLOSING,
    )


def downgrade() -> None:
    op.drop_index("mailbox_messages_closing", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_open", table_name="mailbox_messages")
    op.drop_index("ended_offers_ended_at", table_name="ended_offers")
    op.drop_table("ended_offers")
    op.drop_column("case_letters", "closed_because")
    for name in ("closes_at", "closed_at", "content", "offer_id"):
        op.drop_column("mailbox_messages", name)
