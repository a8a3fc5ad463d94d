"""progress of log checks, and the range of entries that still lack facets"""

import sqlalchemy as sa
from alembic import op

from runtime.storage import columns

revision = "3f1c9d27b8e4"
down_revision = "7c5e0b9a42d6"
branch_labels = None
depends_on = None

_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "checks",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("latest", columns.Instant(), nullable=True),
        sa.Column("lateness", _ROW_NUMBER, nullable=False),
        sa.Column("time", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "unfiled",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", _ROW_NUMBER, nullable=False),
        sa.Column("stop", _ROW_NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    # Every append since the facets migration writes at least the actor facet, so the first entry with a facet
    # ends the range.
    op.execute(
        "INSERT INTO unfiled (number, start, stop) SELECT 1, 0, COALESCE("
        "(SELECT min(leaf_index) FROM facets), (SELECT size FROM head WHERE number = 1), 0)"
    )


def downgrade() -> None:
    op.drop_table("unfiled")
    op.drop_table("checks")
