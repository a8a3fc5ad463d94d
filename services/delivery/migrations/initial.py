"""initial"""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import (
    create_inbox,
    create_outbox,
    create_replica,
    create_retries,
)

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

    create_inbox()

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

    create_outbox()
    create_replica()

    create_retries()


def downgrade() -> None:
    op.drop_table("retries")
    op.drop_table("replica")
    op.drop_table("outbox")
    op.drop_index("mailbox_messages_waiting", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_acknowledged", table_name="mailbox_messages")

    op.drop_table("mailbox_messages")
    op.drop_table("inbox")
    op.drop_index("case_letters_closed", table_name="case_letters")

    op.drop_table("case_letters")
