"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use"""

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "e5a8c6d4df75"
down_revision = "e2b70c4f91d8"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()


def downgrade() -> None:
    drop_signatures()
