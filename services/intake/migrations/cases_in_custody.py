"""the bytes of the cases in custody by referral, and their sum by sender

Cases that were admitted before do not count.
"""

import sqlalchemy as sa
from alembic import op

revision = "c81e5d3f7a92"
down_revision = "a2d8f4b16e30"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cases_in_custody",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id"),
    )
    op.create_table(
        "custody_sums",
        sa.Column("sender", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sender"),
    )


def downgrade() -> None:
    op.drop_table("custody_sums")
    op.drop_table("cases_in_custody")
