"""copies of published events until audit's receipt"""

from runtime.messaging.migrations import add_unreceipted, drop_unreceipted

revision = "8b3967178c85"
down_revision = "a17c5e0b93d2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_unreceipted()


def downgrade() -> None:
    drop_unreceipted()
