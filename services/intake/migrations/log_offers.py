"""the number of events that were offered to the log again"""

from runtime.messaging.migrations import add_log_offers, drop_log_offers

revision = "9d4c37fba5b4"
down_revision = "8b3967178c85"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_log_offers()


def downgrade() -> None:
    drop_log_offers()
