"""copies of published events until audit's receipt"""

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "dd4f2db15b80"
down_revision = "b2d5f3a1ac42"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()


def downgrade() -> None:
    drop_unreceipted()
