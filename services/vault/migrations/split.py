"""referrals that were split, and their parts, under whose ids their case is released"""

import sqlalchemy as sa
from alembic import op

revision = "c19e5a7d3b60"
down_revision = "bf6a59bdc7d6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("custodies", sa.Column("part_of", sa.String(length=36)))
    op.add_column("custodies", sa.Column("parts", sa.SmallInteger()))


def downgrade() -> None:
    with op.batch_alter_table("custodies") as batch_op:
        batch_op.drop_column("parts")
        batch_op.drop_column("part_of")
