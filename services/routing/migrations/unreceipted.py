"""copies of published events until audit's receipt"""

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "f903f2843a6c"
down_revision = "5d90b3f7c2e1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()


def downgrade() -> None:
    drop_unreceipted()
