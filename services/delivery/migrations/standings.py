"""request a directory replica that includes organisations

A replica completed without them is discarded and requested again.
"""

from alembic import op

revision = "3f1c9a7d20b4"
down_revision = "5c0f0a1d7e42"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DELETE FROM replica WHERE type = 'kopuro.replica.state'")


def downgrade() -> None:
    op.execute("DELETE FROM replica WHERE type = 'kopuro.organization.changed.v1'")
