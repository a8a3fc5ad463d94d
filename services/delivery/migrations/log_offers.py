"""the number of events that were offered to the log again"""

from runtime.messaging.migrations import add_log_offers, drop_log_offers

revision = "7b2e15d9c3f2"
down_revision = "a4c81e6f0d37"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_log_offers()


def downgrade() -> None:
    drop_log_offers()
