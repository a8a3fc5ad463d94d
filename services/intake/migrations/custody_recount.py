"""an index for the sum of the cases that a sender has in custody"""

from alembic import op

revision = "5b0e93c7d1f4"
down_revision = "c81e5d3f7a92"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("cases_in_custody_sender", "cases_in_custody", ["sender", "bytes"])


def downgrade() -> None:
    op.drop_index("cases_in_custody_sender", table_name="cases_in_custody")
