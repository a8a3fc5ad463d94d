"""the state of a referral's facts, and what remains of erased decisions"""

import sqlalchemy as sa
from alembic import op

revision = "c5e08d72b1f4"
down_revision = "f903f2843a6c"
branch_labels = None
depends_on = None

ENDED = sa.text("facts_state IS NULL AND status IN ('completed', 'withdrawn', 'failed', 'entered_in_error')")
REVOKED = sa.text("facts_state = 'revoked'")


def upgrade() -> None:
    op.add_column("referrals", sa.Column("facts_state", sa.String(length=10)))
    op.add_column("decisions", sa.Column("erased_at", sa.BigInteger()))
    op.add_column("decisions", sa.Column("commitment", sa.String(length=80)))
    op.create_index(
        "referrals_ended", "referrals", ["updated_at"], sqlite_where=ENDED, postgresql_where=ENDED
    )
    op.create_index("referrals_revoked", "referrals", ["id"], sqlite_where=REVOKED, postgresql_where=REVOKED)


def downgrade() -> None:
    op.drop_index("referrals_revoked", table_name="referrals")
    op.drop_index("referrals_ended", table_name="referrals")
    op.drop_column("decisions", "commitment")
    op.drop_column("decisions", "erased_at")
    op.drop_column("referrals", "facts_state")
