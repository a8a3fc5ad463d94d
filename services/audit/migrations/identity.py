"""events are known by source and id: two services may use one id"""

from alembic import op

revision = "5d0e8b7c41fa"
down_revision = "11c07e52177e"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("entries_message_id", table_name="entries")
    op.create_index("entries_message_id", "entries", ["message_id"])


def downgrade() -> None:
    op.drop_index("entries_message_id", table_name="entries")
    op.create_index("entries_message_id", "entries", ["message_id"], unique=True)
