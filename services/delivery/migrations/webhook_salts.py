"""the salts of the log's commitments to webhooks' endpoints

Endpoints that an earlier build registered have none until their owners change them.
"""

import sqlalchemy as sa
from alembic import op

revision = "5d0b84e6a2f3"
down_revision = "c7f2a9d41e58"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_endpoints", sa.Column("salt", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("webhook_endpoints") as batch_op:
        batch_op.drop_column("salt")
