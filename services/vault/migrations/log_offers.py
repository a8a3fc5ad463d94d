"""the number of events that were offered to the log again"""

from runtime.messaging.migrations import add_log_offers, drop_log_offers

revision = "bf6a59bdc7d6"
down_revision = "3ab7d15c60e2"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_log_offers()


def downgrade() -> None:
    drop_log_offers()
