"""the log, its search columns, and the messaging tables"""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import (
    create_inbox,
    create_outbox,
    create_replica,
    create_retries,
)
from runtime.storage import columns

revision = "c469246f2836"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column(
            "leaf_index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("time", columns.Instant(), nullable=False),
        sa.Column("latest", columns.Instant(), nullable=False),
        sa.Column("referral_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("leaf_index"),
    )
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.create_index("entries_latest", ["latest", "leaf_index"], unique=False)
        batch_op.create_index("entries_message_id", ["message_id"], unique=True)
        batch_op.create_index("entries_referral_id", ["referral_id", "leaf_index"], unique=False)
        batch_op.create_index("entries_type", ["type", "leaf_index"], unique=False)

    op.create_table(
        "head",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("latest", columns.Instant(), nullable=True),
        sa.Column("lateness", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    create_inbox()

    op.create_table(
        "nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "first", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "first"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "openings",
        sa.Column(
            "leaf_index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("data", columns.Json(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index"),
    )
    op.create_table(
        "organizations",
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column(
            "leaf_index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("organization", "leaf_index"),
        sqlite_with_rowid=False,
    )
    create_outbox()
    create_replica()

    create_retries()


def downgrade() -> None:
    op.drop_table("retries")
    op.drop_table("replica")
    op.drop_table("outbox")
    op.drop_table("organizations")
    op.drop_table("openings")
    op.drop_table("nodes")
    op.drop_table("inbox")
    op.drop_table("head")
    with op.batch_alter_table("entries", schema=None) as batch_op:
        batch_op.drop_index("entries_type")
        batch_op.drop_index("entries_referral_id")
        batch_op.drop_index("entries_message_id")
        batch_op.drop_index("entries_latest")

    op.drop_table("entries")
