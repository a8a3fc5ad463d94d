"""a code in each row of the replica, so that a row that no signed fact made is not used"""

from runtime.messaging.migrations import add_row_codes, drop_row_codes

revision = "91c7e3a05d2f"
down_revision = "9b41d7e2c6a3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_row_codes()


def downgrade() -> None:
    drop_row_codes()
