"""acceptances that have ended, so that a case which arrives later is not kept"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "a4c81e6f0d37"
down_revision = "7d41c0be9a56"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("case_letters", sa.Column("offer_id", sa.String(length=36), nullable=True))
    op.create_table(
        "ended_acceptances",
        sa.Column("offer_id", sa.String(length=36), nullable=False),
        sa.Column("ended_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("offer_id"),
    )
    op.create_index("ended_acceptances_ended_at", "ended_acceptances", ["ended_at"])


def downgrade() -> None:
    op.drop_index("ended_acceptances_ended_at", table_name="ended_acceptances")
    op.drop_table("ended_acceptances")
    with op.batch_alter_table("case_letters") as batch_op:
        batch_op.drop_column("offer_id")
