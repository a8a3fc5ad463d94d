"""initial"""

import sqlalchemy as sa
from alembic import op

revision = "e9ec77ead8ff"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "case_letters",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=True),
        sa.Column("sealed_case", sa.Text(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_index("case_letters_closed", "case_letters", ["closed_at"])

    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"])

    op.create_table(
        "mailbox_messages",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("correlation_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("message_id", "organization", name="mailbox_messages_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("mailbox_messages_acknowledged", "mailbox_messages", ["acknowledged_at"])
    op.create_index(
        "mailbox_messages_waiting", "mailbox_messages", ["organization", "acknowledged_at", "sequence"]
    )

    op.create_table(
        "outbox",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=100), nullable=False),
        sa.Column("routing_key", sa.String(length=200), nullable=False),
        sa.Column("partition_key", sa.String(length=200), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "replica",
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("revision", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("change", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("type", "key"),
    )
    op.create_index("replica_change", "replica", ["change"])

    op.create_table(
        "retries",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("queue", sa.String(length=100), nullable=False),
        sa.Column("routing_key", sa.String(length=200), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("retries_due", "retries", ["consumer", "due_at"])


def downgrade() -> None:
    op.drop_index("retries_due", table_name="retries")

    op.drop_table("retries")
    op.drop_index("replica_change", table_name="replica")

    op.drop_table("replica")
    op.drop_table("outbox")
    op.drop_index("mailbox_messages_waiting", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_acknowledged", table_name="mailbox_messages")

    op.drop_table("mailbox_messages")
    op.drop_index("inbox_received_at", table_name="inbox")

    op.drop_table("inbox")
    op.drop_index("case_letters_closed", table_name="case_letters")

    op.drop_table("case_letters")
