"""referrals that were split, and their parts"""

import sqlalchemy as sa
from alembic import op

revision = "7a41c8e05d93"
down_revision = "7d3e90b1c5a8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("referrals", sa.Column("part_of", sa.String(length=36)))
    op.add_column("referrals", sa.Column("part", sa.Text()))
    op.add_column("referrals", sa.Column("parts", sa.SmallInteger()))


def downgrade() -> None:
    op.drop_column("referrals", "parts")
    op.drop_column("referrals", "part")
    op.drop_column("referrals", "part_of")
