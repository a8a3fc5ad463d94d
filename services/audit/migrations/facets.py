"""facets, and closed referrals awaiting erasure"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "7c5e0b9a42d6"
down_revision = "d1b8a55e31a5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facets",
        sa.Column("facet", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column(
            "leaf_index",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("facet", "value", "leaf_index"),
        sqlite_with_rowid=False,
    )
    op.create_index("facets_leaf_index", "facets", ["leaf_index"], unique=False)
    op.create_table(
        "closures",
        sa.Column("referral_id", sa.Text(), nullable=False),
        sa.Column("closed_at", columns.Instant(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.Column("pending", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_index("closures_due", "closures", ["pending", "revoked", "closed_at"], unique=False)


def downgrade() -> None:
    op.drop_index("closures_due", table_name="closures")
    op.drop_table("closures")
    op.drop_index("facets_leaf_index", table_name="facets")
    op.drop_table("facets")
