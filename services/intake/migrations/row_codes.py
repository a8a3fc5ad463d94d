"""a code in each row of the replica, so that a row that no signed fact made is not used"""

from runtime.messaging.migrations import add_row_codes, drop_row_codes

revision = "a2d8f4b16e30"
down_revision = "6f2e9b10c4d7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_row_codes()


def downgrade() -> None:
    drop_row_codes()
