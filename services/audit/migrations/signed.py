"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use"""

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "a1c4e2f09b31"
down_revision = "3f1c9d27b8e4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()


def downgrade() -> None:
    drop_signatures()
