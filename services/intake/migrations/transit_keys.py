"""the vault's transit key and the number of messages sealed to it"""

import sqlalchemy as sa
from alembic import op

revision = "a17c5e0b93d2"
down_revision = "d4f7b5c3ce64"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transit_keys",
        sa.Column("kid", sa.String(length=100), nullable=False),
        sa.Column("x", sa.String(length=100), nullable=False),
        sa.Column("published_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid"),
    )
    op.create_table(
        "transit_counts",
        sa.Column("kid", sa.String(length=100), nullable=False),
        sa.Column("process", sa.String(length=36), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kid", "process"),
    )


def downgrade() -> None:
    op.drop_table("transit_counts")
    op.drop_table("transit_keys")
