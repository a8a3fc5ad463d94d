"""partial mailbox indexes

One index holds the waiting messages, the other the acknowledged ones.
"""

import sqlalchemy as sa
from alembic import op

revision = "5c0f0a1d7e42"
down_revision = "e9ec77ead8ff"
branch_labels = None
depends_on = None

WAITING = sa.text("acknowledged_at IS NULL")
ACKNOWLEDGED = sa.text("acknowledged_at IS NOT NULL")


def upgrade() -> None:
    op.drop_index("mailbox_messages_waiting", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_acknowledged", table_name="mailbox_messages")
    op.create_index(
        "mailbox_messages_waiting",
        "mailbox_messages",
        ["organization", "sequence"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "mailbox_messages_acknowledged",
        "mailbox_messages",
        ["acknowledged_at"],
        sqlite_where=ACKNOWLEDGED,
        postgresql_where=ACKNOWLEDGED,
    )


def downgrade() -> None:
    op.drop_index("mailbox_messages_waiting", table_name="mailbox_messages")
    op.drop_index("mailbox_messages_acknowledged", table_name="mailbox_messages")
    op.create_index("mailbox_messages_acknowledged", "mailbox_messages", ["acknowledged_at"])
    op.create_index(
        "mailbox_messages_waiting", "mailbox_messages", ["organization", "acknowledged_at", "sequence"]
    )
