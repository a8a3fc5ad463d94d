"""admitted answers, reports and notes, so that each can be found by its id"""

import sqlalchemy as sa
from alembic import op

revision = "6f2e9b10c4d7"
down_revision = "9d4c37fba5b4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commands",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("fact", sa.String(length=100), nullable=False),
        sa.Column("submitted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("commands_referral", "commands", ["referral_id"])
    op.create_index("commands_submitted_at", "commands", ["submitted_at"])


def downgrade() -> None:
    op.drop_table("commands")
