"""offers that ended with their referral soon after they were opened, which count against its sender"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "a17c4e90d52b"
down_revision = "a3e81f5c92d7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "withdrawn_offers",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("counted_at", columns.Instant(), nullable=False),
        sa.Column("offers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "sender", "urgency", "counted_at"),
    )
    op.create_index("withdrawn_offers_counted_at", "withdrawn_offers", ["counted_at"])


def downgrade() -> None:
    op.drop_index("withdrawn_offers_counted_at", table_name="withdrawn_offers")
    op.drop_table("withdrawn_offers")
