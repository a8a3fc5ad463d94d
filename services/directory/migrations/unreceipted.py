"""copies of published events until audit's receipt"""

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "600b1950cdc4"
down_revision = "5d0c1f7e92ab"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()


def downgrade() -> None:
    drop_unreceipted()
