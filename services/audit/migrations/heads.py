"""heads of entries beside leaves that name nobody, and the secret of their tags"""

import os

import sqlalchemy as sa
from alembic import op

revision = "5d20e7b3c94f"
down_revision = "5d0e8b7c41fa"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Entries of earlier builds have no head: their leaves hold its members.
    op.add_column("entries", sa.Column("head", sa.LargeBinary(), nullable=True))
    secrets = op.create_table(
        "tag_secret",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.bulk_insert(secrets, [{"number": 1, "secret": os.urandom(32)}])


def downgrade() -> None:
    op.drop_table("tag_secret")
    op.drop_column("entries", "head")
