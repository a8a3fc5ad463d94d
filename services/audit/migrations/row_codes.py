"""a code in each row of the replica, so that a row that no signed fact made is not used"""

from runtime.messaging.migrations import add_row_codes, drop_row_codes

revision = "d50b27e49163"
down_revision = "6a1f04c8d2e1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_row_codes()


def downgrade() -> None:
    drop_row_codes()
