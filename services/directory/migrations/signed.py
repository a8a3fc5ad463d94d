"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use"""

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "c3e6a4b2bd53"
down_revision = "b41f6d0c93e7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()


def downgrade() -> None:
    drop_signatures()
