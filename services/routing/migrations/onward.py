"""the referral that an onward referral continues, and the chain before it"""

import sqlalchemy as sa
from alembic import op

revision = "5c0b7e29d4f8"
down_revision = "e4c7a91f06d2"
branch_labels = None
depends_on = None

ONWARD = sa.text("onward_from IS NOT NULL")


def upgrade() -> None:
    op.add_column("referrals", sa.Column("onward_from", sa.String(length=36)))
    op.add_column("referrals", sa.Column("chain", sa.Text()))
    op.create_index(
        "referrals_onward", "referrals", ["onward_from"], sqlite_where=ONWARD, postgresql_where=ONWARD
    )


def downgrade() -> None:
    op.drop_index("referrals_onward", table_name="referrals")
    op.drop_column("referrals", "chain")
    op.drop_column("referrals", "onward_from")
