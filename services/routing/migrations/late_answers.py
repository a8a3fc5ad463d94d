"""the first late answer to an offer

The answers that earlier builds refused are not known here.
"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "5d90b7e1f3a6"
down_revision = "c8e25f71ab04"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("offers", sa.Column("late_answer", sa.String(10)))
    op.add_column("offers", sa.Column("late_at", columns.Instant()))


def downgrade() -> None:
    with op.batch_alter_table("offers") as batch_op:
        batch_op.drop_column("late_at")
        batch_op.drop_column("late_answer")
