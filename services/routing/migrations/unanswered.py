"""the emergencies that were reported as unanswered"""

import sqlalchemy as sa
from alembic import op

revision = "b90c47de5a13"
down_revision = "3e9a51c07d28"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unanswered",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("reported_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )


def downgrade() -> None:
    op.drop_table("unanswered")
