"""the bytes of the notes of open referrals, by author

Notes that were admitted before do not count.
"""

import sqlalchemy as sa
from alembic import op

revision = "e93d07b2c64a"
down_revision = "5b0e93c7d1f4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notes_kept",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("author", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "author"),
    )
    op.create_index("notes_kept_author", "notes_kept", ["author", "bytes"])


def downgrade() -> None:
    op.drop_index("notes_kept_author", table_name="notes_kept")
    op.drop_table("notes_kept")
