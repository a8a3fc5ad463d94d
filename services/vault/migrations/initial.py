"""initial"""

import sqlalchemy as sa
from alembic import op

revision = "74a1e07d5d6f"
down_revision = None
branch_labels = None
depends_on = None

WAITING = sa.text("state = 'held' AND acceptor IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "custodies",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=True),
        sa.Column("receiver", sa.String(length=100), nullable=True),
        sa.Column("kid", sa.String(length=100), nullable=True),
        sa.Column("acceptor", sa.String(length=100), nullable=True),
        sa.Column("acceptance_id", sa.String(length=64), nullable=True),
        sa.Column("correlation_id", sa.String(length=64), nullable=True),
        sa.Column("traceparent", sa.String(length=100), nullable=True),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_index(
        "custodies_waiting", "custodies", ["acceptor"], sqlite_where=WAITING, postgresql_where=WAITING
    )

    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("inbox_received_at", "inbox", ["received_at"])

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

    op.create_table(
        "sealed_cases",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )


def downgrade() -> None:
    op.drop_table("sealed_cases")
    op.drop_index("retries_due", table_name="retries")

    op.drop_table("retries")
    op.drop_index("replica_change", table_name="replica")

    op.drop_table("replica")
    op.drop_table("outbox")
    op.drop_index("inbox_received_at", table_name="inbox")

    op.drop_table("inbox")
    op.drop_index("custodies_waiting", table_name="custodies")

    op.drop_table("custodies")
