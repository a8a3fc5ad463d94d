"""digest of an idempotency key's parsed body

Earlier keys have none and are still compared by the bytes of their bodies.
"""

import sqlalchemy as sa
from alembic import op

revision = "b7d1c2f05e83"
down_revision = "4464fcef97f7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("idempotency_keys", sa.Column("understood", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as batch_op:
        batch_op.drop_column("understood")
