"""why an organisation is suspended"""

import sqlalchemy as sa
from alembic import op

revision = "d27b6c1f8e34"
down_revision = "c4a91e7d2b60"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("revisions", sa.Column("reason", sa.String(length=40), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("revisions") as table:
        table.drop_column("reason")
