"""Idempotency-Keys of placements"""

import sqlalchemy as sa
from alembic import op

revision = "a8f3b6d2c071"
down_revision = "c41d7e5a9f06"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "placement_keys",
        sa.Column("coordinator", sa.String(length=100), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("submission_id", sa.String(length=36), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("coordinator", "key"),
    )
    op.create_index("placement_keys_used_at", "placement_keys", ["used_at"])


def downgrade() -> None:
    op.drop_index("placement_keys_used_at", table_name="placement_keys")
    op.drop_table("placement_keys")
