"""initial"""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import (
    create_inbox,
    create_outbox,
    create_replica,
    create_retries,
)

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

    create_inbox()

    create_outbox()
    create_replica()

    create_retries()

    op.create_table(
        "sealed_cases",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )


def downgrade() -> None:
    op.drop_table("sealed_cases")
    op.drop_table("retries")
    op.drop_table("replica")
    op.drop_table("outbox")
    op.drop_table("inbox")
    op.drop_index("custodies_waiting", table_name="custodies")

    op.drop_table("custodies")
