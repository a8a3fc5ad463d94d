"""the acceptance by which an organisation got a note, whose end erases the note"""

import sqlalchemy as sa
from alembic import op

revision = "0f6a2d93b7e4"
down_revision = "5d0b84e6a2f3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("mailbox_messages", sa.Column("acceptance", sa.String(length=36), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("mailbox_messages") as batch_op:
        batch_op.drop_column("acceptance")
