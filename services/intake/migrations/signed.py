"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use"""

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "d4f7b5c3ce64"
down_revision = "e2a90c4417bd"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()


def downgrade() -> None:
    drop_signatures()
