"""signed messages: signatures of waiting messages, the newest manifest, evidence, pauses of releases"""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "f6b9d7e5e086"
down_revision = "5b0c9d1e7a34"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()
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
    drop_signatures()
