"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use

A message that waited before has no signature, and is dead-lettered at its next attempt.
"""

import sqlalchemy as sa
from alembic import op

revision = "e5a8c6d4df75"
down_revision = "e2b70c4f91d8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("retries") as retries:
        retries.add_column(sa.Column("signed", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "manifests",
        sa.Column("hub", sa.String(length=2), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hub"),
    )


def downgrade() -> None:
    op.drop_table("manifests")
    with op.batch_alter_table("retries") as retries:
        retries.drop_column("signed")
