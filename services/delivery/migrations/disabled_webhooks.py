"""times at which webhooks were disabled

Unknown for those that an earlier build disabled.
"""

import sqlalchemy as sa
from alembic import op

revision = "8a60b3f2c917"
down_revision = "4e92d7c10b5a"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_endpoints", sa.Column("disabled_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("webhook_endpoints", "disabled_at")
