"""named consumers, and reading acknowledged messages again"""

import sqlalchemy as sa
from alembic import op

revision = "c90d3e57a1b8"
down_revision = "7b2e15d9c3f2"
branch_labels = None
depends_on = None

ACKNOWLEDGED = sa.text("acknowledged_at IS NOT NULL")
FORGOTTEN = sa.text("forget_after IS NOT NULL")
MESSAGES = sa.table("mailbox_messages", sa.column("acknowledged_at"), sa.column("forget_after"))


def upgrade() -> None:
    op.create_table(
        "mailbox_consumers",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("types", sa.Text(), nullable=False),
        sa.Column("contract", sa.String(length=20), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "name"),
    )
    op.create_table(
        "consumer_acknowledgements",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("organization", "consumer", "sequence"),
    )
    op.create_index("consumer_acknowledgements_sequence", "consumer_acknowledgements", ["sequence"])
    op.add_column("mailbox_messages", sa.Column("forget_after", sa.BigInteger()))
    op.get_bind().execute(sa.update(MESSAGES).values(forget_after=MESSAGES.c.acknowledged_at))
    op.drop_index("mailbox_messages_acknowledged", table_name="mailbox_messages")
    op.create_index(
        "mailbox_messages_forgotten",
        "mailbox_messages",
        ["forget_after"],
        sqlite_where=FORGOTTEN,
        postgresql_where=FORGOTTEN,
    )
    op.create_index("mailbox_messages_all", "mailbox_messages", ["organization", "sequence"])


def downgrade() -> None:
    op.drop_index("mailbox_messages_all", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_forgotten", table_name="mailbox_messages")
    op.create_index(
        "mailbox_messages_acknowledged",
        "mailbox_messages",
        ["acknowledged_at"],
        sqlite_where=ACKNOWLEDGED,
        postgresql_where=ACKNOWLEDGED,
    )
    op.drop_column("mailbox_messages", "forget_after")
    op.drop_index("consumer_acknowledgements_sequence", table_name="consumer_acknowledgements")
    op.drop_table("consumer_acknowledgements")
    op.drop_table("mailbox_consumers")
