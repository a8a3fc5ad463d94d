"""the kinds of open referrals that the metrics count

Closed referrals are not counted, so those of an earlier build keep empty columns.
"""

import sqlalchemy as sa
from alembic import op

revision = "3e9a51c7d0b2"
down_revision = "ae5b48acb6c5"
branch_labels = None
depends_on = None

REFERRALS = sa.table(
    "referrals",
    sa.column("priority", sa.SmallInteger),
    sa.column("need_group", sa.String),
    sa.column("country", sa.String),
)
# The first need up to its point, and the region up to its hyphen.
NEED = "json_extract(facts, '$.needs[0]')"
GROUPS = {
    "sqlite": f"substr({NEED}, 1, instr({NEED} || '.', '.') - 1)",
    "postgresql": "split_part(facts::json -> 'needs' ->> 0, '.', 1)",
}
COUNTRIES = {
    "sqlite": "substr(json_extract(facts, '$.region'), 1, 2)",
    "postgresql": "substr(facts::json ->> 'region', 1, 2)",
}
KIND = ["status", "priority", "need_group", "country", "submitted_at"]


def upgrade() -> None:
    op.add_column("referrals", sa.Column("need_group", sa.String(60), nullable=True))
    op.add_column("referrals", sa.Column("country", sa.String(2), nullable=True))
    dialect = op.get_bind().dialect.name
    op.execute(
        REFERRALS.update()
        .where(REFERRALS.c.priority.is_not(None))
        .values(need_group=sa.literal_column(GROUPS[dialect]), country=sa.literal_column(COUNTRIES[dialect]))
    )
    is_open = sa.text("priority IS NOT NULL")
    op.create_index("referrals_figures", "referrals", KIND, sqlite_where=is_open, postgresql_where=is_open)


def downgrade() -> None:
    op.drop_index("referrals_figures", table_name="referrals")
    with op.batch_alter_table("referrals") as batch_op:
        batch_op.drop_column("country")
        batch_op.drop_column("need_group")
