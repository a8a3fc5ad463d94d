"""the number of events that were offered to the log again"""

from runtime.messaging.migrations import add_log_offers, drop_log_offers

revision = "ae5b48acb6c5"
down_revision = "d17a4be3c560"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_log_offers()


def downgrade() -> None:
    drop_log_offers()
