"""what organisations hold when they are suspended"""

import sqlalchemy as sa
from alembic import op

revision = "c41d7e5a9f06"
down_revision = "4c1de97a52b8"
branch_labels = None
depends_on = None

OPEN = sa.text("state = 'open'")
HELD = sa.text("status IN ('accepted', 'in_progress', 'on_hold')")


def upgrade() -> None:
    op.create_table(
        "suspended_acceptors",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "organization"),
    )
    op.create_index("suspended_acceptors_organization", "suspended_acceptors", ["organization"])
    op.create_index("offers_open", "offers", ["organization"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("referrals_held", "referrals", ["acceptor"], sqlite_where=HELD, postgresql_where=HELD)


def downgrade() -> None:
    op.drop_index("referrals_held", table_name="referrals")
    op.drop_index("offers_open", table_name="offers")
    op.drop_index("suspended_acceptors_organization", table_name="suspended_acceptors")
    op.drop_table("suspended_acceptors")
