"""the salts of the log's commitments to decisions"""

import sqlalchemy as sa
from alembic import op

revision = "e2b70c4f91d8"
down_revision = "a8f3b6d2c071"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("decisions", sa.Column("salt", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("decisions") as batch_op:
        batch_op.drop_column("salt")
