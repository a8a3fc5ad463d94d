"""when each service last declined for lack of capacity"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "6c2f8e0b91d4"
down_revision = "7c0e5b92d4a1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "full_services",
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.Column("service", sa.String(length=60), nullable=False),
        sa.Column("since", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "service"),
    )
    op.execute(
        "INSERT INTO full_services (organization, service, since)"
        " SELECT organization, service, max(closed_at) FROM offers"
        " WHERE state = 'declined' AND reason = 'no_capacity' AND closed_at IS NOT NULL GROUP BY 1, 2"
    )


def downgrade() -> None:
    op.drop_table("full_services")
