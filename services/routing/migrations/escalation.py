"""when the timer next acts on an open offer

Offers that are open at the upgrade get no reminder; they expire as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "e4c7a91f06d2"
down_revision = "b90c47de5a13"
branch_labels = None
depends_on = None

IS_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.drop_index("offers_deadline", table_name="offers")
    op.add_column("offers", sa.Column("acts_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute("UPDATE offers SET acts_at = deadline")
    op.create_index("offers_due", "offers", ["acts_at"], sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)


def downgrade() -> None:
    op.drop_index("offers_due", table_name="offers")
    with op.batch_alter_table("offers") as batch_op:
        batch_op.drop_column("acts_at")
    op.create_index("offers_deadline", "offers", ["deadline"], sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
