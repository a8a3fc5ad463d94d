"""copies of published events until audit's receipt, and the receipts that are due to their authors"""

import sqlalchemy as sa
from alembic import op

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "11c07e52177e"
down_revision = "a1c4e2f09b31"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()
    op.create_table(
        "due_receipts",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    op.drop_table("due_receipts")
    drop_unreceipted()
