"""proofs of a decision that are kept after its record is erased

A decision that was erased before the upgrade has none, and stays unproved.
"""

import sqlalchemy as sa
from alembic import op

revision = "9b41d7e2c6a3"
down_revision = "2d6c90a4f1b8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("proofs", sa.Text()))


def downgrade() -> None:
    op.drop_column("decisions", "proofs")
