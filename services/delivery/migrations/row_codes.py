"""a code in each row of the replica, so that a row that no signed fact made is not used"""

from runtime.messaging.migrations import add_row_codes, drop_row_codes

revision = "b3e905c27f41"
down_revision = "6b31e0d5c87a"
branch_labels = None
depends_on = None


def upgrade() -> None:
    add_row_codes()


def downgrade() -> None:
    drop_row_codes()
