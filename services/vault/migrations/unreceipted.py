"""copies of published events until audit's receipt"""

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "94933bdd3ad6"
down_revision = "c93d0f5a7e18"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()


def downgrade() -> None:
    drop_unreceipted()
