"""the order and the causes of the coordinators' queues

A referral that is overdue at the upgrade counts as overdue from its next missed report on.
"""

import sqlalchemy as sa
from alembic import op

revision = "b7d20c58e4a1"
down_revision = "c5e08d72b1f4"
branch_labels = None
depends_on = None

ORDER = ["priority", "submitted_at", "id"]
RANKS = "CASE {} WHEN 'emergency' THEN 0 WHEN 'urgent' THEN 1 ELSE 2 END"
URGENCY = {"sqlite": "json_extract(facts, '$.urgency')", "postgresql": "facts::json ->> 'urgency'"}
REFERRALS = sa.table("referrals", sa.column("status", sa.String), sa.column("priority", sa.SmallInteger))
CLOSED = ("completed", "withdrawn", "failed", "entered_in_error")
INDEXES = {
    "referrals_queue": (["status", *ORDER], sa.text("priority IS NOT NULL")),
    "referrals_overdue": (ORDER, sa.text("overdue_since IS NOT NULL")),
    "referrals_emergencies": (ORDER, sa.text("priority = 0")),
}


def upgrade() -> None:
    op.add_column("offers", sa.Column("nudged_at", sa.BigInteger(), nullable=True))
    op.add_column("referrals", sa.Column("overdue_since", sa.BigInteger(), nullable=True))
    op.add_column("referrals", sa.Column("priority", sa.SmallInteger(), nullable=True))
    rank = sa.literal_column(RANKS.format(URGENCY[op.get_bind().dialect.name]))
    op.execute(REFERRALS.update().where(REFERRALS.c.status.not_in(CLOSED)).values(priority=rank))
    for name, (columns, where) in INDEXES.items():
        op.create_index(name, "referrals", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="referrals")
    with op.batch_alter_table("referrals") as batch_op:
        batch_op.drop_column("priority")
        batch_op.drop_column("overdue_since")
    with op.batch_alter_table("offers") as batch_op:
        batch_op.drop_column("nudged_at")
