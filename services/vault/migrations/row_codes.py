"""a code in each row of the replica, so that a row that no signed fact made is not used"""

from runtime.messaging.migrations import add_row_codes, drop_row_codes

revision = "c4fa16d38052"
down_revision = "c19e5a7d3b60"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_row_codes()


def downgrade() -> None:
    drop_row_codes()
