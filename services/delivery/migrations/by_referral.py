"""all messages of a referral by an index, in place of those with open content only"""

import sqlalchemy as sa
from alembic import op

revision = "e3d8a5f0174b"
down_revision = "c61e0f7b24d8"
branch_labels = None
depends_on = None

OPEN = sa.text("content = 'open'")


def upgrade() -> None:
    op.create_index("mailbox_messages_referral", "mailbox_messages", ["referral_id"])
    op.drop_index("mailbox_messages_open", table_name="mailbox_messages")


def downgrade() -> None:
    op.create_index(
        "mailbox_messages_open",
        "mailbox_messages",
        ["referral_id"],
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.drop_index("mailbox_messages_referral", table_name="mailbox_messages")
