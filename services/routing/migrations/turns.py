"""the turns of senders in the coordinators' queues

A referral that exists at the upgrade keeps its place: its turn is the time of its submission. A referral that
was split is in no queue, but can become whole again.
"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "2d6c90a4f1b8"
down_revision = "4b7d19c06e2f"
branch_labels = None
depends_on = None

REFERRALS = sa.table(
    "referrals",
    sa.column("submitted_at", sa.BigInteger),
    sa.column("turn_at", sa.BigInteger),
)
CONDITIONS = {
    "referrals_queue": ("status", sa.text("priority IS NOT NULL")),
    "referrals_overdue": (None, sa.text("overdue_since IS NOT NULL")),
    "referrals_emergencies": (None, sa.text("priority = 0")),
}


def upgrade() -> None:
    op.add_column("referrals", sa.Column("turn_at", columns.Instant()))
    op.execute(REFERRALS.update().values(turn_at=REFERRALS.c.submitted_at))
    _order_by("turn_at")
    op.create_index(
        "referrals_turns",
        "referrals",
        ["sender", "priority", "turn_at"],
        sqlite_where=sa.text("priority IS NOT NULL"),
        postgresql_where=sa.text("priority IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("referrals_turns", table_name="referrals")
    _order_by("submitted_at")
    op.drop_column("referrals", "turn_at")


def _order_by(moment: str) -> None:
    for name, (first, where) in CONDITIONS.items():
        op.drop_index(name, table_name="referrals")
        order = [*([first] if first else []), "priority", moment, "id"]
        op.create_index(name, "referrals", order, sqlite_where=where, postgresql_where=where)
