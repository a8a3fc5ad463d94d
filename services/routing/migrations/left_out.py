"""organisations that will not or may not help the person of a referral, with their reasons"""

import sqlalchemy as sa
from alembic import op

revision = "4b7d19c06e2f"
down_revision = "e83b6f20a9d4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("referrals", sa.Column("left_out", sa.Text()))


def downgrade() -> None:
    op.drop_column("referrals", "left_out")
