"""the trace that decisions of deadlines continue

Referrals that are open at the upgrade have none: their deadlines are not traced.
"""

import sqlalchemy as sa
from alembic import op

revision = "c2f81d4a9e05"
down_revision = "5b0d9e72c6f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("referrals", sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("referrals") as batch_op:
        batch_op.drop_column("traceparent")
