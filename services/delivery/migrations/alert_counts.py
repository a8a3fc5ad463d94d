"""the numbers of the coordinators' alerts in an hour"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "6b31e0d5c87a"
down_revision = "8a60b3f2c917"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_counts",
        sa.Column("since", columns.Instant(), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("urgency", sa.String(length=20), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("since", "organization", "type", "urgency"),
    )


def downgrade() -> None:
    op.drop_table("alert_counts")
