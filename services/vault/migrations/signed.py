"""signed messages: signatures of waiting messages, the newest manifest, evidence, pauses of releases

A message that waited before has no signature, and is dead-lettered at its next attempt.
"""

import sqlalchemy as sa
from alembic import op

revision = "f6b9d7e5e086"
down_revision = "5b0c9d1e7a34"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("retries") as retries:
        retries.add_column(sa.Column("signed", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "manifests",
        sa.Column("hub", sa.String(length=2), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hub"),
    )
    op.create_table(
        "evidence",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.Text(), nullable=False),
        sa.Column("acted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "message_id"),
    )
    op.add_column("custodies", sa.Column("paused_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("custodies", "paused_until")
    op.drop_table("evidence")
    op.drop_table("manifests")
    with op.batch_alter_table("retries") as retries:
        retries.drop_column("signed")
