"""since when the acceptor of a referral has been suspended, for a coordinators' queue

The time of an earlier report is in the timeline.
"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "c8e25f71ab04"
down_revision = "91c7e3a05d2f"
branch_labels = None
depends_on = None

NOTED = sa.text("acceptor_suspended_since IS NOT NULL")


def upgrade() -> None:
    op.add_column("referrals", sa.Column("acceptor_suspended_since", columns.Instant()))
    op.execute(
        "UPDATE referrals SET acceptor_suspended_since = coalesce("
        "(SELECT max(time) FROM timeline WHERE timeline.referral_id = referrals.id"
        " AND fact = 'referral.acceptor_suspended'), updated_at)"
        " WHERE status IN ('accepted', 'in_progress', 'on_hold')"
        " AND EXISTS (SELECT 1 FROM suspended_acceptors AS noted"
        " WHERE noted.referral_id = referrals.id AND noted.organization = referrals.acceptor)"
    )
    _index("referrals_acceptor_suspended", ["priority", "turn_at", "id"])
    _index("referrals_suspended_acceptors", ["acceptor"])
    op.drop_index("suspended_acceptors_organization", table_name="suspended_acceptors")
    op.drop_table("suspended_acceptors")


def downgrade() -> None:
    op.create_table(
        "suspended_acceptors",
        sa.Column("referral_id", sa.String(length=36), nullable=False),
        sa.Column("organization", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("referral_id", "organization"),
    )
    op.create_index("suspended_acceptors_organization", "suspended_acceptors", ["organization"])
    op.execute(
        "INSERT INTO suspended_acceptors (referral_id, organization)"
        " SELECT id, acceptor FROM referrals WHERE acceptor_suspended_since IS NOT NULL"
    )
    op.drop_index("referrals_suspended_acceptors", table_name="referrals")
    op.drop_index("referrals_acceptor_suspended", table_name="referrals")
    op.drop_column("referrals", "acceptor_suspended_since")


def _index(name: str, over: list[str]) -> None:
    op.create_index(name, "referrals", over, sqlite_where=NOTED, postgresql_where=NOTED)
