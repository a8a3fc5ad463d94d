"""the message that last replaced a case, so that an older one does not replace it again"""

import sqlalchemy as sa
from alembic import op

revision = "e27b4c8d5f19"
down_revision = "c4fa16d38052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("custodies", sa.Column("replaced_by", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("custodies") as batch_op:
        batch_op.drop_column("replaced_by")
