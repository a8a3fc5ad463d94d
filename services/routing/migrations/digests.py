"""the periods whose digest is written"""

import sqlalchemy as sa
from alembic import op

revision = "5b0d9e72c6f4"
down_revision = "91d4f0b6a27c"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "digests",
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("period"),
    )


def downgrade() -> None:
    op.drop_table("digests")
