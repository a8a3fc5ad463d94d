"""the number of events that were offered to the log again"""

from runtime.messaging.migrations import add_log_offers, drop_log_offers

revision = "8c3d26eab4a3"
down_revision = "600b1950cdc4"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_log_offers()


def downgrade() -> None:
    drop_log_offers()
