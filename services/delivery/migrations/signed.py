"""signed messages: the signature of a message that waits for a retry, and the newest manifest in use"""

from runtime.messaging.migrations import add_signatures, drop_signatures

revision = "b2d5f3a1ac42"
down_revision = "3f1c9a7d20b4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_signatures()


def downgrade() -> None:
    drop_signatures()
