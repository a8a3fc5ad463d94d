"""the offer that a case's acceptor accepted"""

import sqlalchemy as sa
from alembic import op

revision = "3ab7d15c60e2"
down_revision = "94933bdd3ad6"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("custodies", sa.Column("offer_id", sa.String(length=36), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("custodies") as batch_op:
        batch_op.drop_column("offer_id")
